"""The loop of `compozy chat`: a line is a message, a run answers it, and its text is shown while a model writes it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from compozy.cli.endings import print_failure, print_paused
from compozy.cli.output import json_text, print_error, print_line, print_note, write_result
from compozy.cli.remotetext import TextSink
from compozy.client import Document
from compozy.database.live_text import TextDelta
from compozy.database.status import Status
from compozy.errors import CompozyError, ConflictError, NotFoundError, UsageError
from compozy.ids import new_execution_id
from compozy.workflow.chat import chat_labels

_PROMPT = "> "
_FIRST_LOOK_S = 0.05
_LOOK_S = 0.3
_INTERRUPT_S = 0.25
# Keys of an output under which answers are often found.
_ANSWERS = ("reply", "answer", "response", "text", "message")

Pump = Callable[[float], None]
"""Waits for some seconds, and passes the text that arrives meanwhile to its sink."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """Options of `compozy chat`; `given` is the input of each run besides the message and the key."""

    workflow_id: str
    given: Any
    key: str | None
    message: str | None
    wait_for_lock_s: float
    quiet: bool
    as_json: bool


class ChatRuns(Protocol):
    """Starts and follows runs, in this process or on a server."""

    @property
    def chat(self) -> Document | None:
        """Return how to talk to the workflow; see `compozy.workflow.chat`."""
        ...

    def start(self, execution_id: str, given: Document, labels: Mapping[str, str]) -> None:
        """Start a run."""
        ...

    def get(self, execution_id: str) -> Document:
        """Return a run with its tasks."""
        ...

    def cancel(self, execution_id: str) -> None:
        """Cancel a run and wait for its end."""
        ...

    def watching(self, execution_id: str, sink: TextSink) -> AbstractContextManager[Pump]:
        """Pass the text of a run to `sink` until the block ends."""
        ...


def talk(runs: ChatRuns, request: ChatRequest) -> int:
    """Answer messages until the end of stdin; return 1 if a run failed and stdin is not a terminal.

    Raises:
        UsageError: the workflow has no memory, or the names of its values must be given.
    """
    form = _form_of(runs, request)
    is_terminal = sys.stdin.isatty() and not request.as_json
    if is_terminal:
        # Editing of lines and the keys for earlier ones, where Python has it.
        with suppress(ImportError):
            # It changes what `input` does.
            import_module("readline")
    if is_terminal and not request.quiet:
        print_note(f"Talking to workflow {request.workflow_id!r}. Ctrl-C stops an answer, Ctrl-D ends the chat.")
    has_failed = False
    while (message := _read(is_terminal=is_terminal)) is not None:
        if not message.strip():
            continue
        try:
            has_failed |= not _Turn(runs, form, request).answer(message)
        except CompozyError as error:
            if not is_terminal:
                raise
            print_error(error, as_json=False)
    return int(has_failed and not is_terminal)


@dataclass(frozen=True, kw_only=True)
class _Form:
    """The input of each run without its message, the name of the message, the task that answers, and the labels."""

    values: Mapping[str, Any]
    message: str
    task: str
    labels: Mapping[str, str]


def _form_of(runs: ChatRuns, request: ChatRequest) -> _Form:
    chat = runs.chat
    if chat is None:
        raise UsageError(
            f"workflow {request.workflow_id!r} remembers no conversation",
            hint="add `memory: [...]` to a task with a prompt",
        )
    given: Any = {} if request.given is None else request.given
    if not isinstance(given, dict):
        raise UsageError("--input: a chat needs an object", hint="use NAME=TEXT for each value")
    values: Document = {**cast("Document", given)}
    message = request.message or chat["message"]
    if message is None:
        raise UsageError("several values of the input could be the message", hint="name it with --message")
    name: str | None = chat["key"]
    if request.key is not None and name is None:
        raise UsageError(
            "the key of the memory is not made of one value of the input", hint="give its values with --input NAME=TEXT"
        )
    if request.key is not None:
        values[str(name)] = request.key
    elif name is not None and name not in values:
        raise UsageError("the conversation has no name", hint=f"add --key, the value of {name!r}")
    return _Form(values=values, message=message, task=chat["task"], labels=chat_labels(values, name))


def _read(*, is_terminal: bool) -> str | None:
    """Return the next message, None at the end."""
    try:
        if is_terminal:
            with _noticing_interrupts():
                # Python would write the prompt into a file that stdout is redirected to.
                return _valid(input(_PROMPT if sys.stdout.isatty() else ""))
        return _valid(sys.stdin.readline()) or None
    except (EOFError, KeyboardInterrupt):
        if is_terminal:
            print_note("")
        return None
    except UnicodeDecodeError as error:
        raise UsageError("the text from stdin is not UTF-8") from error


def _valid(line: str) -> str:
    """Return `line`; Python reads bytes that are not UTF-8 as halves of surrogate pairs if no locale is set.

    Raises:
        UsageError: it holds such bytes.
    """
    if any("\ud800" <= sign <= "\udfff" for sign in line):
        raise UsageError("the text from stdin is not UTF-8", hint="send it as UTF-8, for example through `iconv`")
    return line


@contextmanager
def _noticing_interrupts() -> Generator[None, None, None]:
    """Wake `input` regularly: until the next key, it misses a Ctrl-C between writing its prompt and waiting."""
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: None)
    # Writing to the terminal is not interrupted meanwhile; waiting for keys always is.
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, _INTERRUPT_S, _INTERRUPT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Turn:
    """One message and its answer."""

    def __init__(self, runs: ChatRuns, form: _Form, request: ChatRequest) -> None:
        self._runs = runs
        self._form = form
        self._request = request
        self._id = new_execution_id()
        self._waiting: set[str] = set()

    def answer(self, message: str) -> bool:
        """Run the workflow for a message and print the answer; return whether it succeeded."""
        message = message.rstrip("\r\n")
        given = {**self._form.values, self._form.message: message}
        answer = _Answer(self._form.task, is_shown=sys.stdout.isatty() and not self._request.as_json)
        try:
            self._runs.start(self._id, given, self._form.labels)
            with self._runs.watching(self._id, answer) as pump:
                run = self._until_ended(pump)
        except KeyboardInterrupt:
            run = self._stop()
            answer.end()
            if not sys.stdin.isatty():
                # Further lines of a pipe would start further runs.
                raise
        return self._print(run, message, answer)

    def _until_ended(self, pump: Pump) -> Document:
        pause_s = _FIRST_LOOK_S
        while True:
            run = self._runs.get(self._id)
            status = Status(run["status"])
            pump(0.0 if status.is_final else pause_s)
            if status.is_final or status is Status.PAUSED:
                return run
            self._note_waiting(run)
            pause_s = min(_LOOK_S, pause_s * 1.5)

    def _note_waiting(self, run: Document) -> None:
        for task in run["tasks"]:
            path: str = task["path"]
            if task["status"] == Status.WAITING and path not in self._waiting and not task["signal_arrived"]:
                self._waiting.add(path)
                is_form = "form" in (task["output"] or {})
                what = "approve" if is_form else f"signal {task['waits_for']}"
                print_note(f"{path} waits; in another terminal: compozy workflow {what} {self._id}")

    def _stop(self) -> Document:
        with suppress(ConflictError, NotFoundError):
            self._runs.cancel(self._id)
        try:
            return self._runs.get(self._id)
        except NotFoundError:
            # Interrupted before the run was stored.
            raise KeyboardInterrupt from None

    def _print(self, run: Document, message: str, answer: _Answer) -> bool:
        status = Status(run["status"])
        text = _reply_of(run, self._form.task) if status is Status.SUCCESS else None
        if self._request.as_json:
            known = {"execution_id": run["execution_id"], "status": run["status"], "error": run["error"]}
            print_line(json_text({"message": message, "reply": text, **known}))
        elif text is not None:
            answer.finish(text)
        elif status is Status.CANCELED:
            print_note("The answer was stopped; nothing of it is remembered.")
        elif not print_paused(run):
            answer.end()
            print_failure(run)
        return status is Status.SUCCESS


class _Answer:
    """Shows the answer of one task while it is written, on stdout if that is a terminal."""

    def __init__(self, task: str, *, is_shown: bool) -> None:
        self._task = task
        self._text = ""
        self._shown = 0
        self._source: tuple[int, int] | None = None
        self.is_shown = is_shown

    def add(self, delta: TextDelta) -> None:
        """Show a piece of the answer; another request or attempt starts on a new line."""
        if not self.is_shown or delta.path != self._task:
            return
        source = (delta.request, delta.attempt)
        if self._source not in {None, source}:
            self.end()
            self._text, self._shown = "", 0
        self._source = source
        # After a lost connection, the text so far comes again.
        self._text = self._text[: delta.offset] + delta.text
        if len(self._text) > self._shown:
            write_result(self._text[self._shown :])
            self._shown = len(self._text)

    def end(self) -> None:
        """End the line of a text that was shown."""
        if self._shown and not self._text.endswith("\n"):
            write_result("\n")
        self._shown = 0

    def finish(self, text: str) -> None:
        """End the answer, and print it if something else was shown."""
        was_shown = self._shown and self._text.strip() == text.strip()
        self.end()
        if not was_shown:
            write_result(text + "\n")


def _reply_of(run: Document, task_id: str) -> str:
    """Return the answer in the output of a run: its text, its one text value, or else its JSON."""
    output = run["output"]
    texts = _texts_of(output)
    if isinstance(output, str):
        return output
    found = next((texts[name] for name in _ANSWERS if name in texts), None)
    if found is not None or len(texts) == 1:
        return found if found is not None else next(iter(texts.values()))
    answered = next((task["output"] for task in run["tasks"] if task["path"] == task_id), None)
    return _texts_of(answered).get("text") or json_text(output)


def _texts_of(value: Any) -> dict[str, str]:
    items = cast("Document", value).items() if isinstance(value, dict) else ()
    return {name: text for name, text in items if isinstance(text, str)}
