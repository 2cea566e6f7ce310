"""The `.env` file next to compozy.yaml."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from compozy.errors import Diagnostic, SourceLocation

MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class EnvFile:
    """The variables of a `.env` file and the line of each; empty if the file does not exist."""

    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    places: Mapping[str, SourceLocation] = field(default_factory=dict[str, SourceLocation])
    faults: tuple[Diagnostic, ...] = ()

    def merged_under(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return these values and `environ` together; where both have a name, `environ` wins."""
        return {**self.values, **environ}


def read_env_file(path: Path, *, file: str) -> EnvFile:
    """Read the `.env` file at `path`; places call it `file`. Values are taken as they are, `$` included."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return EnvFile()
    except OSError as error:
        return _failed(SourceLocation(file=file), f"cannot be read: {error.strerror or error}")
    if len(data) > MAX_BYTES:
        return _failed(SourceLocation(file=file), f"the file is larger than {MAX_BYTES // 1024**2} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _failed(SourceLocation(file=file), "the file is not UTF-8 text")
    return _parse(text, file)


def _parse(text: str, file: str) -> EnvFile:
    values: dict[str, str] = {}
    places: dict[str, SourceLocation] = {}
    faults: list[Diagnostic] = []
    for binding in parse_stream(io.StringIO(text)):
        place = SourceLocation(file=file, line=_first_line(binding), col=1)
        if binding.error or (binding.key is not None and binding.value is None) or "\0" in (binding.value or ""):
            faults.append(Diagnostic(location=place, message="expected NAME=value", code="env_file"))
        elif binding.key is not None:
            values[binding.key] = binding.value or ""
            places[binding.key] = place
    return EnvFile(values=values, places=places, faults=tuple(faults))


def _first_line(binding: Binding) -> int:
    """Return the line of the text itself: a binding also holds the empty lines before it."""
    text = binding.original.string
    leading = text[: len(text) - len(text.lstrip())]
    return binding.original.line + leading.count("\n")


def _failed(place: SourceLocation, message: str) -> EnvFile:
    return EnvFile(faults=(Diagnostic(location=place, message=message, code="env_file"),))
