"""Measures renders per second against Jinja2 and gotpl: `make bench`, or `python -m tests.bench.templates`.

Each engine compiles a template of its language once and renders it repeatedly, in one process. The rounds of the
engines alternate, processor time is measured, and the best round of each counts. Other load on the machine affects the
absolute figures, which should not be compared with others. Compile times are those of our engine without its cache.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from compozy import template
from compozy.template.program import compile_uncached
from tests.bench.report import add_json, write_rows

_DATA = {
    "input": {
        "name": "Ada",
        "items": [{"title": f"Task {number}", "done": number % 3 == 0, "hours": number} for number in range(20)],
    }
}
_GO = {
    "hello": 'Hello {{ .input.name | default "World" }}!',
    "range": (
        "{{ range .input.items }}{{ if .done }}[x] {{ .title }}{{ else }}[ ] {{ .title }} ({{ .hours }} h){{ end }}\n"
        "{{ end }}"
    ),
    "range, variables": (
        "{{ range $i, $item := .input.items }}{{ if $i }}, {{ end }}"
        "{{ if $item.done }}[x] {{ $item.title }}{{ else }}[ ] {{ $item.title }} ({{ $item.hours }} h){{ end }}"
        "{{ end }}"
    ),
}
_JINJA = {
    "hello": 'Hello {{ input.name | default("World", true) }}!',
    "range": (
        "{% for item in input['items'] %}"
        "{% if item.done %}[x] {{ item.title }}{% else %}[ ] {{ item.title }} ({{ item.hours }} h){% endif %}\n"
        "{% endfor %}"
    ),
    "range, variables": (
        "{% for item in input['items'] %}{% if not loop.first %}, {% endif %}"
        "{% if item.done %}[x] {{ item.title }}{% else %}[ ] {{ item.title }} ({{ item.hours }} h){% endif %}"
        "{% endfor %}"
    ),
}
_PROMPTS = {
    "hello": _GO["hello"],
    "typical": """You answer the customers of {{ .input.company | default "our company" }}. A customer writes:

{{ .input.message }}

What we know:
{{ range .tasks.look-up.output.facts }}- {{ . }}
{{ end }}
Answer in {{ .input.language | default "English" }}, politely, in at most three sentences, and promise nothing.
""",
    "dense": """You are a helpful assistant for {{ .input.company | default "ACME" }}.
{{- if .input.tags }}
Tags: {{ join ", " .input.tags }}
{{- end }}
{{ range .tasks.search.output.items }}- {{ .title }}: {{ .url }}
{{ end }}
Answer the question "{{ .input.question }}" in {{ .input.language | default "English" | upper }}.""",
}

Render = Callable[[], str]


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150, help="rounds of each engine")
    parser.add_argument("--round-ms", type=float, default=4, help="length of one round")
    add_json(parser)
    arguments = parser.parse_args()
    engines = {"compozy": _ours(), **_others()}
    renders = {
        name: _measure({engine: made[name] for engine, made in engines.items()}, arguments.rounds, arguments.round_ms)
        for name in _GO
    }
    compiles = _measure(
        {name: _compiler(text) for name, text in _PROMPTS.items()}, arguments.rounds, arguments.round_ms
    )
    _print_renders(renders)
    _print_compiles(compiles)
    write_rows([{"renders_s": renders, "compile_s": compiles}], arguments.json)


def _print_renders(renders: dict[str, dict[str, float]]) -> None:
    print("Renders per second, and how often ours does it while the other does it once")
    for name, seconds in renders.items():
        ours = seconds["compozy"]
        rates = (f"{engine} {1 / each:>9,.0f} ({each / ours:.2f})" for engine, each in seconds.items())
        print(f"  {name:<17} {'   '.join(rates)}")


def _print_compiles(compiles: dict[str, float]) -> None:
    print("Time to compile, without the cache")
    for name, seconds in compiles.items():
        text = _PROMPTS[name]
        print(f"  {name:<17} {seconds * 1e6:6.1f} µs   {len(text)} characters, {text.count('{{')} actions")


def _ours() -> dict[str, Render]:
    made = {name: template.compile(text, dialect="compozy") for name, text in _GO.items()}
    return {name: lambda each=each: each.render(_DATA) for name, each in made.items()}


def _others() -> dict[str, dict[str, Render]]:
    """Return the installed engines, print the missing ones, and check that all outputs are the same."""
    found: dict[str, dict[str, Render]] = {}
    ours = _ours()
    for name, make in (("jinja2", _jinja), ("gotpl", _gotpl)):
        if find_spec(name) is None:
            print(f"{name} is not installed and not measured: pip install {name}")
            continue
        found[name] = make()
        for case, render in found[name].items():
            if render() != ours[case]():
                raise SystemExit(f"{name} prints something else for {case!r}: {render()!r}")
    return found


def _jinja() -> dict[str, Render]:
    environment: Any = import_module("jinja2").Environment(keep_trailing_newline=True)
    made = {name: environment.from_string(text) for name, text in _JINJA.items()}
    return {name: lambda each=each: each.render(_DATA) for name, each in made.items()}


def _gotpl() -> dict[str, Render]:
    functions: Any = import_module("gotpl.funcs.sprig").text_func_map()
    gotpl: Any = import_module("gotpl")
    made = {name: gotpl.Template(text, functions=functions) for name, text in _GO.items()}
    return {name: lambda each=each: each.render(_DATA) for name, each in made.items()}


def _compiler(text: str) -> Callable[[], object]:
    return lambda: compile_uncached(text, "bench", "compozy")


def _measure(sides: Mapping[str, Callable[[], object]], rounds: int, round_ms: float) -> dict[str, float]:
    """Return the seconds per call of each side in its best round."""
    counts = {name: _count_for(call, round_ms) for name, call in sides.items()}
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, call in sides.items():
            best[name] = min(best[name], _time(call, counts[name]))
    return best


def _count_for(call: Callable[[], object], round_ms: float) -> int:
    _time(call, 20)
    return max(int(round_ms / 1000 / _time(call, 20)), 1)


def _time(call: Callable[[], object], count: int) -> float:
    """Return the seconds per call of `count` calls, without the garbage collector, as `timeit` does."""
    gc.disable()
    began_s = time.thread_time()
    for _ in range(count):
        call()
    ended_s = time.thread_time()
    gc.enable()
    return (ended_s - began_s) / count


if __name__ == "__main__":
    main()
