"""Invariants of runs whose processes are killed at any moment, and the functions that check them.

The names are those of the pages: I1 accepted runs are never lost, I2 recorded steps are never repeated, I3 no answer is
paid for twice, I4 every run ends, I5 one owner, I6 timers, I7 each signal once, I8 the same result as without a kill,
and AGREE, tables and journal agree.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compozy.database.status import MOVES, Status
from tests.harness.eventlog import find_log_errors
from tests.harness.stores import Rows, Store
from tests.harness.storm import REQUESTS, SIGNAL, SIGNALS, SLEEP_MS, TIMEOUT_MS, UNANSWERED

NAMES = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "AGREE")
# Steps that are repeated under the same name: further attempts, and checks for a signal.
_AGAIN = (".retry", ".signal", ".model.request")
_RECORDED = """\
SELECT workflow_uuid, function_id, function_name, output, completed_at_epoch_ms
FROM {journal}operation_outputs ORDER BY workflow_uuid, function_id"""
_TASKS = """\
SELECT workflow_exec_id, task_exec_id, execution_type, status, attempts, output, error, created_ms, started_ms,
    finished_ms FROM task_states ORDER BY workflow_exec_id, task_exec_id"""
_TASK_COLUMNS = ("run", "key", "kind", "status", "attempts", "output", "error", "created_ms", "started_ms", "ended_ms")
_WATCH = {
    "sqlite": (
        """CREATE TRIGGER chaos_watch AFTER UPDATE OF status, owner ON workflow_states BEGIN
           INSERT INTO chaos_moves VALUES (NEW.workflow_exec_id, OLD.status, NEW.status, OLD.owner, NEW.owner); END""",
    ),
    "postgres": (
        "GRANT INSERT ON chaos_moves TO PUBLIC",
        """CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO public.chaos_moves VALUES
             (NEW.workflow_exec_id, OLD.status, NEW.status, OLD.owner, NEW.owner); RETURN NULL; END $$""",
        """CREATE TRIGGER chaos_watch AFTER UPDATE OF status, owner ON workflow_states
           FOR EACH ROW EXECUTE FUNCTION chaos_note()""",
    ),
}


@dataclass
class Findings:
    """The number of checks of each invariant, and the violations."""

    looked: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])

    def expect(self, name: str, found: object, right: object, what: str) -> None:
        """Count a check, and report a violation unless `found` equals `right`."""
        self.looked[name] += 1
        if found != right:
            self.faults.append(f"{name} {what}: {found!r}, not {right!r}")

    def allow(self, name: str, fine: bool, what: str) -> None:
        """Count a check, and report a violation unless `fine` is true."""
        self.expect(name, fine, True, what)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The journal and the ledger at one moment: rows by run and number, and the number of requests by prompt."""

    at_ms: int
    recorded: Mapping[tuple[str, int], tuple[str, str | None]]
    asked: Counter[str]
    # Runs for which the process that was killed at this moment was executing a task.
    held: frozenset[str] = frozenset()

    @property
    def answers(self) -> Counter[str]:
        """Number of recorded model answers by run and path, as in the ledger."""
        names = ((run, name) for (run, _), (name, _) in self.recorded.items())
        end = ".model.request"
        return Counter(f"{run} {name.removesuffix(end)}" for run, name in names if name.endswith(end))


def watch(store: Store, driver: str) -> None:
    """Let the database record each change of a run's state and owner."""
    store.change(
        "CREATE TABLE chaos_moves (run TEXT, was TEXT, became TEXT, owner TEXT, new_owner TEXT)", *_WATCH[driver]
    )


def take_snapshot(store: Store, ledger: Path, at_ms: int, held: Iterable[str] = ()) -> Snapshot:
    """Read first the journal, then the ledger: a request made in between counts as made before."""
    recorded = {(run, number): (name, output) for run, number, name, output, _ in store.query(_RECORDED)}
    # The words behind the path are instructions for the model server.
    asked = Counter(" ".join(line.split()[:2]) for line in ledger.read_text().splitlines())
    return Snapshot(at_ms=at_ms, recorded=recorded, asked=asked, held=frozenset(held))


def normal_form(store: Store, run_id: str) -> dict[str, Any]:
    """Return the result of a run without the parts that differ between runs: its ID and times."""
    found = store.query(f"SELECT status, output FROM workflow_states WHERE workflow_exec_id = '{run_id}'")
    tasks = {
        task["key"].partition("/")[2]: [task["status"], task["attempts"], task["output"], _code(task["error"])]
        for task in _tasks(store)
        if task["run"] == run_id
    }
    text = json.dumps({"status": found[0][0], "output": found[0][1], "tasks": tasks}, sort_keys=True)
    return json.loads(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text.replace(run_id, "RUN")))


def check_laps(laps: list[Snapshot], findings: Findings, standstills: int) -> None:
    """Check the time between each kill and the next; the last snapshot is the end.

    A process may repeat a request that was not recorded when the previous process died. No other request may be
    repeated.
    """
    end = laps[-1]
    for before, after in itertools.pairwise(laps):
        known = before.answers
        for prompt, count in (after.asked - before.asked).items():
            missing = REQUESTS[prompt.partition(" ")[2]] - known[prompt]
            what = f"{prompt} was asked {count} times between two kills, {missing} of its answers were not recorded"
            findings.allow("I3" if missing else "I2", count <= missing + standstills, what)
        lost = {key for key, step in before.recorded.items() if end.recorded.get(key) != step}
        findings.expect("I2", lost, set[Any](), "recorded steps that are gone or others now")


