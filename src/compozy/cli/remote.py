"""`compozy workflow ...` through a server, with the same output and exit code as without one.

The id of a run is chosen here, so that asking again after a lost answer cannot begin a second one.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

from compozy.cli.arguments import ListRequest, RunRequest, name_known_run
from compozy.cli.endings import INTERRUPTED
from compozy.cli.find import Found
from compozy.cli.livetext import shows_text
from compozy.cli.output import print_json, print_line, print_note, print_warnings
from compozy.cli.progress import Follower, Progress
from compozy.cli.remote_ids import read_execution
from compozy.cli.remotetext import RemoteText
from compozy.cli.results import (
    has_foreign_format,
    is_waiting,
    print_detached,
    print_execution,
    print_foreign_format,
    print_listing,
    print_result,
)
from compozy.client import Client, Document
from compozy.clock import monotonic_s
from compozy.database.status import Status
from compozy.errors import ConflictError, NotFoundError, ServerError
from compozy.ids import new_execution_id

_TERMINATED = 143
_FIRST_LOOK_S = 0.02
_LOOK_S = 0.5
# How long a server may be away, for example while it restarts.
_AWAY_S = 30.0


def run_remotely(found: Found, request: RunRequest) -> int:
    """Have a server run a workflow, print the result, and return the exit code.

    Raises:
        CompozyError: it could not be run, or the server went away.
    """
    if request.repeats is not None:
        request = replace(request, repeats=read_execution(found.client, request.repeats)["execution_id"])
    return _RemoteRun(found.client, request).run()


def show_remote_list(found: Found, wanted: ListRequest, *, as_json: bool) -> None:
    """Print the workflows of the server's project and their latest executions."""
    workflows: list[Document] = found.client.get("workflows")["workflows"]
    runs: list[Document] = found.client.get("executions", "workflows", **wanted.to_query())["executions"]
    print_listing(workflows, runs, where=found.where, is_filtered=wanted.is_filtered, as_json=as_json)


def show_remote_execution(
    found: Found, execution_id: str, *, wait: bool, verbose: bool, as_json: bool, quiet: bool
) -> int:
    """Print one execution and its tasks; exit code 1 when it failed. The start of its ID is enough.

    Raises:
        NotFoundError: there is none of this id.
        UsageError: several start with it.
    """
    run = read_execution(found.client, execution_id)
    if wait and not Status(run["status"]).is_final:
        run = _Watch(found.client, run["execution_id"], quiet=quiet).until_ended()
        if has_foreign_format(run):
            print_foreign_format(run)
    requests: list[Document] | None = None
    if verbose:
        requests = found.client.get("executions", "workflows", run["execution_id"], "requests")["requests"]
    return print_execution(run, requests, as_json=as_json)


def wait_remotely(client: Client, execution_id: str, *, quiet: bool) -> Document:
    """Return an execution of a server after it has ended."""
    return _Watch(client, execution_id, quiet=quiet).until_ended()


class _TerminatedError(BaseException):
    """SIGTERM came."""


class _RemoteRun:
    """One run on a server, and what signals do to it."""

    def __init__(self, client: Client, request: RunRequest) -> None:
        self._client = client
        self._request = request
        self._id = request.execution_id or new_execution_id()

    def run(self) -> int:
        """Start it, follow it, and print how it ended."""
        if self._request.detach:
            return self._start_and_leave()
        with _sigterm_raises():
            try:
                run = self._start_and_wait()
            except KeyboardInterrupt:
                # The connection may have been cut in the middle of an answer.
                self._client.close()
                if self._waits():
                    print_detached(self._id, f"waiting on {self._client.url}")
                    return INTERRUPTED
                run = self._cancel()
            except _TerminatedError:
                print_note(f"Detached. Execution {self._id} is still running on {self._client.url}.")
                return _TERMINATED
        return print_result(run, as_json=self._request.as_json)

    def _start_and_leave(self) -> int:
        run = self._start()
        if self._request.as_json:
            print_json(run)
            return 0
        print_line(f"Execution {run['execution_id']} started on {self._client.url}")
        if not self._request.quiet:
            print_note(f"  compozy workflow get {run['execution_id']} --wait   wait for its result")
        return 0

    def _waits(self) -> bool:
        try:
            return is_waiting(self._client.get("executions", "workflows", self._id))
        except NotFoundError:
            return False

    def _start_and_wait(self) -> Document:
        run = self._start()
        if Status(run["status"]).is_final and not self._request.follows:
            return run
        watch = _Watch(self._client, self._id, quiet=self._request.quiet, follows=self._request.follows)
        return watch.until_ended()

    def _start(self) -> Document:
        run = self._post()
        if not self._request.quiet:
            print_warnings(run.get("warnings", []))
        return run

    def _post(self) -> Document:
        body: dict[str, Any] = {"input": self._request.given, "execution_id": self._id}
        if self._request.labels is not None:
            body["labels"] = self._request.labels
        if self._request.timeout_s is not None:
            body["timeout"] = self._request.timeout_s
        if self._request.repeats is not None:
            body["from"] = self._request.from_task
            return self._client.post("executions", "workflows", self._request.repeats, "rerun", body=body)
        try:
            follows = {"follow": "true"} if shows_text(quiet=self._request.quiet, follows=self._request.follows) else {}
            return self._client.post("workflows", self._request.workflow_id, "executions", body=body, **follows)
        except NotFoundError as error:
            if self._request.execution_id is not None and self._is_known():
                raise name_known_run(error, self._id) from error
            raise

    def _is_known(self) -> bool:
        try:
            self._client.get("executions", "workflows", self._id)
        except NotFoundError:
            return False
        return True

    def _cancel(self) -> Document:
        if not self._request.quiet:
            print_note("\ncanceling the run ... (press Ctrl-C again to exit immediately)")
        path = ("executions", "workflows", self._id)
        try:
            return self._client.post(*path, "cancel", body={"reason": "canceled with Ctrl-C"})
        except NotFoundError:
            # Interrupted before the server had heard of it.
            raise KeyboardInterrupt from None
        except ConflictError:
            return self._client.get(*path)


class _Watch:
    """Follows a run by asking for it."""

    def __init__(self, client: Client, execution_id: str, *, quiet: bool, follows: bool = False) -> None:
        self._client = client
        self._id = execution_id
        progress = Progress(execution_id, quiet=quiet, follows=follows)
        self._follower = Follower(execution_id, progress)
        self._text = RemoteText(client, execution_id, progress.text)

    def until_ended(self) -> Document:
        """Return the run once it has ended, or can only be ended by another version.

        Raises:
            ServerError: the server went away; the run goes on when it is back.
        """
        pause_s = _FIRST_LOOK_S
        with self._text.reading():
            while True:
                run = self._look()
                if Status(run["status"]).is_final:
                    self._text.finish()
                self._follower.update(run)
                if Status(run["status"]).is_final or has_foreign_format(run) or Status(run["status"]) is Status.PAUSED:
                    return run
                self._text.show_for(pause_s)
                pause_s = min(_LOOK_S, pause_s * 1.5)

    def _look(self) -> Document:
        deadline = monotonic_s() + _AWAY_S
        told = False
        while True:
            try:
                return self._client.get("executions", "workflows", self._id)
            except ServerError as error:
                if monotonic_s() >= deadline:
                    message = f"{error.message}; execution {self._id} continues when the server is available again"
                    raise ServerError(message, hint=error.hint) from error
                if not told:
                    print_note(f"waiting: {error.message}")
                    told = True
            time.sleep(_LOOK_S)


@contextmanager
def _sigterm_raises() -> Generator[None, None, None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
