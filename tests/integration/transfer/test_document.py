"""Documents that are truncated, changed, newer or of another format: a clear error, and an unchanged database."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compozy.database.database import Database
from compozy.database.executions import insert_execution
from compozy.database.tables import OUR_TABLES, VERSION_TABLE
from compozy.errors import ExportFileError
from compozy.transfer.document import verify_document
from compozy.transfer.schema import export_schema
from compozy.transfer.sections import JOURNAL, list_sections
from tests.harness.databases import new_run
from tests.harness.moves import body, export, load, ready, rows_of
from tests.harness.pickles import pickled
from tests.harness.runs import flowing
from tests.integration.transfer.conftest import PAIRS

# Tables that only the engine's migrations fill, and those that they left; they contain none of our rows.
_NOT_OURS = {"dbos_migrations", "event_dispatch_kv"}
Pair = tuple[Database, Database]
Rows = dict[str, list[dict[str, Any]]]
Refused = tuple[bytes, Database, Rows]
Change = Callable[[bytes], bytes]


def _some_runs(database: Database) -> bytes:
    with database.write() as connection:
        for number in range(3):
            insert_execution(connection, new_run(f"r{number}", input={"text": "ü"}), owner=None)
    return export(database)


def _rebuilt(change: Callable[[list[bytes]], None]) -> Change:
    """Return a change of a document's lines that also updates the checksum."""

    def apply(document: bytes) -> bytes:
        lines = document.splitlines(keepends=True)
        change(lines)
        digest = hashlib.sha256(b"".join(lines[1:-1])).hexdigest()
        lines[-1] = f'"checksum":"sha256:{digest}"}}\n'.encode()
        return b"".join(lines)

    return apply


def _header(**more: object) -> Change:
    def apply(document: bytes) -> bytes:
        first, _, rest = document.partition(b"\n")
        header = json.loads(first.removesuffix(b",") + b"}")["header"] | more
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":"))
        opening = {"header": header, "header_checksum": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}
        line = json.dumps(opening, ensure_ascii=False, separators=(",", ":"))[:-1]
        return f"{line},\n".encode() + rest

    return apply


def _replace_row(name: bytes, row: bytes) -> Change:
    def change(lines: list[bytes]) -> None:
        at = next(number for number, line in enumerate(lines) if line.lstrip(b",").startswith(b'"' + name))
        lines[at + 1] = row + b"\n"

    return _rebuilt(change)


def _add_row(name: bytes, row: bytes) -> Change:
    """Return a change that adds a row to a section, and counts it."""

    def change(lines: list[bytes]) -> None:
        at = next(number for number, line in enumerate(lines) if line.lstrip(b",").startswith(b'"' + name + b'"'))
        assert lines[at + 1] == b"]\n"
        lines.insert(at + 1, row + b"\n")
        lines[-2] = lines[-2].replace(b'"' + name + b'":0', b'"' + name + b'":1')

    return _rebuilt(change)


_CASES: list[tuple[Change, str]] = [
    (lambda _: b"", "the file is empty"),
    (lambda _: b"SQLite format 3\0" + bytes(100), "line 1: not a document of `compozy db export`"),
    (lambda _: b'{"header":{"a":1},\n', "line 1: not a document of `compozy db export`"),
    (lambda _: b'{"header":{"a":\n', "line 1: invalid JSON"),
    (lambda document: json.dumps(json.loads(document), indent=2).encode(), "line 1: not a document of"),
    (lambda document: document.replace(b'"mode":"copy"', b'"mode":"move"'), "line 1: the header was changed after"),
    (_header(mode="steal"), "line 1: the header is invalid at 'mode'"),
    (_header(revision=5), "line 1: the header is invalid at 'revision'"),
    (_header(more=5), "line 1: the header is invalid at 'more'"),
    (_header(source="\x1b]0;x\x07"), "line 1: the header contains characters that cannot be shown"),
    (gzip.compress, "the file is compressed"),
    (_header(version=2), "line 1: the document has version 2; this Compozy supports 1"),
    (_header(revision="0999"), "the document was created by a newer Compozy (revision 0999"),
    (_header(journal_revision=99999), "the document's journal has revision 99999"),
    (lambda document: document.replace("ü".encode(), b"ue"), "the file was changed after it was written"),
    (lambda document: document.replace("ü".encode(), b"\xff"), "invalid JSON"),
    (lambda document: document + b"{}", "there is data after the end of the document"),
    (lambda document: document[:-2], "the file ends too early"),
    (_rebuilt(lambda lines: lines.remove(lines[9])), "the number of rows differs from `counts`"),
    (_rebuilt(lambda lines: lines.__setitem__(1, b'"rows":{\n')), 'line 2: expected "sections":{'),
    (_rebuilt(lambda lines: lines.insert(2, b'"x":[\n')), "line"),
    (_replace_row(b"workflow_states", b"[]"), "not a row of workflow_states: not an object"),
    (
        _replace_row(b"workflow_states", b'{"workflow_exec_id":1}'),
        "'workflow_exec_id' has the wrong type",
    ),
    (
        _replace_row(b"workflow_states", b'{"workflow_exec_id":"x"}'),
        "not a row of workflow_states: 'workflow_id'",
    ),
    (_replace_row(b"workflow_states", b'{"x":NaN}'), "invalid JSON"),
    (_replace_row(b"workflow_states", b"[" * 200_000), "invalid JSON"),
    (
        _replace_row(b"workflow_states", b'{"x; DROP TABLE signals":1}'),
        "unknown column 'x; DROP TABLE signals'",
    ),
]


