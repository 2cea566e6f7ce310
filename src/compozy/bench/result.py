"""The result of one measurement as a file: what `--output` writes and `compozy schema bench` describes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

BENCH_SCHEMA_NAME = "bench.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Part):
    """Where it was measured."""

    system: str = Field(description="Operating system, its release and its architecture.")
    processor: str = Field(description="Model of the processor, as the system names it.")
    processors: int = Field(ge=1, description="Processors that the system shows.")
    memory_mb: int = Field(ge=0, description="Memory in MiB.")
    load_average: float = Field(ge=0, description="Load of the last minute before the measurement: others count too.")
    python: str = Field(description="Version of Python.")


class Stage(_Part):
    """One step of the second phase: so many runs at any moment."""

    at_once: int = Field(ge=1, description="Runs that were asked for at any moment.")
    runs: int = Field(ge=0, description="Runs that ended well.")
    failed: int = Field(ge=0, description="Runs that did not.")
    running: int = Field(ge=0, description="Most runs in state RUNNING at one moment.")
    p50_ms: float | None = Field(description="Median from acceptance to end.")
    p95_ms: float | None = Field(description="95 of 100 runs took no longer than this.")


class BenchResult(_Part):
    """What one database did with one workflow. Latencies are from a run's acceptance to its end."""

    format: Literal[1] = Field(default=1, description="Version of this document.")
    compozy_version: str
    measured_at: str = Field(description="When it began, RFC 3339 in UTC.")
    machine: Machine
    database: Literal["postgres", "sqlite"] = Field(description="Driver of the database.")
    workflow: str = Field(description="Id of the workflow that was run.")
    workflows: int = Field(ge=1, description="Runs of the first phase, all of them at once.")
    executed_s: float = Field(ge=0, description="From the first acceptance to the last end of these runs.")
    average_latency_ms: float = Field(ge=0, description="Mean of these runs.")
    p50_ms: float = Field(ge=0, description="Median of these runs.")
    p95_ms: float = Field(ge=0, description="95 of 100 of these runs took no longer than this.")
    peak_concurrency: int = Field(ge=0, description="Most runs in state RUNNING at one moment of the second phase.")
    ended_by: Literal["failure", "latency", "limit"] = Field(
        description="Why the second phase ended: a run failed, p95 passed five times the p50 at 1, or the highest load."
    )
    stages: tuple[Stage, ...] = Field(description="The second phase: the load is doubled from stage to stage.")


def bench_schema() -> dict[str, Any]:
    """Return the JSON Schema of a result."""
    schema = BenchResult.model_json_schema(mode="serialization")
    return {"$schema": _DIALECT, **schema, "title": "Result of compozy bench"}
