"""What `workflow cancel`, `pause`, `resume`, `signal` and `approve` ask for, and what they say of the answer.

Nothing here loads the database, so that a command that asks a server begins at once; `operate.py` does the same here.
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
    """One thing to be done to one execution."""

    execution_id: str
    path: ClassVar[str]

    def ask(self, client: Client) -> Document:
        """Have a server do it, and return its answer."""
        return client.post("executions", "workflows", self.execution_id, self.path, body=self.body())

    def body(self) -> Document:
        """Return what a server is sent."""
        return {}

    def tell(self, answer: Document, *, as_json: bool) -> int:
        """Print the answer and return the exit status."""
        if as_json:
            print_json(answer)
            return 0
        return self.say(answer)

    @abstractmethod
    def say(self, answer: Document) -> int:
        """Print the answer in words and return the exit status."""


@dataclass(frozen=True)
class Cancel(Verb):
    """End it before it is done."""

    path = "cancel"
    reason: str = "canceled"

    def body(self) -> Document:
        """Return what a server is sent."""
        return {"reason": self.reason}

    def say(self, answer: Document) -> int:
        """Print whether it has ended."""
        return _say_state(answer, Status.CANCELED, "canceled")


class Pause(Verb):
    """Halt it."""

    path = "pause"

    def say(self, answer: Document) -> int:
        """Print whether it halts."""
        return _say_state(answer, Status.PAUSED, "paused")


class Resume(Verb):
    """Let it go on."""

    path = "resume"

    def say(self, answer: Document) -> int:
        """Print that it goes on, and with whom."""
        print_line(f"Execution {answer['execution_id']} resumed")
        if answer.get("nobody_executes"):
            print_note(
                "note: no process executes runs of this project; it goes on with `compozy start`, `compozy worker` or "
                f"`compozy workflow get {answer['execution_id']} --wait`"
            )
        return 0


@dataclass(frozen=True)
class SendSignal(Verb):
    """Send it a signal."""

    path = "signals"
    name: str = ""
    payload: Any = None
    signal_id: str | None = None

    def body(self) -> Document:
        """Return what a server is sent."""
        return {"name": self.name, "payload": self.payload, "id": self.signal_id}

    def say(self, answer: Document) -> int:
        """Print that it was sent."""
        again = "" if answer["is_new"] else ", as it was before"
        print_line(f"Signal {answer['name']!r} sent to execution {answer['execution_id']}{again}")
        return 0


@dataclass(frozen=True)
class Approve(Verb):
    """Answer its form."""

    path = "approve"
    given: Any = None
    task: str | None = None

    def body(self) -> Document:
        """Return what a server is sent."""
        return {"input": self.given, "task": self.task}

    def say(self, answer: Document) -> int:
        """Print that the answer was taken."""
        print_line(f"Answer {answer['name']!r} sent to execution {answer['execution_id']}")
        return 0


AnyVerb = Cancel | Pause | Resume | SendSignal | Approve


def _say_state(answer: Document, wanted: Status, word: str) -> int:
    """Print whether an execution is in the state that was asked for; one that is not yet will be."""
    status = Status(answer["status"])
    if status is wanted:
        print_line(f"Execution {answer['execution_id']} {word}")
        return 0
    if answer.get("requested") == wanted.value:
        print_line(f"Execution {answer['execution_id']} will be {word} as soon as its process sees it; it is {status}")
        return 0
    print_note(f"execution {answer['execution_id']} is not {word}: it ended as {status}")
    return 1