@pytest.fixture(scope="module", params=PAIRS, ids="-to-".join)
def refused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    """A document with three runs, and a database that changed documents must not change, with its rows."""
    source, target = request.param
    folder = tmp_path_factory.mktemp("refused")
    with ready(source, folder / "a") as ours, ready(target, folder / "b") as theirs:
        yield _some_runs(ours), theirs, rows_of(theirs)


@pytest.mark.parametrize(("change", "message"), _CASES)
def test_an_incomplete_document_is_refused(refused: Refused, change: Change, message: str) -> None:
    document, target, before = refused
    with pytest.raises(ExportFileError) as caught:
        load(target, change(document))
    assert message in caught.value.message
    assert rows_of(target) == before


def _row(table: str, **row: object) -> tuple[bytes, bytes]:
    return table.encode(), json.dumps(row, separators=(",", ":")).encode()


def _journal(table: str, **row: object) -> tuple[bytes, bytes]:
    return _row(f"journal.{table}", **row)


_STEP: dict[str, Any] = {"workflow_uuid": "r0", "function_id": 1, "function_name": "a", "retention_timestamp": 0}
_ENTRY: dict[str, Any] = {"workflow_uuid": "r0", "status": "PENDING", "created_at": 0, "updated_at": 0, "priority": 0}
_EVENT: dict[str, Any] = {"workflow_uuid": "r0", "key": "k"}
_SCHEDULE = {"schedule_id": "s", "schedule_name": "s", "workflow_name": "compozy.run", "schedule": "* * * * *"}
_ATTACHMENT: dict[str, Any] = {"workflow_exec_id": "r0", "sha256": hashlib.sha256(b"a picture").hexdigest()}
_OTHER_CONTENT = f"the content of attachment {_ATTACHMENT['sha256']} of execution 'r0' does not have this SHA-256"
_MALICE: list[tuple[tuple[bytes, bytes], str]] = [
    (_journal("operation_outputs", **_STEP, serialization="py_pickle", output="PAYLOAD"), "'serialization' is"),
    (_journal("operation_outputs", **_STEP, serialization="py_pickle", error="PAYLOAD"), "'serialization' is"),
    (_journal("operation_outputs", **_STEP, serialization="portable_json", output="1"), "'serialization' is"),
    (_journal("operation_outputs", **_STEP, serialization="", output="PAYLOAD"), "'serialization' is"),
    (_journal("workflow_status", **_ENTRY, serialization="py_pickle"), "'serialization' is"),
    (_journal("workflow_status", **_ENTRY, inputs="PAYLOAD"), "'inputs' is"),
    (_journal("workflow_status", **_ENTRY, name="other.function"), "'name' is 'other.function'"),
    (_journal("workflow_status", **_ENTRY, class_name="C"), "'class_name' is 'C'"),
    (_journal("workflow_status", **_ENTRY, config_name="c"), "'config_name' is 'c'"),
    (_journal("workflow_status", **_ENTRY, queue_name="_dbos_internal_queue"), "'queue_name' is '_dbos_internal_"),
    (_journal("workflow_input", workflow_uuid="r0", inputs="PAYLOAD", retention_timestamp=0), "'inputs' is"),
    (_journal("workflow_events", **_EVENT, value="PAYLOAD", serialization="py_pickle"), "'serialization' is"),
    (_journal("notifications", destination_uuid="r0", message="PAYLOAD", serialization="py_pickle"), "'serialization'"),
    (_journal("streams", **_EVENT, value="PAYLOAD", offset=0, function_id=1, serialization="py_pickle"), "'serializ"),
    (_journal("workflow_schedules", **_SCHEDULE, context="PAYLOAD"), "this section must be empty"),
    (_journal("queues", queue_id="q", name="resume-x", created_at=0, updated_at=0), "must be empty"),
    (
        (b"executors", b'{"executor_id":"x","role":"run","host":"h","pid":1,"started_ms":0,"lease_until_ms":9}'),
        "must be empty",
    ),
    (_row("attachments", **_ATTACHMENT, content="YW5vdGhlciBwaWN0dXJl"), _OTHER_CONTENT),
    (_row("attachments", **_ATTACHMENT, content="not base64"), _OTHER_CONTENT),
    (_row("attachments", **_ATTACHMENT, content="YSBwaWN0dXJl\n"), _OTHER_CONTENT),
    (
        _row("attachments", **{**_ATTACHMENT, "sha256": str(_ATTACHMENT["sha256"]).upper()}, content="YSBwaWN0dXJl"),
        "not",
    ),
]


