"""Kills the processes of nested runs at random and counts violations of the invariants: `make chaos`.

    python -m tests.harness.chaos FOLDER [--driver sqlite|postgres] [--kills N] [--seed N] [--json] [--mutant NAME]

Runs of one workflow with every type of task (`storm.py`) are accepted, get external signals, and are executed by
processes that are killed with SIGKILL: a third of them just before or after the commit that records a model's answer, a
taken signal or the end of a task; a third at any commit; a third after a random time. With `--mutant` the program is
broken on purpose, and the first round with violations is the last one. On SQLite there is one process at a time. On
PostgreSQL there are two, and the other one takes over. The program is imported once, and each process is a forked
child. A seed repeats the orders, not their interleaving, which depends on time.

It prints the number of checks and the violations of each invariant, and exits with 1 if there was a violation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.harness.forks import fork, import_program, is_killed, wait_for_file
from tests.harness.invariants import (
    NAMES,
    Findings,
    Snapshot,
    check_end,
    check_laps,
    next_steps_s,
    normal_form,
    take_snapshot,
    watch,
)
from tests.harness.ledger import serve_ledger
from tests.harness.mutants import MUTANTS
from tests.harness.stores import Store, open_store
from tests.harness.storm import NOT_YET, SIGNALS, Orders, make_tables, send, work, write_project

_RUNS = 3
# Kills in one round. After them, its runs continue to their end.
_KILLS = (4, 14)
_LAST_COMMIT = 80
# Steps whose commits are aimed at: how often, and the highest number of such a commit.
_AIMS = {".model.request": (6, 6), ".signal": (2, 3), ".end": (2, 20)}
_LAST_MOMENT_S = 1.5
# Share of the processes that may be killed before they are ready.
_EARLY = 0.2
_LEASE_S = 2.0
_ANSWER_AFTER_S = 0.03
_ROUND_S = 240.0
_TICK_S = 0.01
# Interval of the check which runs wait for a signal.
_LOOK_S = 0.2
_AT_GATE = "SELECT workflow_exec_id FROM task_states WHERE task_id = 'gate' AND started_ms IS NOT NULL"
# Runs that the process PID owns and that have a task at work at this moment.
_HELD = """\
SELECT DISTINCT w.workflow_exec_id FROM workflow_states w JOIN executors e ON e.executor_id = w.owner
JOIN task_states t ON t.workflow_exec_id = w.workflow_exec_id
WHERE e.pid = {pid} AND t.status = 'RUNNING' AND t.execution_type IN ('basic', 'router', 'aggregate', 'signal')"""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The folder, database and options of a series of rounds."""

    folder: Path
    ledger: Path
    port: str
    driver: str
    mutant: str | None = None
    round_s: float = _ROUND_S


@dataclass
class Totals:
    """Totals over all rounds."""

    seed: int
    driver: str
    kills: int = 0
    # Kills by their target.
    aimed: Counter[str] = field(default_factory=Counter[str])
    rounds: int = 0
    runs: int = 0
    asked: int = 0
    answers: int = 0
    standstills: int = 0
    early_signals: int = 0
    signals: int = 0
    steps_s: list[float] = field(default_factory=list[float])
    findings: Findings = field(default_factory=Findings)
    digest: str = ""

    def summary(self) -> dict[str, Any]:
        """Return the totals as a JSON document."""
        steps_s = sorted(self.steps_s) or [0.0]
        numbers = ("seed", "driver", "kills", "rounds", "runs", "asked", "answers", "standstills", "digest")
        return {
            **{name: getattr(self, name) for name in numbers},
            "kills_at": dict(sorted(self.aimed.items())),
            "signals": self.signals,
            "signals_before_the_wait": self.early_signals,
            "next_step_s": {
                "measured": len(self.steps_s),
                "p50": round(statistics.median(steps_s), 3),
                "p95": round(steps_s[int(len(steps_s) * 0.95)], 3),
                "max": round(steps_s[-1], 3),
            },
            "looked_at": {name: self.findings.looked[name] for name in NAMES},
            "faults": self.findings.faults,
        }


