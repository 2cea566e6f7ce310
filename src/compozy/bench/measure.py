"""The two phases of a benchmark: a fixed number of concurrent runs, then a rising load until a limit is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compozy import __version__
from compozy.bench.figures import average_latency_ms, executed_s, most_running, quantile_ms
from compozy.bench.load import Job, Volley, drive
from compozy.bench.machine import describe_machine
from compozy.bench.result import BenchResult, Stage
from compozy.client import Client
from compozy.clock import format_time, now_ms
from compozy.errors import CompozyError

# The second phase ends when the p95 is this many times the median of one concurrent run.
_TOO_SLOW = 5
_FEWEST_RUNS = 10
_RUNS_FOR_EACH = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parameters of a benchmark.

    Args:
        job: the workflow to execute.
        workflows: number of runs of the first phase, all concurrent.
        max_load: highest load of the second phase.
    """

    job: Job
    workflows: int
    max_load: int


def measure(server: Client, database: Literal["postgres", "sqlite"], plan: Plan) -> BenchResult:
    """Benchmark the server's database.

    Raises:
        CompozyError: a run of the first phase or the warm-up run failed.
    """
    machine, measured_at = describe_machine(), format_time(now_ms()) or ""
    # The first run of a server waits until model libraries are loaded.
    _all_well(drive(server, plan.job, runs=1, at_once=1))
    first = _all_well(drive(server, plan.job, runs=plan.workflows, at_once=plan.workflows))
    stages, ended_by = _raise_load(server, plan)
    return BenchResult(
        compozy_version=__version__,
        measured_at=measured_at,
        machine=machine,
        database=database,
        workflow=plan.job.workflow_id,
        workflows=plan.workflows,
        executed_s=executed_s(first.times),
        average_latency_ms=round(average_latency_ms(first.times), 1),
        p50_ms=round(quantile_ms(first.times, 50), 1),
        p95_ms=round(quantile_ms(first.times, 95), 1),
        peak_concurrency=max(stage.running for stage in stages),
        ended_by=ended_by,
        stages=tuple(stages),
    )


def _raise_load(server: Client, plan: Plan) -> tuple[list[Stage], Literal["failure", "latency", "limit"]]:
    stages: list[Stage] = []
    at_once = 1
    while True:
        runs = max(_FEWEST_RUNS, _RUNS_FOR_EACH * at_once)
        stages.append(_to_stage(drive(server, plan.job, runs=runs, at_once=at_once), at_once))
        if stages[-1].failed:
            return stages, "failure"
        if (stages[-1].p95_ms or 0.0) > _TOO_SLOW * (stages[0].p50_ms or 0.0):
            return stages, "latency"
        at_once *= 2
        if at_once > plan.max_load:
            return stages, "limit"


def _to_stage(volley: Volley, at_once: int) -> Stage:
    times = volley.times
    return Stage(
        at_once=at_once,
        runs=len(times),
        failed=len(volley.faults),
        running=most_running(times),
        p50_ms=round(quantile_ms(times, 50), 1) if times else None,
        p95_ms=round(quantile_ms(times, 95), 1) if times else None,
    )


def _all_well(volley: Volley) -> Volley:
    if volley.faults:
        raise _as_error(volley.faults[0])
    return volley


def _as_error(fault: CompozyError) -> CompozyError:
    return type(fault)(f"benchmark failed: {fault.message}", hint=fault.hint, details=fault.details)
