"""A day of work in ten minutes, with kills and restarts: `python -m tests.bench.day [--minutes N]`.

On SQLite one server gets 200 mixed runs a minute; on PostgreSQL two servers get 1,000 small runs a minute, and two
workers execute them, too. `--workflow` chooses the other kind of run:

- mixed: passes values on, asks a site over HTTP, which refuses the first request of half of the runs, maps a
  collection, calls a workflow and waits; about ten tasks;
- small: passes values on, pauses for 0.2 s and takes one of two routes; three or four tasks.

Every half minute a process is killed or restarted gracefully, in turn; `--seed` chooses it. On PostgreSQL the first
server is left alone.

It prints a line for each minute, and at the end whether runs were lost or steps doubled, and the ratios of the last
third to the first one. It exits with 1 if something was lost or doubled, or if latency, memory or file descriptors
grew. Only ratios mean something on a busy machine. The processor time of a run is that of all processes, their starts,
the database and the clients.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from compozy.config.settings import DatabaseSettings
from tests.bench.daywork import WORKS, Clients, Site, list_wrong, run_site, write_day
from tests.bench.fleet import Fleet, Sample
from tests.bench.measured import measured_server
from tests.bench.report import add_json, write_rows
from tests.bench.stored import Run, Stored
from tests.harness.postgres import Server, database_on
from tests.harness.processor import family_cpu_s


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """The day of a database: runs per minute, the kind of run, and the command of each process."""

    per_minute: int
    work: str
    roles: tuple[str, ...]


_SHAPES: dict[str, _Shape] = {
    "sqlite": _Shape(per_minute=200, work="mixed", roles=("start",)),
    "postgres": _Shape(per_minute=1000, work="small", roles=("start", "start", "worker", "worker")),
}
_MINUTE_S = 60.0
_DISTURB_S = 30.0
_SAMPLE_S = 1.0
# After the last request, all runs end in this time.
_DRAIN_S = 180.0
# Largest ratios of the last third to the first one. A pause of the machine is not growth.
_LIMITS = {"p95": 1.5, "memory": 1.25, "descriptors": 1.25}
_PAUSE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Result:
    """The end of one database's day.

    Attributes:
        ended: times of runs, in seconds.
        spent_s: processor time of the servers, the database and the clients.
    """

    driver: str
    workflow: str
    per_minute: int
    minutes: float
    disturbances: int
    runs: int
    ended: Sequence[float]
    lost: Sequence[str]
    doubled: Sequence[str]
    ratios: dict[str, float]
    limits: dict[str, float]
    faults: Sequence[str] = ()
    spent_s: dict[str, float] = field(default_factory=dict[str, float])

    def problems(self) -> list[str]:
        """Return what must not be."""
        grown = [
            f"{name} grew to {ratio:.2f} times" for name, ratio in self.ratios.items() if ratio > self.limits[name]
        ]
        lost = [f"{len(self.lost)} runs are lost, such as {self.lost[0]}"] if self.lost else []
        doubled = [f"{len(self.doubled)} were doubled, such as {self.doubled[0]}"] if self.doubled else []
        return [*lost, *doubled, *self.faults, *grown]

    def row(self) -> dict[str, Any]:
        """Return the figures of the day."""
        return {
            "database": self.driver,
            "workflow": self.workflow,
            "processes": len(_SHAPES[self.driver].roles),
            "minutes": self.minutes,
            "per_minute": self.per_minute,
            "disturbances": self.disturbances,
            "runs": self.runs,
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "p50_ms": round(statistics.median(self.ended) * 1000),
            "p95_ms": round(_p95(self.ended) * 1000),
            **{f"{name}_ratio": round(ratio, 2) for name, ratio in self.ratios.items()},
            "processor_ms": round(sum(self.spent_ms().values()), 1),
            **{f"{name}_processor_ms": spent_ms for name, spent_ms in self.spent_ms().items()},
        }

    def spent_ms(self) -> dict[str, float]:
        """Return the processor time for each run, by place."""
        return {name: round(spent_s * 1000 / max(1, self.runs), 1) for name, spent_s in self.spent_s.items()}


def main() -> None:
    """Run the days, print their minutes, and exit with 1 if something was lost, doubled or grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--driver", choices=sorted(_SHAPES), action="append", help="one database only")
    parser.add_argument("--workflow", choices=sorted(WORKS), help="kind of run, instead of mixed and small")
    parser.add_argument("--per-minute", type=int, help="runs per minute, instead of 200 and 1,000")
    parser.add_argument("--seed", type=int, default=1, help="chooses the processes that are killed and restarted")
    add_json(parser)
    arguments = parser.parse_args()
    results: list[_Result] = []
    for driver in arguments.driver or sorted(_SHAPES, reverse=True):
        shape = _SHAPES[driver]
        per_minute, workflow = arguments.per_minute or shape.per_minute, arguments.workflow or shape.work
        with measured_server([driver]) as server:
            results.append(_Day(driver, workflow, per_minute, arguments.minutes, arguments.seed).run(server))
        _print(results[-1])
    write_rows([result.row() for result in results], arguments.json)
    sys.exit(any(result.problems() for result in results))


