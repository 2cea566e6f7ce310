"""Notifications of failed runs. A notification is a run whose definition has the kind `notification`.

It is stored in the transaction that ends the failed run (`compozy.durable.records.finish_run`). Each attempt is a
step, so that a crash repeats at most the last one; the receiver recognizes it by `webhook-id`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from compozy.clock import now_ms
from compozy.database.executions import Execution, finish_execution
from compozy.database.status import Status
from compozy.database.tasks import NewTask, TaskEnd, finish_task
from compozy.durable.context import current_run
from compozy.durable.records import NOTIFY_TASK
from compozy.durable.step import step, transact
from compozy.errors import CompozyError, ServerError, UsageError
from compozy.outbound.rules import OutboundError, OutboundPolicy, OutboundRequest, show_url
from compozy.outbound.send import send
from compozy.trigger.notification import Receiver
from compozy.trigger.signatures import Unsigned, sign_standard

DELAYS_S = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
"""Times between the attempts; after the last one, the notification fails."""
_GONE = 410
_TOTAL_S = 20.0
_MAX_ANSWER = 64 * 1024
_PRIVATE_HINT = "list the host in `runtime.native_tools.private_hosts` to allow it"

Attempt = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """Delivers notifications.

    Args:
        receiver_of: returns the receiver for a workflow, by the files of the project; raises a UsageError.
        private_hosts: hosts whose addresses can be private.
    """

    receiver_of: Callable[[str], Receiver]
    private_hosts: frozenset[str] = frozenset()

    async def execute(self, run: Execution) -> None:
        """Deliver one notification, or continue to.

        Raises:
            DatabaseError: it cannot continue here; it stays open.
        """
        attempts: list[Attempt] = []
        for number, delay_s in enumerate((*DELAYS_S, None)):
            attempt = await step(f"{NOTIFY_TASK}.{number}", partial(self._attempt, run, delay_s))
            attempts.append(attempt)
            if attempt["retry_ms"] is None:
                break
            await current_run().wait(until_ms=attempt["retry_ms"])
        await transact(f"{NOTIFY_TASK}.end", partial(_record_end, run=run, attempts=attempts))

    async def _attempt(self, run: Execution, delay_s: float | None) -> Attempt:
        """Send it once; return the status of the answer, the error, and the time of the next attempt."""
        retry_ms = None if delay_s is None else now_ms() + int(delay_s * 1000)
        try:
            receiver = self.receiver_of(run.input["data"]["workflow_id"])
        except UsageError as error:
            # The files or the environment of another process may differ.
            return {"status": None, "error": error.message, "retry_ms": retry_ms}
        # The path of such an address is often a secret.
        shown = _origin_of(receiver.url)
        try:
            status = await self._send(run, receiver)
        except OutboundError as error:
            message = error.message.replace(show_url(receiver.url), shown)
            message = f"{message} ({_PRIVATE_HINT})" if error.is_private else message
            return {"status": None, "error": message, "retry_ms": None if error.is_private else retry_ms}
        if 200 <= status < 300:
            return {"status": status, "error": None, "retry_ms": None}
        return {
            "status": status,
            "error": f"{shown} answered {status}",
            "retry_ms": None if status == _GONE else retry_ms,
        }

    async def _send(self, run: Execution, receiver: Receiver) -> int:
        body = json.dumps(run.input, ensure_ascii=False).encode()
        unsigned = Unsigned(body=body, delivery_id=run.workflow_exec_id, now_ms=now_ms())
        signed = [sign_standard(secret, unsigned) for secret in receiver.secrets]
        # A receiver that rotates its secret accepts any of the signatures.
        signature = {"webhook-signature": " ".join(headers["webhook-signature"] for headers in signed)}
        headers = {"content-type": "application/json", "user-agent": "compozy-webhook", **signed[0], **signature}
        policy = OutboundPolicy(max_bytes=_MAX_ANSWER, total_s=_TOTAL_S, private_hosts=self.private_hosts, cuts=True)
        request = OutboundRequest(method="POST", url=receiver.url, headers=headers, body=body)
        return (await send(request, policy)).status


def _origin_of(url: str) -> str:
    """Return a URL without its path and user."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _record_end(connection: sa.Connection, run: Execution, attempts: Sequence[Attempt]) -> None:
    last = attempts[-1]
    output = {"status": last["status"], "attempts": len(attempts)}
    error: CompozyError | None = None
    if last["error"] is not None:
        error = ServerError(
            f"the notification was not delivered: {last['error']}",
            details={"attempts": len(attempts), "status": last["status"]},
        )
    end = TaskEnd(
        status=Status.SUCCESS if error is None else Status.FAILED,
        attempts=len(attempts),
        output=output,
        error=None if error is None else error.to_json(),
    )
    task = NewTask(workflow_exec_id=run.workflow_exec_id, workflow_id=run.workflow_id, path=NOTIFY_TASK)
    finish_task(connection, task.task_exec_id, end)
    finish_execution(connection, run.workflow_exec_id, end.status, output=output, error=end.error)
