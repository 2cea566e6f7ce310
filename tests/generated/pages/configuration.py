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
Every key of `compozy.yaml`. For an introduction and the order of precedence, see
[the project file](/docs/configuration/project-file); `compozy config show --sources` prints the effective settings.

- A value may contain variables, `${VAR}` or `${VAR:-default}`.
- A time is text such as `500ms`, `30s` or `1h30m`, or a number of seconds.
- Unknown keys are errors.
- Secrets are masked wherever settings are shown.

## Top of the file

"""

GUIDES = {
    "database": "/docs/configuration/database",
    "llm.providers": "/docs/agents/providers",
    "knowledge": "/docs/knowledge-bases/overview",
    "knowledge.vector_dbs": "/docs/knowledge-bases/vector-databases",
    "server": "/docs/cli/start",
    "monitoring": "/docs/guides/monitor",
    "config": "/docs/workflows/tasks",
    "autoload": "/docs/configuration/project-file#workflow-files",
}
"""Section -> the page that shows its use."""

_VARIABLES_HEAD = """
## Environment variables

A variable takes precedence over the same variable in `.env`, and `.env` over `compozy.yaml`. An empty variable hides
the one in `.env` and keeps the value of the file. The variables of settings are listed with their keys above. The
others are:

"""

OTHER_VARIABLES: dict[str, str] = {
    "COMPOZY_CONFIG_FILE": "the project file, if `--config` is not given",
    "COMPOZY_BASE_URL": "the server that commands connect to, if `--server` is not given",
    "COMPOZY_API_KEY": "the API key that commands send to a server; by default the key of the project",
    "OPENAI_BASE_URL": "the base URL of `openai` providers without `base_url`",
    "CI": "makes `compozy test` replay recorded answers, whatever `--mode` is",
    "NO_COLOR": "disables colors, whatever its value",
    "NO_UNICODE": "makes `compozy workflow graph` draw with ASCII characters",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "exports traces to this OpenTelemetry collector",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "the same, with the whole path; takes precedence",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "traces are sent as `http/protobuf`; another value is a warning",
    "OTEL_SDK_DISABLED": "`true` exports no traces, whatever the endpoint",
    "OTEL_SERVICE_NAME": "the name of the service in traces; by default `compozy`",
    "NOTIFY_SOCKET": "set by systemd; the socket to which a server or worker reports its state",
    "WATCHDOG_USEC": "set by systemd; the time in which it expects a report",
    "WATCHDOG_PID": "set by systemd; the process that it expects the reports from",
    "COMPOZY_DEBUG": "adds the source location to internal errors",
}
"""Variables that the program reads directly, and their effects; a test compares them with the source."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A model with its location in the file: `path` is dotted, `""` is the top of the file."""

    path: str
    model: type[BaseModel]
    is_entry: bool = False


def write_configuration() -> str:
    """Return the page."""
    page = front(
        "Configuration", "Every key of compozy.yaml with its type, default and limits, and every environment variable."
    )
    page += _HEAD + _lines(Part(path="", model=ProjectFile))
    for part in all_parts():
        level = "###" if "." in part.path else "##"
        guide = f"Guide: [{part.path}]({GUIDES[part.path]})." if part.path in GUIDES else ""
        each = "Each entry of the list has these keys:" if part.is_entry else ""
        head = " ".join(filter(None, (_purpose(part.model), guide, each)))
        page += f"\n{level} {part.path}\n\n{head}\n\n{_lines(part)}"
    page += _VARIABLES_HEAD + "".join(f"- {code(name)}: {text}.\n" for name, text in OTHER_VARIABLES.items())
    keys = ", ".join(f"{code(kind.key_variable)} ({kind.name})" for kind in PROVIDERS.values() if kind.key_variable)
    return page + f"\nKeys of providers are named in `api_key`, by habit as {keys}.\n"


def all_parts() -> Iterator[Part]:
    """Yield every section of the file with its location, followed by the sections inside it."""
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
    """Return the purpose of a section: its docstring, without the name of the key in the heading."""
    text = " ".join((model.__doc__ or "").split())
    if text.startswith("One entry of"):
        return ""
    head, _, rest = text.partition(", ")
    words = rest if head.startswith("`") and head.endswith(":`") else text
    return prose(words[0].upper() + words[1:])