def main() -> None:
    """Run the chaos from the command line and print its totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--driver", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="chosen by chance, and printed, when left out")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument(
        "--mutant", choices=sorted(MUTANTS), help="apply a mutation to the program; violations are expected"
    )
    parser.add_argument("--round-s", type=float, default=_ROUND_S, help="how long a round may take")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / "ledger.txt"
    server = fork(serve_ledger, ledger, folder / "port", _ANSWER_AFTER_S)
    try:
        port = wait_for_file(folder / "port")
        import_program()
        place = Setup(
            folder=folder,
            ledger=ledger,
            port=port,
            driver=arguments.driver,
            mutant=arguments.mutant,
            round_s=arguments.round_s,
        )
        summary = kill_at_random(place, seed, arguments.kills).summary()
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
    _print(summary, as_json=arguments.json)
    sys.exit(1 if summary["faults"] else 0)


def kill_at_random(place: Setup, seed: int, kills: int) -> Totals:
    """Run rounds until `kills` processes were killed. The first round kills none."""
    count = Totals(seed=seed, driver=place.driver)
    chance = random.Random(seed)
    reference: dict[str, Any] = {}
    while count.kills < kills or not count.rounds:
        planned = min(chance.randint(*_KILLS), kills - count.kills) if count.rounds else 0
        with open_store(place.driver, place.folder / f"round-{count.rounds}") as store:
            this = _Round(place, store, chance, planned)
            this.run()
            reference = reference or normal_form(store, this.runs[0])
            this.check(reference, count)
        count.rounds += 1
        if place.mutant is not None and count.findings.faults:
            break
    count.digest = hashlib.sha256(json.dumps(reference, sort_keys=True).encode()).hexdigest()[:16]
    return count


class _Round:
    """Some runs on a fresh database, from the first process to the end of all runs."""

    def __init__(self, place: Setup, store: Store, chance: random.Random, kills: int) -> None:
        self.runs = tuple(f"run-{chance.randrange(16**8):08x}" for _ in range(_RUNS))
        self._place = place
        self._store = store
        self._chance = chance
        self._kills_left = kills
        self._workers: set[int] = set()
        # Processes to kill, and their targets.
        self._doomed: dict[int, str] = {}
        self._aimed: Counter[str] = Counter()
        self._laps: list[Snapshot] = []
        self._restarted_ms: list[int] = []
        self._statuses: list[int] = []
        # Half of the signals are sent as soon as the run is accepted, the others some time after a task waits for them.
        self._late_s = {run: chance.choice((None, chance.uniform(0.0, 2.0))) for run in self.runs}
        self._gate_s: dict[str, float] = {}
        self._looked_s = 0.0
        self._unsent = {run: list(SIGNALS) for run in self.runs}

    def run(self) -> None:
        """Start and kill processes, and send signals, until all runs have ended."""
        write_project(self._store, self._place.port)
        self._place.ledger.write_text("")
        made = os.waitpid(fork(make_tables, self._store.home), 0)[1]
        assert made == 0, self._errors()
        watch(self._store, self._place.driver)
        self._laps.append(self._snapshot())
        for _ in range(1 if self._place.driver == "sqlite" else 2):
            self._start()
        self._until(time.monotonic() + self._place.round_s)
        if self._restarted_ms and -1 not in self._statuses:
            self._close()
        self._laps.append(self._snapshot())

    def _until(self, end_s: float) -> None:
        """Replace killed workers until all have exited, at most until `end_s`."""
        while self._workers and time.monotonic() < end_s:
            self._replace_dead()
            self._send_due()
            time.sleep(_TICK_S)
        for pid in self._workers:
            self._statuses.append(-1)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._workers.clear()

    def _close(self) -> None:
        """Start one more process, which records the end of runs that ended just before the last process died."""
        if self._place.driver == "postgres":
            time.sleep(_LEASE_S)
        self._workers = {fork(work, self._store.home, self._orders())}
        self._until(time.monotonic() + self._place.round_s)

    def check(self, reference: dict[str, Any], count: Totals) -> None:
        """Check the final state and add it to the totals."""
        findings, end = count.findings, self._laps[-1]
        known = len(findings.faults)
        standstills = self._errors().count("Lease expired")
        findings.expect("I4", [status for status in self._statuses if status], [], "processes that did not end well")
        check_laps(self._laps, findings, standstills)
        check_end(self._store, self._accepted(), reference, end, findings)
        findings.expect("I4", "Traceback" in self._errors(), False, f"a traceback in {self._store.home}")
        findings.faults[known:] = [f"round {count.rounds}: {fault}" for fault in findings.faults[known:]]
        count.kills += len(self._laps) - 2
        count.aimed += self._aimed
        count.runs += len(self.runs)
        count.asked += end.asked.total()
        count.answers += end.answers.total()
        count.standstills += standstills
        count.steps_s += next_steps_s(self._store, self._laps, self._restarted_ms)
        self._count_signals(count)

    def _start(self) -> None:
        orders, aim = self._orders(), ""
        if self._kills_left > len(self._doomed):
            orders, aim = self._plan_kill(orders)
        pid = fork(work, self._store.home, orders)
        self._workers.add(pid)
        if aim:
            self._doomed[pid] = aim

    def _orders(self) -> Orders:
        return Orders(runs=self.runs, lease_s=_LEASE_S, mutant=self._place.mutant)

    def _plan_kill(self, orders: Orders) -> tuple[Orders, str]:
        """Return how a worker is killed, and the target."""
        chance, how = self._chance, self._chance.choice(("step", "commit", "moment"))
        if how == "step":
            step = chance.choices(list(_AIMS), [weight for weight, _ in _AIMS.values()])[0]
            number, when = chance.randint(1, _AIMS[step][1]), chance.choice(("before", "after"))
            return replace(orders, kill_step=step, kill_at=number, kill_when=when), f"{when} {step}"
        from_start = chance.random() < _EARLY
        if how == "commit":
            return replace(orders, kill_at=chance.randint(1, _LAST_COMMIT), from_start=from_start), "commit"
        return replace(orders, kill_after_s=chance.uniform(0.0, _LAST_MOMENT_S), from_start=from_start), "moment"

    def _replace_dead(self) -> None:
        """Replace workers that have died."""
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            self._workers.discard(pid)
            aim = self._doomed.pop(pid, "")
            if is_killed(status):
                self._kills_left -= 1
                self._aimed[aim] += 1
                held = [str(run) for (run,) in self._store.query(_HELD.replace("{pid}", str(pid)))]
                self._laps.append(self._snapshot(held))
                self._restarted_ms.append(_now_ms())
                self._start()
            else:
                self._statuses.append(status)

    def _send_due(self) -> None:
        if time.monotonic() - self._looked_s > _LOOK_S:
            self._looked_s = time.monotonic()
            for (run,) in self._store.query(_AT_GATE):
                self._gate_s.setdefault(str(run), time.monotonic())
        for run in sorted(self._accepted()):
            if self._unsent[run] and self._is_due(run):
                sender = fork(send, self._store.home, run, self._unsent[run][0])
                status = os.waitstatus_to_exitcode(os.waitpid(sender, 0)[1])
                self._statuses += [status] if status not in {0, NOT_YET} else []
                if status != NOT_YET:
                    del self._unsent[run][0]

    def _is_due(self, run: str) -> bool:
        late_s = self._late_s[run]
        if late_s is None:
            return True
        return run in self._gate_s and time.monotonic() >= self._gate_s[run] + late_s

    def _accepted(self) -> set[str]:
        """Return the runs whose acceptance was confirmed to a client."""
        path = self._store.home / "accepted"
        return set(path.read_text().split()) if path.exists() else set()

    def _count_signals(self, count: Totals) -> None:
        sent = self._store.query("SELECT workflow_exec_id, created_ms FROM signals WHERE sent_by IS NULL")
        query = "SELECT workflow_exec_id, started_ms FROM task_states WHERE task_id = 'gate'"
        began_ms = dict(self._store.query(query))
        count.signals += len(sent)
        count.early_signals += sum(at_ms < began_ms.get(run, 0) for run, at_ms in sent)

    def _snapshot(self, held: list[str] | None = None) -> Snapshot:
        return take_snapshot(self._store, self._place.ledger, _now_ms(), held or ())

    def _errors(self) -> str:
        return "".join(path.read_text() for path in sorted(self._store.home.glob("err-*")))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _print(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
        return
    faults: list[str] = summary["faults"]
    print(f"{'invariant':<10}{'checks':>10}{'failed':>8}")
    for name, looked in summary["looked_at"].items():
        wrong = sum(fault.partition(": ")[2].startswith(f"{name} ") for fault in faults)
        print(f"{name:<10}{looked:>10}{wrong:>8}")
    print(json.dumps({key: value for key, value in summary.items() if key not in {"looked_at", "faults"}}, indent=1))
    print("\n".join(faults))


if __name__ == "__main__":
    main()
