"""The measured figures that pages show: `docs/figures.json`, written by `make figures`, read by `make pages`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

FIGURES = Path(__file__).parents[2] / "docs/figures.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasuredOn(_Part):
    """The machine of a measurement. A version that was not recorded is empty."""

    system: str
    processor: str
    processors: int = Field(ge=1)
    memory_mb: int = Field(ge=0)
    python: str
    sqlite: str = ""
    postgres: str = ""


class Measurement(_Part):
    """The figures of one benchmark.

    Attributes:
        load_average: of one minute, of all processes, before the first benchmark; None if it was not recorded.
        seconds: duration of the benchmark; None if it was not recorded.
        note: a sentence about the circumstances, which pages show.
        rows: what the benchmark wrote.
    """

    command: str
    date: str = Field(pattern=r"^20\d\d-[01]\d-[0-3]\d$")
    load_average: float | None = Field(ge=0)
    seconds: float | None = Field(ge=0)
    machine: MeasuredOn
    note: str = ""
    rows: tuple[dict[str, Any], ...] = Field(min_length=1)


_STORED = TypeAdapter(dict[str, Measurement])


class FigureMissingError(LookupError):
    """A page shows a figure that was not measured."""


class Figures:
    """All measurements, by the names of their benchmarks."""

    def __init__(self, measurements: Mapping[str, Measurement]) -> None:
        self.measurements = dict(measurements)

    def rows(self, benchmark: str) -> tuple[dict[str, Any], ...]:
        """Return the rows of a benchmark.

        Raises:
            FigureMissingError: it was never measured.
        """
        if benchmark not in self.measurements:
            raise FigureMissingError(_missing(benchmark, "no figures", ""))
        return self.measurements[benchmark].rows

    def row(self, benchmark: str, **where: Any) -> dict[str, Any]:
        """Return the first row with these values.

        Raises:
            FigureMissingError: no row has them.
        """
        for row in self.rows(benchmark):
            if all(row.get(name) == value for name, value in where.items()):
                return row
        raise FigureMissingError(_missing(benchmark, "no row", _words(where)))

    def value(self, benchmark: str, name: str, **where: Any) -> Any:
        """Return one figure of the first row with these values.

        Raises:
            FigureMissingError: it was not measured.
        """
        row = self.row(benchmark, **where)
        if row.get(name) is None:
            raise FigureMissingError(_missing(benchmark, f"no `{name}`", _words(where)))
        return row[name]


def read_figures(file: Path = FIGURES) -> Figures:
    """Read the measurements."""
    return Figures(_STORED.validate_json(file.read_bytes()))


def write_figure(file: Path, benchmark: str, measurement: Measurement) -> None:
    """Replace the measurement of one benchmark, and leave the others."""
    measurements = read_figures(file).measurements if file.exists() else {}
    stored = dict(sorted({**measurements, benchmark: measurement}.items()))
    file.write_bytes(_STORED.dump_json(stored, indent=2) + b"\n")


def _missing(benchmark: str, missing: str, where: str) -> str:
    return f"docs/figures.json has {missing} of `{benchmark}`{where}: run `make figures BENCH={benchmark}`"


def _words(where: Mapping[str, Any]) -> str:
    return f" with {', '.join(f'{name} {value}' for name, value in where.items())}" if where else ""
