"""Writes `reference/configuration`: every key of compozy.yaml, and every environment variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from compozy.config.layers import VARIABLES
from compozy.model.registry import PROVIDERS
from compozy.project.file import ProjectFile
from tests.generated.pages.markdown import code, front, prose
from tests.generated.pages.models import is_list, key_line, keys_of, models_in

_HEAD = """
Every key of `compozy.yaml`. How the file is read, and how settings from outside get in, is told in
[the project file](/docs/configuration/project-file); `compozy config show --sources` prints the settings in force.

- A value may name variables, `${VAR}` or `${VAR:-default}`.
- A time is text such as `500ms`, `30s` or `1h30m`, or a number of seconds.
- A key that is not listed here is an error.
- What is kept secret is masked wherever settings are shown.

## Top of the file

"""

GUIDES = {
    "database": "/docs/configuration/database",
    "llm.providers": "/docs/agents/providers",
    "knowledge": "/docs/knowledge-bases/overview",
    "knowledge.vector_dbs": "/docs/knowledge-bases/vector-databases",
    "server": "/docs/cli/start",
    "config": "/docs/workflows/tasks",
    "autoload": "/docs/configuration/project-file#workflow-files",
}
"""Section -> the page that shows it at work."""

_VARIABLES_HEAD = """
## Environment variables

A variable wins over the same one in `.env`, and that over `compozy.yaml`; one that is set to nothing hides that of
`.env` and leaves the file's value. Those of settings stand with their keys above. The others:

"""

OTHER_VARIABLES: dict[str, str] = {
    "COMPOZY_CONFIG_FILE": "the project file, where `--config` says nothing",
    "COMPOZY_BASE_URL": "the server that commands ask, where `--server` says nothing",
    "COMPOZY_API_KEY": "the key that commands send to a server; default is that of the project",
    "OPENAI_BASE_URL": "the address of providers of the type `openai` that have no `base_url`",
    "NO_COLOR": "no colors, whatever it is set to",
    "NO_UNICODE": "`compozy workflow graph` draws with plain characters",
    "COMPOZY_DEBUG": "a defect is told with the place in the program where it happened",
}
"""Variables that the program reads by itself, and what they do; a test compares them with the source."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A model at its place in the file: `path` is dotted, `""` the top of the file."""

    path: str
    model: type[BaseModel]
    is_entry: bool = False


def write_configuration() -> str:
    """Return the page."""
    page = front("Configuration", "Every key of compozy.yaml with its type, default and limits, and every variable.")
    page += _HEAD + _lines(Part(path="", model=ProjectFile))
    for part in all_parts():
        level = "###" if "." in part.path else "##"
        guide = f"Guide: [{part.path}]({GUIDES[part.path]})." if part.path in GUIDES else ""
        each = "Each entry of the list has:" if part.is_entry else ""
        head = " ".join(filter(None, (_purpose(part.model), guide, each)))
        page += f"\n{level} {part.path}\n\n{head}\n\n{_lines(part)}"
    page += _VARIABLES_HEAD + "".join(f"- {code(name)}: {text}.\n" for name, text in OTHER_VARIABLES.items())
    keys = ", ".join(f"{code(kind.key_variable)} ({kind.name})" for kind in PROVIDERS.values() if kind.key_variable)
    return page + f"\nKeys of providers are named in `api_key`, by habit as {keys}.\n"


def all_parts() -> Iterator[Part]:
    """Yield every section of the file with its place, those inside of it behind it."""
    yield from _below(Part(path="", model=ProjectFile))


def _below(part: Part) -> Iterator[Part]:
    for key, info in keys_of(part.model):
        for model in models_in(info.annotation):
            path = f"{part.path}.{key}".lstrip(".")
            found = Part(path=path, model=model, is_entry=is_list(info.annotation))
            yield found
            yield from _below(found)


def _lines(part: Part) -> str:
    lines = ""
    for key, info in keys_of(part.model):
        path = f"{part.path}.{key}".lstrip(".")
        link = f"#{anchor(path)}" if models_in(info.annotation) else ""
        lines += key_line(part.model, key, info, variables=VARIABLES.get(path, ()), link=link)
    return lines


def anchor(path: str) -> str:
    """Return the anchor of a section's heading."""
    return path.replace(".", "")


def _purpose(model: type[BaseModel]) -> str:
    """Return what a section is for: its docstring, without the name of the key that stands in the heading."""
    text = " ".join((model.__doc__ or "").split())
    if text.startswith("One entry of"):
        return ""
    head, _, rest = text.partition(", ")
    words = rest if head.startswith("`") and head.endswith(":`") else text
    return prose(words[0].upper() + words[1:])
