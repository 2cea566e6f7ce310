"""Cassettes: the recorded answers of the tests of one file, as YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue

from compozy.boundary import RequestKind
from compozy.clock import format_time
from compozy.config.nodes import Node, place_at, to_value
from compozy.config.parse import parse_yaml
from compozy.config.settings import Section
from compozy.config.text import SourceText
from compozy.config.validate import validate
from compozy.errors import Diagnostic, SourceLocation, UsageError
from compozy.replay.answers import check_answer
from compozy.replay.config import MomentMs
from compozy.replay.secrets import Secrets
from compozy.replay.yamltext import to_yaml

_HEAD = "# Recorded answers for `compozy test`. `compozy test --mode refresh` records what changed.\n"
_KEY_DIGITS = 16
MAX_BYTES = 10 * 1024 * 1024
"""Size of one cassette; YAML files of a project have the same limit."""


def key_of(kind: str, content: Mapping[str, Any]) -> str:
    """Return the key of a request: equal for equal contents, whatever the order of their keys."""
    text = json.dumps([kind, content], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_DIGITS]


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One recorded request with its answer, or the error that came instead.

    `pending`: neither came, because the run canceled the request, such as that of a branch that lost a race.
    """

    kind: RequestKind
    path: str
    request: Mapping[str, Any]
    answer: Any = None
    error: Mapping[str, Any] | None = None
    pending: bool = False

    @property
    def key(self) -> str:
        """Return the key of the request."""
        return key_of(self.kind, self.request)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The recorded answers of one test, and the time at the start of its run."""

    now_ms: int | None = None
    exchanges: Sequence[Exchange] = field(default_factory=tuple[Exchange, ...])

    def to_json(self) -> dict[str, Any]:
        """Return the recording as JSON, in an order that does not depend on what came first."""
        # The sort is stable: equal requests of one task keep their order.
        ordered = sorted(self.exchanges, key=lambda exchange: (exchange.path, exchange.kind != "tools"))
        now = {} if self.now_ms is None else {"now": format_time(self.now_ms)}
        return {**now, "requests": [_to_json(exchange) for exchange in ordered]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Recording:
        """Return the recording that `to_json` gave."""
        return _RecordedTest.model_validate(document).recording()


def _to_json(exchange: Exchange) -> dict[str, Any]:
    result: dict[str, Any] = {"pending": True} if exchange.pending else {"answer": exchange.answer}
    if exchange.error is not None:
        result = {"error": dict(exchange.error)}
    about = {"task": exchange.path, "kind": exchange.kind, "key": exchange.key}
    return {**about, "request": dict(exchange.request), **result}


class _RecordedExchange(Section):
    task: str
    kind: RequestKind
    key: str | None = None
    request: dict[str, JsonValue]
    answer: JsonValue = None
    error: dict[str, JsonValue] | None = None
    pending: bool = False

    def exchange(self) -> Exchange:
        return Exchange(
            kind=self.kind,
            path=self.task,
            request=self.request,
            answer=self.answer,
            error=self.error,
            pending=self.pending,
        )


class _RecordedTest(Section):
    now: MomentMs | None = None
    requests: tuple[_RecordedExchange, ...] = ()

    def recording(self) -> Recording:
        return Recording(now_ms=self.now, exchanges=tuple(each.exchange() for each in self.requests))


class _CassetteFile(Section):
    version: Literal[1]
    tests: dict[str, _RecordedTest] = Field(default_factory=dict[str, _RecordedTest])


def read_cassette(path: Path, *, file: str, secrets: Secrets) -> tuple[dict[str, Recording], list[Diagnostic]]:
    """Return the recordings of a cassette by the names of their tests; none if the file does not exist.

    Args:
        path: the file.
        file: its name in messages.
        secrets: a file that holds one of them is refused.
    """
    if not path.exists():
        return {}, []
    try:
        data = path.read_bytes()
    except OSError as error:
        location = SourceLocation(file=file)
        return {}, [Diagnostic(location=location, message=f"cannot be read: {error.strerror or error}", code="yaml")]
    leak = _leak(data.decode("utf-8", "replace"), file, secrets)
    if leak is not None:
        return {}, [leak]
    parsed = parse_yaml(data, file=file)
    if parsed.node is None or parsed.faults:
        empty = Diagnostic(location=SourceLocation(file=file), message="the file is empty", code="yaml")
        return {}, list(parsed.faults) or [empty]
    return _read(parsed.node)


def _read(node: Node) -> tuple[dict[str, Recording], list[Diagnostic]]:
    cassette, faults = validate(_CassetteFile, node, label="the cassette")
    if cassette is None:
        return {}, faults
    for name, test in cassette.tests.items():
        for index, each in enumerate(test.requests):
            path = ("tests", name, "requests", index)
            if each.key is not None and each.key != key_of(each.kind, each.request):
                place = place_at(node, (*path, "key"))
                message = "the key does not belong to this request: the file was edited"
                hint = "remove the key to keep the change, or delete this request and run `compozy test --mode refresh`"
                faults.append(Diagnostic(location=place, message=message, hint=hint, code="cassette_key"))
            written = {key: getattr(each, key) for key in each.model_fields_set}
            faults.extend(check_answer(each.kind, written, node, path))
    return {name: test.recording() for name, test in cassette.tests.items()}, faults


def _leak(text: str, file: str, secrets: Secrets) -> Diagnostic | None:
    found = secrets.find(text)
    if found is None:
        return None
    message = f"the file contains a secret: {found[1]}"
    hint = "remove the file from the history of the repository, change the secret, and record again"
    place = SourceText(file=file, text=text).place(found[0])
    return Diagnostic(location=place, message=message, hint=hint, code="secret")


def cassette_text(recordings: Mapping[str, Recording]) -> str:
    """Return the text of a cassette."""
    tests = {name: recording.to_json() for name, recording in recordings.items()}
    return _HEAD + to_yaml({"version": 1, "tests": tests})


def write_cassette(path: Path, recordings: Mapping[str, Recording], *, file: str, secrets: Secrets) -> None:
    """Write a cassette atomically. Its recordings were masked when they were made.

    Raises:
        UsageError: the text holds a secret, is too large, or does not read back as the same; nothing was written.
    """
    text = cassette_text(recordings)
    data = text.encode("utf-8", "surrogatepass")
    if secrets.find(text) is not None:
        raise UsageError(f"{file} was not written: it would contain a secret", hint="please report this")
    if len(data) > MAX_BYTES:
        raise UsageError(
            f"{file} was not written: it would be larger than {MAX_BYTES // 1024**2} MiB",
            hint="divide the tests into several files",
        )
    parsed = parse_yaml(data, file=file)
    wanted = {name: recording.to_json() for name, recording in recordings.items()}
    if parsed.node is None or parsed.faults or to_value(parsed.node)["tests"] != wanted:
        raise UsageError(f"{file} was not written: an answer cannot be stored as YAML", hint="please report this")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(data)
    temporary.replace(path)
