"""Every error that Compozy raises on purpose, in one tree.

CompozyError                 code                exit  http
├── UsageError               usage                  2   400   wrong on the command line or in a request
│   ├── NotFoundError        not_found              2   404   no such workflow, execution, task, ...
│   ├── ConflictError        conflict               2   409   what is there already is something else
│   ├── IdempotencyError     idempotency_key        2   422   the key was used for another request
│   ├── TooLargeError        too_large              2   413   a request holds more than is accepted
│   └── MediaTypeError       media_type             2   415   a request's body is no JSON
├── AuthenticationError      authentication         3   401   the API key is missing or wrong
│   └── ForbiddenError       forbidden              3   403   a request from a place that may not ask
├── ServerError              server                 4   502   no server, or one that cannot be used
│   └── StoppingError        stopping               4   503   the server is about to end
├── ProjectError             invalid_project        5   422   faults in files, each with its place
├── TemplateError            template               1   422
│   ├── TemplateSyntaxError  template_syntax        5   422   the text is not a template
│   └── TemplateRenderError  template_render        1   422   the template cannot be rendered with this data
├── ExpressionError          expression             1   422   an expression cannot be evaluated with these variables
│   └── ExpressionSyntaxError  expression_syntax    5   422   the text is not an expression
├── SchemaMismatchError      schema_mismatch        2   422   a value does not fit its JSON Schema
├── DatabaseError            database               4   503
│   ├── DatabaseLockedError  database_locked        4   503   another program holds the file
│   └── DatabaseOwnedError   database_owned         4   409   another process runs workflows on this file
├── ExportFileError          export_file            5   422   a file of `compozy db export` cannot be read
├── RunError                 run_failed             1   500   a workflow or one of its tasks failed
│   ├── ModelError           model                  1   502   a model provider refused or broke
│   ├── ChildrenFailedError  children_failed        1   500   tasks inside a container failed
│   ├── ItemsError           items                  1   422   what a collection runs over is no list
│   ├── TaskTimeoutError     task_timeout           1   504   a task took longer than it may
│   ├── RunTimeoutError      timeout                1   504   a deadline passed
│   ├── NotFinishedError     not_finished           1   408   the run goes on for longer than the caller waits
│   └── RunCanceledError     canceled               1   409
├── KnowledgeError           knowledge              1   422   documents cannot be taken in or asked
│   ├── DocumentError        document               1   422   one document cannot be read
│   ├── EmbedderError        embedder               1   502   an embedder refused, broke, or is not set up
│   └── VectorStoreError     vector_store           4   503   a vector store cannot be reached or used
└── InternalError            internal               1   500   a defect in Compozy itself

The command line and the server each translate this tree in one place. Stored errors are
`{"code": str, "message": str, "details": object}`, never pickles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True, order=True)
class SourceLocation:
    """A position in a text file: `line` and `col` count from 1; 0 stands for the file as a whole."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        """Return `file:line:col`, or only `file` when the fault is not at a line."""
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file


@dataclass(frozen=True, kw_only=True, order=True)
class Diagnostic:
    """One thing that is wrong in one file. `hint` says what to do about it, "" when there is nothing to say."""

    location: SourceLocation
    message: str
    hint: str = ""
    code: str = "invalid"

    def __str__(self) -> str:
        """Return `file:line:col: message (hint)`."""
        return f"{self.location}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class CompozyError(Exception):
    """Base of the tree. `message` is complete without `hint`; `hint` tells the way out, "" for none."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details or {}

    def to_json(self) -> dict[str, Any]:
        """Return the stored form: `{"code", "message", "details"}`; the hint is one of the details."""
        details = {**self.details, "hint": self.hint} if self.hint else dict(self.details)
        return {"code": self.code, "message": self.message, "details": details}


class UsageError(CompozyError):
    """Something on the command line or in a request is wrong: an option, an argument, an input."""

    code, exit_status, http_status = "usage", 2, 400


class NotFoundError(UsageError):
    """The named workflow, execution, task or path does not exist."""

    code, exit_status, http_status = "not_found", 2, 404


class ConflictError(UsageError):
    """What is named is there already and is something else, or is in a state that does not allow it."""

    code, exit_status, http_status = "conflict", 2, 409


class IdempotencyError(UsageError):
    """The `Idempotency-Key` was used before, with another request."""

    code, exit_status, http_status = "idempotency_key", 2, 422


class TooLargeError(UsageError):
    """The body of a request is larger than what is accepted."""

    code, exit_status, http_status = "too_large", 2, 413


class MediaTypeError(UsageError):
    """The body of a request is not announced as `application/json`."""

    code, exit_status, http_status = "media_type", 2, 415


class AuthenticationError(CompozyError):
    """The API key of the server is missing or wrong."""

    code, exit_status, http_status = "authentication", 3, 401


class ForbiddenError(AuthenticationError):
    """The request comes from a place that may not ask: another web page, or another name for this host."""

    code, http_status = "forbidden", 403


class ServerError(CompozyError):
    """No Compozy server answers at the address, or its answer cannot be used."""

    code, exit_status, http_status = "server", 4, 502


