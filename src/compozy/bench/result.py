"""The result of one benchmark as a file: written by `--output`, described by `compozy schema bench`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

BENCH_SCHEMA_NAME = "bench.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Part):
    """The machine of the benchmark."""

    system: str = Field(description="Operating system, release and architecture.")
    processor: str = Field(description="Processor model, as reported by the system.")
    processors: int = Field(ge=1, description="Number of processors reported by the system.")
    memory_mb: int = Field(ge=0, description="Memory in MiB.")
    load_average: float = Field(ge=0, description="1-minute load average before the benchmark, of all processes.")
    python: str = Field(description="Python version.")


class Stage(_Part):
    """One stage of the second phase, with a fixed number of concurrent runs."""

    at_once: int = Field(ge=1, description="Requested number of concurrent runs.")
    runs: int = Field(ge=0, description="Number of successful runs.")
    failed: int = Field(ge=0, description="Number of failed runs.")
    running: int = Field(ge=0, description="Highest number of runs in state RUNNING at the same moment.")
    p50_ms: float | None = Field(description="Median latency from acceptance to end.")
    p95_ms: float | None = Field(description="95th percentile of the latency.")


class BenchResult(_Part):
    """The figures of one database for one workflow. Latencies are from a run's acceptance to its end."""

    format: Literal[1] = Field(default=1, description="Version of this document.")
    compozy_version: str
    measured_at: str = Field(description="Start time, RFC 3339 in UTC.")
    machine: Machine
    database: Literal["postgres", "sqlite"] = Field(description="Database driver.")
    workflow: str = Field(description="ID of the executed workflow.")
    workflows: int = Field(ge=1, description="Number of runs of the first phase, all concurrent.")
    executed_s: float = Field(ge=0, description="Time from the first acceptance to the last end of these runs.")
    average_latency_ms: float = Field(ge=0, description="Mean latency of these runs.")
    p50_ms: float = Field(ge=0, description="Median latency of these runs.")
    p95_ms: float = Field(ge=0, description="95th percentile of the latency of these runs.")
    peak_concurrency: int = Field(ge=0, description="Highest number of RUNNING runs at one moment of the second phase.")
    ended_by: Literal["failure", "latency", "limit"] = Field(
        description="Why the second phase ended: a run failed, p95 exceeded 5 x the p50 at 1, or maximum load reached."
    )
    stages: tuple[Stage, ...] = Field(description="The second phase: the load doubles from stage to stage.")


def bench_schema() -> dict[str, Any]:
    """Return the JSON Schema of a benchmark result."""
    schema = BenchResult.model_json_schema(mode="serialization")
    return {"$schema": _DIALECT, **schema, "title": "Result of compozy bench"}
