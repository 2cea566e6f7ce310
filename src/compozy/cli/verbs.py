"""Requests and output of `workflow cancel`, `pause`, `resume`, `signal` and `approve`.

Nothing here loads the database, so that commands that use a server start quickly; `operate.py` applies them in this
process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from compozy.cli.output import print_json, print_line, print_note
from compozy.client import Client, Document
from compozy.database.status import Status


@dataclass(frozen=True)
class Verb(ABC):
    """A command on one execution."""

    execution_id: str
    path: ClassVar[str]

    def ask(self, client: Client) -> Document:
        """Send the command to a server and return its answer."""
        return client.post("executions", "workflows", self.execution_id, self.path, body=self.body())

    def body(self) -> Document:
        """Return the request body."""
        return {}

    def show(self, answer: Document, *, as_json: bool) -> int:
        """Print the answer and return the exit code."""
        if as_json:
            print_json(answer)
            return 0
        return self.say(answer)

    @abstractmethod
    def say(self, answer: Document) -> int:
        """Print the answer as text and return the exit code."""


@dataclass(frozen=True)
class Cancel(Verb):
    """Cancel an execution."""

    path = "cancel"
    reason: str = "canceled"

    def body(self) -> Document:
        """Return the request body."""
        return {"reason": self.reason}

    def say(self, answer: Document) -> int:
        """Print whether it has ended."""
        return _say_state(answer, Status.CANCELED, "canceled")


class Pause(Verb):
    """Pause an execution."""

    path = "pause"

    def say(self, answer: Document) -> int:
        """Print whether it is paused."""
        return _say_state(answer, Status.PAUSED, "paused")


class Resume(Verb):
    """Resume an execution."""

    path = "resume"

    def say(self, answer: Document) -> int:
        """Print that it is resumed, and how to execute it if no process does."""
        print_line(f"Execution {answer['execution_id']} resumed")
        if answer.get("nobody_executes"):
            print_note(
                "note: no process executes runs of this project; it continues with `compozy start`, `compozy "
                "worker` or "
                f"`compozy workflow get {answer['execution_id']} --wait`"
            )
        return 0


@dataclass(frozen=True)
class SendSignal(Verb):
    """Send a signal to an execution."""

    path = "signals"
    name: str = ""
    payload: Any = None
    signal_id: str | None = None

    def body(self) -> Document:
        """Return the request body."""
        return {"name": self.name, "payload": self.payload, "id": self.signal_id}

    def say(self, answer: Document) -> int:
        """Print that it was sent."""
        again = "" if answer["is_new"] else ", as before"
        print_line(f"Signal {answer['name']!r} sent to execution {answer['execution_id']}{again}")
        return 0


@dataclass(frozen=True)
class Approve(Verb):
    """Answer the form of a waiting task."""

    path = "approve"
    given: Any = None
    task: str | None = None

    def body(self) -> Document:
        """Return the request body."""
        return {"input": self.given, "task": self.task}

    def say(self, answer: Document) -> int:
        """Print that the answer was taken."""
        print_line(f"Answer {answer['name']!r} sent to execution {answer['execution_id']}")
        return 0


AnyVerb = Cancel | Pause | Resume | SendSignal | Approve


def _say_state(answer: Document, wanted: Status, word: str) -> int:
    """Print whether an execution has reached the requested state or will reach it."""
    status = Status(answer["status"])
    if status is wanted:
        print_line(f"Execution {answer['execution_id']} {word}")
        return 0
    if answer.get("requested") == wanted.value:
        print_line(
            f"Execution {answer['execution_id']} will be {word} as soon as its process reads the request; it is "
            f"{status}"
        )
        return 0
    print_note(f"execution {answer['execution_id']} is not {word}: it ended as {status}")
    return 1