class StoppingError(ServerError):
    """The server is about to end and takes nothing new; ask again in a moment."""

    code, http_status = "stopping", 503


class ProjectError(CompozyError):
    """The project's files are wrong. Every fault of every file is told at once, each with its place.

    `faults` holds them, sorted by place.
    """

    code, exit_status, http_status = "invalid_project", 5, 422

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(diagnostics))
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


class TemplateError(CompozyError):
    """A template is wrong, or cannot be rendered.

    `line` and `col` count from 1 within the template.
    """

    code, exit_status, http_status = "template", 1, 422

    def __init__(
        self,
        message: str,
        *,
        name: str,
        line: int = 0,
        col: int = 0,
        location: SourceLocation | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint, details={"place": str(location)} if location else None)
        self.name = name
        self.line = line
        self.col = col
        self.location = location


class TemplateSyntaxError(TemplateError):
    """The text is not a template. Its place is told before anything runs."""

    code, exit_status = "template_syntax", 5


class TemplateRenderError(TemplateError):
    """A template cannot be rendered with the data of this run; most often it reads a key that is not there."""

    code, exit_status = "template_render", 1


class ExpressionError(CompozyError):
    """An expression (CEL) cannot be evaluated with the data of this run.

    `offset` counts from 0 within its text.
    """

    code, exit_status, http_status = "expression", 1, 422

    def __init__(
        self, message: str, *, name: str, offset: int = 0, location: SourceLocation | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint, details={"place": str(location)} if location else None)
        self.name = name
        self.offset = offset
        self.location = location


class ExpressionSyntaxError(ExpressionError):
    """The text is not an expression. Its place is told before anything runs."""

    code, exit_status = "expression_syntax", 5


class SchemaMismatchError(CompozyError):
    """A value does not fit its JSON Schema. `details.problems` lists every misfit with its path and message."""

    code, exit_status, http_status = "schema_mismatch", 2, 422


class DatabaseError(CompozyError):
    """The database cannot be reached, read, written or understood."""

    code, exit_status, http_status = "database", 4, 503


class DatabaseLockedError(DatabaseError):
    """Another program held the SQLite file for longer than `database.busy_timeout`."""

    code = "database_locked"


class DatabaseOwnedError(DatabaseError):
    """Another process executes runs on this SQLite file; one at a time may."""

    code, http_status = "database_owned", 409


class ExportFileError(CompozyError):
    """A file that `compozy db export` should have written is something else, was cut short, or was changed."""

    code, exit_status, http_status = "export_file", 5, 422


class RunError(CompozyError):
    """A workflow, or one of its tasks, failed."""

    code, exit_status, http_status = "run_failed", 1, 500


class ModelError(RunError):
    """A model provider refused, could not be reached, broke, or is not set up."""

    code, http_status = "model", 502


class ChildrenFailedError(RunError):
    """Tasks inside a container failed. `details.failed` has their ids, `details.first` the first error."""

    code = "children_failed"


class ItemsError(RunError):
    """What a collection should run over is no list of items, or gives no usable ids."""

    code, http_status = "items", 422


class TaskTimeoutError(RunError):
    """A task took longer than its `timeout`, all its attempts included."""

    code, http_status = "task_timeout", 504


class RunTimeoutError(RunError):
    """The run was not finished by its deadline, `--timeout`. It does not go on."""

    code, http_status = "timeout", 504


class NotFinishedError(RunError):
    """The run goes on for longer than the caller waits. `details.execution_id` names it."""

    code, exit_status, http_status = "not_finished", 1, 408


class RunCanceledError(RunError):
    """The run was canceled."""

    code, http_status = "canceled", 409


class KnowledgeError(CompozyError):
    """Documents cannot be taken in, or cannot be asked."""

    code, exit_status, http_status = "knowledge", 1, 422


class DocumentError(KnowledgeError):
    """One document cannot be read. The others of its ingestion go in."""

    code = "document"


class EmbedderError(KnowledgeError):
    """An embedder refused, could not be reached, broke, or is not set up."""

    code, http_status = "embedder", 502


class VectorStoreError(KnowledgeError):
    """A vector store cannot be reached or used."""

    code, exit_status, http_status = "vector_store", 4, 503


class InternalError(CompozyError):
    """A defect in Compozy itself. Please report it with what is printed."""

    code = "internal"


def restore_error(stored: dict[str, Any]) -> CompozyError:
    """Return the error that `to_json` stored, of the class that its code names; an unknown code gives a RunError."""
    details = dict(stored.get("details") or {})
    hint = str(details.pop("hint", ""))
    kind = _RESTORED.get(str(stored.get("code")), RunError)
    return kind(str(stored.get("message", "")), hint=hint, details=details)


def _kinds(kind: type[CompozyError]) -> Iterator[type[CompozyError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


# Those that are made of message, hint and details alone, by their codes.
_RESTORED = {kind.code: kind for kind in _kinds(CompozyError) if kind.__init__ is CompozyError.__init__}