@pytest.mark.parametrize(("rows", "refusal"), _MALICE)
def test_a_row_that_compozy_never_writes_is_refused(
    refused: Refused, tmp_path: Path, rows: tuple[bytes, bytes], refusal: str
) -> None:
    whole, target, before = refused
    canary = tmp_path / "executed"
    section, row = rows
    row = row.replace(b"PAYLOAD", pickled(canary).encode())
    document = _add_row(section, row)(whole)
    for read in (lambda: verify_document(io.BytesIO(document)), lambda: load(target, document)):
        with pytest.raises(ExportFileError) as caught:
            read()
        assert re.match(rf"line \d+: invalid row of {section.decode()}: ", caught.value.message)
        assert refusal in caught.value.message
    assert rows_of(target) == before
    assert not canary.exists()


def test_a_document_that_is_cut_anywhere_is_refused(refused: Refused) -> None:
    document, target, before = refused
    for length in range(0, len(document) - 1, 97):
        with pytest.raises(ExportFileError):
            verify_document(io.BytesIO(document[:length]))
        if length % 5 == 0:
            with pytest.raises(ExportFileError):
                load(target, document[:length])
    assert rows_of(target) == before


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    document = _document_once(tmp_path_factory)
    at = data.draw(st.integers(0, len(document) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != document[at]))
    with pytest.raises(ExportFileError):
        verify_document(io.BytesIO(document[:at] + bytes([byte]) + document[at + 1 :]))


_once: list[bytes] = []


def _document_once(factory: pytest.TempPathFactory) -> bytes:
    if not _once:
        with ready("sqlite", factory.mktemp("document")) as database:
            _once.append(_some_runs(database))
    return _once[0]


def test_a_document_is_json_to_any_program(database: Database) -> None:
    document = json.loads(_some_runs(database))
    assert list(document) == ["header", "header_checksum", "sections", "counts", "checksum"]
    assert document["counts"] == {name: len(rows) for name, rows in document["sections"].items()}


def test_every_table_is_a_section(database: Database) -> None:
    with database.read() as connection:
        inspector = sa.inspect(connection)
        there = set(inspector.get_table_names())
        if database.journal_schema is not None:
            there |= {f"{JOURNAL}{name}" for name in inspector.get_table_names(schema=database.journal_schema)}
    ours = {name for name in there if name.startswith(JOURNAL) or name in OUR_TABLES} - {VERSION_TABLE}
    engine = {f"{JOURNAL}{name}" for name in there if name not in OUR_TABLES and not name.startswith(JOURNAL)}
    left_out = {f"{JOURNAL}{name}" for name in _NOT_OURS}
    assert {section.name for section in list_sections(database)} == (ours | engine) - left_out
    for section in list_sections(database):
        # Each row belongs to a known run, or to none.
        columns = set(section.table.c.keys())
        assert (
            section.run in columns
            or not {"workflow_exec_id", "workflow_uuid", "destination_uuid"} & columns
            or (section.name == "knowledge_documents")
        )


def test_an_older_document_lacks_later_additions(pair: Pair) -> None:
    source, target = pair
    document = _some_runs(source)

    def forget(lines: list[bytes]) -> None:
        for number, line in enumerate(lines):
            lines[number] = line.replace(b'"application_name":"compozy",', b"").replace(b'"is_debounced":false,', b"")

    older = _header(revision="0002")(_rebuilt(forget)(document))
    assert load(target, older).new == 3
    assert body(export(target))


async def test_a_document_matches_its_published_schema(database: Database) -> None:
    async with flowing(database) as flows:
        await flows.run("tasks: [{id: a, prompt: x}]")
        await flows.start("tasks: [{id: w, type: wait, wait_for: go}]", execution_id="w")
        await flows.until_waiting("w", "w")
        await flows.signal("w", "other", {"x": 1})
    validator: Any = jsonschema.Draft202012Validator(export_schema())
    validator.validate(json.loads(export(database)))