@dataclass
class _Day:
    """The work on one database, from the first process to the last check."""

    driver: str
    workflow: str
    per_minute: int
    minutes: float
    seed: int
    samples: list[Sample] = field(default_factory=list[Sample])
    disturbances: int = 0
    disturbed: set[str] = field(default_factory=set[str])
    statuses: list[str] = field(default_factory=list[str])

    def run(self, server: Server | None) -> _Result:
        """Start the processes, do the work of the day, and check what is stored."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compozy-day-")))
            settings = DatabaseSettings(driver="sqlite", path=str(folder / "compozy.db"))
            if server is not None:
                settings = stack.enter_context(database_on(server))
            site = stack.enter_context(run_site())
            write_day(folder, settings.model_dump(mode="json", exclude_unset=True), WORKS[self.workflow], site)
            before_s = _spent_s(server)
            fleet = Fleet(folder, _SHAPES[self.driver].roles)
            stack.callback(fleet.kill)
            stored = Stored(settings)
            clients = Clients(lambda: fleet.ports)
            began_ms = time.time() * 1000
            with self._watched(fleet, stored, clients, began_ms):
                clients.start_runs(int(self.minutes * self.per_minute), _MINUTE_S / self.per_minute)
                ended_ms = time.time() * 1000
                backlog = stored.count_unfinished()
            late = _wait_for_end(stored)
            ended = [status for status in fleet.stop() if status]
            spent_s = {name: spent - before_s[name] for name, spent in _spent_s(server).items()}
            faults = [f"processes ended with {ended}"] * bool(ended) + self.statuses + _errors_in(fleet)
            # Half a minute: runs wait and are tried again.
            faults += [f"{backlog} runs had not ended when the last one was accepted"] * (backlog > self.per_minute / 2)
            faults += [f"{late} runs had not ended {_DRAIN_S:g} s after the last one was accepted"] * bool(late)
            faults += [f"{run} was never accepted" for run in sorted(clients.unconfirmed)]
            result = self._judge(stored, clients, site, (began_ms, ended_ms))
            return replace(result, faults=faults, spent_s=spent_s)

    def _judge(self, stored: Stored, clients: Clients, site: Site, span_ms: tuple[float, float]) -> _Result:
        runs = stored.runs()
        p95_s = _p95_of_thirds(runs, span_ms)
        doubled = [f"step {step}" for step in stored.steps_recorded_twice()]
        # A request is repeated if its process was killed before it recorded the answer.
        doubled += [f"request of {run}" for run in sorted(site.asked_again() - self.disturbed)]
        rows = [(run.run_id, run.status, run.output) for run in runs]
        return _Result(
            driver=self.driver,
            workflow=self.workflow,
            per_minute=self.per_minute,
            minutes=self.minutes,
            disturbances=self.disturbances,
            runs=len(clients.accepted),
            ended=[run.seconds for run in runs if run.finished_ms],
            lost=list_wrong(rows, clients.accepted, WORKS[self.workflow]),
            doubled=doubled,
            ratios={"p95": p95_s[1] / p95_s[0], **_ratios(self.samples)},
            limits={**_LIMITS, "p95": _LIMITS["p95"] + _PAUSE_S / p95_s[0]},
        )

    @contextlib.contextmanager
    def _watched(self, fleet: Fleet, stored: Stored, clients: Clients, began_ms: float) -> Generator[None, None, None]:
        """Sample, report and disturb the processes while the block lasts."""
        over = threading.Event()
        chance = random.Random(self.seed)
        bodies: list[tuple[float, Callable[[int], None]]] = [
            (_SAMPLE_S, lambda _: self.samples.extend(fleet.sample())),
            (_MINUTE_S, lambda number: self._report(fleet, stored, clients, number, began_ms)),
            (_DISTURB_S, lambda number: self._disturb(fleet, stored, chance, number)),
        ]
        pace = f"{self.per_minute} {self.workflow} runs a minute"
        print(f"\n{self.driver}: {pace}, {len(fleet.members)} processes, seed {self.seed}")
        headings = f"{'MINUTE':>6}{'ACCEPTED':>10}{'ENDED':>8}{'P50 S':>8}{'P95 S':>8}{'DB MIB':>8}"
        print(f"{headings}  MIB/DESCRIPTORS", flush=True)
        threads = [threading.Thread(target=_repeat, args=(over, *body), daemon=True) for body in bodies]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _disturb(self, fleet: Fleet, stored: Stored, chance: random.Random, number: int) -> None:
        """Kill a process, or restart it gracefully, in turn."""
        victims = fleet.members[1:] or fleet.members
        victim = chance.choice(victims)
        self.disturbances += 1
        if number % 2:
            victim.process.send_signal(signal.SIGSTOP)
            self.disturbed.update(stored.runs_of(victim.process.pid))
            victim.process.kill()
        else:
            victim.process.terminate()
            # Runs that it does not finish in time are interrupted.
            self.disturbed.update(stored.runs_of(victim.process.pid))
        status = fleet.replace(victim)
        if status not in {0, -signal.SIGKILL}:
            self.statuses.append(f"{victim.name} ended with {status} after SIGTERM")

    def _report(self, fleet: Fleet, stored: Stored, clients: Clients, number: int, began_ms: float) -> None:
        """Print the minute that has just ended."""
        minute = range(int(began_ms + (number - 1) * _MINUTE_S * 1000), int(began_ms + number * _MINUTE_S * 1000))
        times_s = [run.seconds for run in stored.runs() if run.finished_ms in minute] or [0.0]
        latest = {sample.name: sample for sample in self.samples[-2 * len(fleet.members) :]}
        shown = (f"{name} {sample.rss_mib:.0f}/{sample.descriptors}" for name, sample in sorted(latest.items()))
        figures = f"{statistics.median(times_s):>8.2f}{_p95(times_s):>8.2f}{stored.size_mib():>8.1f}"
        print(f"{number:>6}{len(clients.accepted):>10}{len(times_s):>8}{figures}  {'  '.join(shown)}", flush=True)


def _repeat(over: threading.Event, every_s: float, body: Callable[[int], None]) -> None:
    """Call `body` at each multiple of a time, and no sooner than half of it after the last call has returned."""
    number = 0
    began_s = time.monotonic()
    while not over.wait(max(every_s / 2, began_s + (number + 1) * every_s - time.monotonic())):
        number += 1
        body(number)


def _wait_for_end(stored: Stored) -> int:
    """Wait until all runs have ended, and return how many have not."""
    ends_s = time.monotonic() + _DRAIN_S
    while (left := stored.count_unfinished()) and time.monotonic() < ends_s:
        time.sleep(_SAMPLE_S)
    return left


def _spent_s(server: Server | None) -> dict[str, float]:
    """Return the processor time until now: of the processes that have ended, of the database, and of the clients."""
    ended, own = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return {
        "servers": ended.ru_utime + ended.ru_stime,
        "database": family_cpu_s(server.pid) if server else 0.0,
        "clients": own.ru_utime + own.ru_stime,
    }


def _errors_in(fleet: Fleet) -> list[str]:
    broken = (member.name for member in fleet.members if "Traceback" in fleet.log_of(member))
    return [f"a traceback in the log of {name}" for name in broken]


def _p95_of_thirds(runs: Sequence[Run], span_ms: tuple[float, float]) -> tuple[float, float]:
    """Return the p95 of the runs of the first third of the day, and of those of the last one."""
    began_ms, ended_ms = span_ms
    third_ms = (ended_ms - began_ms) / 3
    first = [run.seconds for run in runs if run.finished_ms and run.created_ms < began_ms + third_ms]
    last = [run.seconds for run in runs if run.finished_ms and run.created_ms >= ended_ms - third_ms]
    return _p95(first), _p95(last)


def _ratios(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the ratios of the last third of the day to the first one."""
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    third_s = (last_s - first_s) / 3
    early = [sample for sample in samples if sample.at_s <= first_s + third_s]
    late = [sample for sample in samples if sample.at_s >= last_s - third_s]
    return {
        "memory": statistics.mean(s.rss_mib for s in late) / statistics.mean(s.rss_mib for s in early),
        "descriptors": statistics.mean(s.descriptors for s in late) / statistics.mean(s.descriptors for s in early),
    }


def _p95(times_s: Sequence[float]) -> float:
    return sorted(times_s)[int(len(times_s) * 0.95)]


def _print(result: _Result) -> None:
    ratios = ", ".join(
        f"{name} {ratio:.2f} (at most {result.limits[name]:.2f})" for name, ratio in result.ratios.items()
    )
    print(f"{result.runs} runs accepted, {len(result.lost)} lost, {len(result.doubled)} doubled")
    print(f"last third to first third: {ratios}")
    parts = ", ".join(f"{name} {spent_ms:g}" for name, spent_ms in result.spent_ms().items())
    print(f"processor time of a run: {sum(result.spent_ms().values()):.1f} ms ({parts})")
    for problem in result.problems():
        print(f"FAILED: {problem}")


if __name__ == "__main__":
    main()