def check_end(store: Store, accepted: set[str], reference: dict[str, Any], end: Snapshot, findings: Findings) -> None:
    """Check the final state after all runs have ended."""
    runs = {
        str(run): (status, owner)
        for run, status, owner in store.query("SELECT workflow_exec_id, status, owner FROM workflow_states")
    }
    findings.expect("I1", accepted - runs.keys(), set[str](), "accepted, and not there")
    findings.expect("AGREE", find_log_errors(store), [], "event logs")
    for run_id, found in runs.items():
        findings.expect("I4", found, ("SUCCESS", None), f"state and owner of {run_id}")
        findings.expect("I8", _difference(normal_form(store, run_id), reference), {}, f"result of {run_id}")
        # The request that is never answered may time out before it is sent.
        asked = {path: end.asked[f"{run_id} {path}"] for path in REQUESTS}
        answers = {path: end.answers[f"{run_id} {path}"] for path in REQUESTS if path != UNANSWERED}
        findings.allow(
            "I3",
            all(asked[path] >= count for path, count in REQUESTS.items() if path != UNANSWERED),
            f"asked too little: {asked}",
        )
        findings.expect("I2", answers, {path: REQUESTS[path] for path in answers}, f"answers recorded of {run_id}")
    for what in ("executor_id FROM executors", "name FROM {journal}queues"):
        findings.expect("I4", store.query(f"SELECT {what}"), [], f"left: {what}")
    _check_moves(store, findings)
    _check_signals(store, runs, findings)
    _check_timers(store, findings)
    _check_agreement(store, runs, findings)


def _check_moves(store: Store, findings: Findings) -> None:
    for run, was, became, owner, new_owner in store.query("SELECT * FROM chaos_moves"):
        legal = was == became or Status(became) in MOVES[Status(was)]
        findings.allow("I4", legal, f"{run} went from {was} to {became}")
        # A process takes over only a run without an owner: the previous owner released it or was reaped.
        findings.allow(
            "I5", None in {owner, new_owner} or owner == new_owner, f"{run} went from {owner} to {new_owner}"
        )


def _check_signals(store: Store, runs: Mapping[str, Any], findings: Findings) -> None:
    rows = store.query("SELECT workflow_exec_id, name, signal_id, taken_by FROM signals ORDER BY created_ms, signal_id")
    for run_id in runs:
        mine = [row[1:] for row in rows if row[0] == run_id]
        gates = [
            (SIGNAL, f"{run_id}>{number}", f"{run_id}/{gate}")
            for number, gate in zip(SIGNALS, ("gate", "gate_again"), strict=True)
        ]
        inner = [("inner", f"{run_id}/fan/poke>{run_id}", f"{run_id}/fan/inner")]
        findings.expect("I7", sorted(mine), sorted(gates + inner), f"signals of {run_id} and who took them")


def _check_timers(store: Store, findings: Findings) -> None:
    tasks = {task["key"]: task for task in _tasks(store)}
    for key, task in tasks.items():
        if task["status"] not in {"SUCCESS", "TIMED_OUT"}:
            # I8 checks the value.
            continue
        if key.endswith("/chain/two"):
            before_ms = tasks.get(key.replace("/two", "/one"), {}).get("ended_ms") or math.inf
            slept_ms = task["started_ms"] - before_ms
            findings.allow("I6", slept_ms >= SLEEP_MS - 1, f"{key} began {slept_ms} ms after the task before it")
        if key.endswith(("/late", "/slow")):
            lasted_ms = task["ended_ms"] - task["started_ms"]
            findings.allow("I6", lasted_ms >= TIMEOUT_MS - 1, f"the time of {key} was over after {lasted_ms} ms")


def _check_agreement(store: Store, runs: Mapping[str, Any], findings: Findings) -> None:
    journal = dict(store.query("SELECT workflow_uuid, status FROM {journal}workflow_status"))
    findings.expect("AGREE", journal, dict.fromkeys(runs, "SUCCESS"), "the journal's runs")
    steps = [(str(run), str(name), output) for run, _, name, output, _ in store.query(_RECORDED)]
    again = {found for found, count in Counter(step[:2] for step in steps).items() if count > 1}
    findings.expect("I2", {name for _, name in again if not name.endswith(_AGAIN)}, set[str](), "steps recorded twice")
    ends = {f"{run}/{name.removesuffix('.end')}": output for run, name, output in steps if name.endswith(".end")}
    for task in _tasks(store):
        said = json.loads(ends[task["key"]])["status"] if task["key"] in ends else "CANCELED"
        findings.expect("AGREE", task["status"], said, f"{task['key']} in table and journal")
    findings.expect("AGREE", store.damage(), [], "integrity")


def _tasks(store: Store) -> list[dict[str, Any]]:
    return [dict(zip(_TASK_COLUMNS, row, strict=True)) for row in store.query(_TASKS)]


def _code(error: str | None) -> str | None:
    return None if error is None else str(json.loads(error)["code"])


def _difference(found: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    if found == right:
        return {}
    flat, expected = ({**document["tasks"], "output": document["output"]} for document in (found, right))
    keys = [key for key in {*flat, *expected} if flat.get(key) != expected.get(key)]
    return {key: (flat.get(key), expected.get(key)) for key in keys} or {"status": found["status"]}


def next_steps_s(store: Store, laps: list[Snapshot], restarted_ms: list[int]) -> list[float]:
    """Return the time from each restart to the first recorded step of a run that the dead process was executing.

    A kill counts only if a task was at work and the next kill did not come first.
    """
    steps: Rows = store.query(_RECORDED)
    found: list[float] = []
    for number, began_ms in enumerate(restarted_ms):
        held, until_ms = laps[number + 1].held, laps[number + 2].at_ms
        done = [at_ms for run, _, _, _, at_ms in steps if run in held and began_ms <= at_ms <= until_ms]
        found += [(min(done) - began_ms) / 1000] if done else []
    return found
