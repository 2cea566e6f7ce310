"""Writes the reference of all functions, with examples that are run: `python -m compozy.template.reference`."""

from __future__ import annotations

import inspect
import random
import re
import sys
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from compozy.errors import TemplateError
from compozy.template.functions.catalog import FUNCTIONS, LEFT_OUT
from compozy.template.functions.registry import Function
from compozy.template.functions.sources import SOURCES
from compozy.template.gojson import write_json
from compozy.template.reference_examples import DATA, DESCRIPTIONS, EXAMPLES, TITLES
from compozy.template.template import compile as compile_template

_HEAD = """---
title: Template functions
description: Every function of the template language, each with an example that was run.
---

The functions of [templates](/docs/workflows/templates), by group. The template engine generates this page
(`python -m compozy.template.reference`). The text after `=>` is the output of each example with this data:

```json
DATA
```

`a | f b` means `f b a`: the value before the `|` is the last argument. Lengths and positions in texts count bytes, as
in Go. Names after "Also" are aliases. A function with the prefix `must` and its own section fails with an error where
the plain function returns an empty result.
"""

_TAIL = """
## Left out on purpose

A template that uses one of these functions is refused with the reason.

"""


def write_reference() -> str:
    """Return the page."""
    page = _HEAD.replace("DATA", write_json(DATA, longest=100_000, indent="  ", html=False))
    with _fixed_sources():
        for group, title in TITLES.items():
            page += f"\n## {title}\n"
            page += "".join(_section(name, others) for name, others in _names(group))
    return page + _TAIL + "".join(f"- {', '.join(names)}: {reason}\n" for names, reason in _left_out())


def _names(group: str) -> list[tuple[str, list[str]]]:
    """Return the names in a group that have an example, each with its other names."""
    sections: dict[str, list[str]] = {}
    first: dict[int, str] = {}
    for name, function in sorted(FUNCTIONS["compozy"].items(), key=lambda item: item[0] not in EXAMPLES):
        if function.group != group:
            continue
        if name in EXAMPLES:
            sections[name] = []
            first[id(function.call)] = name
        else:
            sections[first[id(function.call)]].append(name)
    return list(sections.items())


def _section(name: str, others: list[str]) -> str:
    function = FUNCTIONS["compozy"][name]
    text = DESCRIPTIONS.get(name) or (inspect.getdoc(function.call) or "").partition("\n")[0]
    also = f" Also {' '.join(f'`{other}`' for other in others)}." if others else ""
    example = EXAMPLES[name]
    head = f"### {name}\n\n`{_usage(function, name)}` - {_prose(text)}{also}"
    return f"\n{head}\n\n```text\n{example}\n{_run(example)}\n```\n"


def _usage(function: Function, name: str) -> str:
    """Return how the function is called, with the names of its parameters."""
    parameters = list(inspect.signature(function.call).parameters.values())[function.counted :]
    names = [each.name.strip("_") or "value" for each in parameters if each.kind is not each.KEYWORD_ONLY]
    if function.rest:
        names[-1] += "..."
    return " ".join([name, *names])


def _run(example: str) -> str:
    """Return what the example gives, or the message of its error."""
    try:
        result = compile_template(example, dialect="compozy").render(DATA)
    except TemplateError as error:
        message = re.sub(r'^template: .*?: executing "\w+" at <.*>: ', "", error.message)
        result = f"error: {message}"
    return "\n".join(f"=> {line}".rstrip() for line in result.split("\n"))


def _prose(text: str) -> str:
    """Return the text with what MDX would read as markup escaped, outside of code spans."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"[<>{}]", lambda found: f"&#{ord(found.group())};", part) for part in parts[::2]]
    return "".join(parts)


def _left_out() -> Iterator[tuple[list[str], str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in LEFT_OUT.items():
        reasons.setdefault(reason, []).append(f"`{name}`")
    return ((names, reason.replace("${NAME}", "`${NAME}`")) for reason, names in reasons.items())


@contextmanager
def _fixed_sources() -> Generator[None, None, None]:
    """Let time and chance be the same each time."""
    saved = SOURCES.now_ns, SOURCES.chance, SOURCES.new_uuid
    SOURCES.now_ns = lambda: 1_709_290_800_000_000_000
    SOURCES.chance = random.Random(1)  # noqa: S311 - no secret, an example
    SOURCES.new_uuid = lambda: uuid.UUID("3f2b8c1e-5a4d-4c7b-9e21-0d6f8a9b1c2d")
    try:
        yield
    finally:
        SOURCES.now_ns, SOURCES.chance, SOURCES.new_uuid = saved


if __name__ == "__main__":
    sys.stdout.write(write_reference())
