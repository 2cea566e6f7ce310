"""Answers the requests of a run in a test from the journal of a real run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from compozy.boundary import OutsideRequest
from compozy.database.status import Status
from compozy.durable.context import Recorded, current_run
from compozy.errors import InternalError, restore_error
from compozy.replay.cassette import Recording
from compozy.replay.config import Stubs
from compozy.replay.player import Mode, Player
from compozy.replay.secrets import Secrets


class JournalPlayer(Player):
    """Finds each answer by the name of its step and by its turn, and keeps it as if the outside had answered now.

    Args:
        steps: the journal of the real run.
        unfinished: paths of its tasks that were canceled or ran out of time; their last requests may have no answer.
        stubs: tasks that are replaced.
        secrets: masked in requests and answers.
        on_miss: called when the journal has no answer.
    """

    def __init__(
        self,
        steps: Iterable[Recorded],
        *,
        unfinished: frozenset[str],
        stubs: Stubs,
        secrets: Secrets,
        on_miss: Callable[[], None],
    ) -> None:
        super().__init__(Recording(), mode=Mode.RECORD, stubs=stubs, secrets=secrets, on_miss=on_miss)
        self._unfinished = unfinished
        self._steps: defaultdict[str, list[Recorded]] = defaultdict(list)
        for step in sorted(steps, key=lambda step: step.function_id):
            self._steps[step.name].append(step)

    async def _record(
        self, turn: int, request: OutsideRequest, content: Mapping[str, Any], perform: Callable[[], Awaitable[Any]]
    ) -> Any:
        del perform  # The outside is not asked.
        found = self._outcome_of(request.step)
        if found is None:
            if request.path in self._unfinished:
                self._keep(turn, request.kind, request.path, content, pending=True)
                return await self._never()
            return await self._miss(request, content, "\n  the execution did not make this request")
        if "error" in found:
            self._keep(turn, request.kind, request.path, content, error=self._secrets.mask(found["error"]))
            raise restore_error(found["error"])
        value = found["value"]
        if request.kind == "tools":
            value = _of_source(value, str(content["tools_of"]))
        elif request.kind == "attachment":
            value = _at_url(value, str(content["url"]))
        return self._keep_answer(turn, request, content, value)

    def _outcome_of(self, name: str) -> Mapping[str, Any] | None:
        recorded, turn = self._steps[name], current_run().turns(name)
        if turn > len(recorded):
            return None
        step = recorded[turn - 1]
        if step.error is not None:
            return {"error": InternalError(step.error).to_json()}
        return cast("Mapping[str, Any]", step.output)


def _at_url(attachments: Any, url: str) -> dict[str, Any]:
    """Return the attachment of a URL; a step records all attachments of a task."""
    return next(each for each in cast("list[dict[str, Any]]", attachments) if each["source"] == url)


def _of_source(specs: Any, source: str) -> list[Any]:
    """Return the tools of one source; a step records those of all sources of a task."""
    return [spec for spec in cast("list[dict[str, Any]]", specs) if (spec.get("source") or spec["name"]) == source]


UNFINISHED = frozenset({Status.CANCELED, Status.TIMED_OUT})
