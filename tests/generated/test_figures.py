"""The figures in pages are those of `docs/figures.json`, and a missing figure names the command that measures it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench.figures import FigureMissingError, Figures, MeasuredOn, Measurement, read_figures, write_figure
from tests.bench.record import BENCHMARKS
from tests.docs.pages import ROOT, all_pages
from tests.generated.pages.benchmarks import write_benchmarks
from tests.generated.pages.figures import QUOTES, fill_quotes, write_documents
from tests.generated.pages.sections import SECTIONS
from tests.generated.pages.tables import MISSING, by_database

STORED = read_figures()
MACHINE = MeasuredOn(system="Linux 6.18.1 x86_64", processor="AMD EPYC", processors=4, memory_mb=8192, python="3.12.1")
DAY = {
    "database": "sqlite",
    "workflow": "mixed",
    "processes": 1,
    "minutes": 10.0,
    "per_minute": 200,
    "disturbances": 19,
    "runs": 2000,
    "lost": 0,
    "doubled": 0,
    "p50_ms": 640,
    "p95_ms": 910,
    "p95_ratio": 1.02,
    "memory_ratio": 1.01,
    "descriptors_ratio": 1.0,
    "processor_ms": 301.5,
}
# Pages that name a benchmark and show figures that `make figures` does not measure, with their date.
BY_HAND = {"docs/content/docs/knowledge-bases/overview.mdx": "--limit 120`, 2026-11-22)"}
# Pages that name benchmarks without figures.
NAMED_ONLY = {"CONTRIBUTING.md", "docs/content/docs/contributing/testing.mdx"}


def measured(*rows: dict[str, Any], load: float | None = 0.1) -> Measurement:
    return Measurement(
        command="python -m tests.bench.x", date="2026-11-30", load_average=load, seconds=1.5, machine=MACHINE, rows=rows
    )


def test_pages_show_the_stored_figures() -> None:
    written = write_documents(STORED)
    differing = [page for page, text in written.items() if (ROOT / page).read_text(encoding="utf-8") != text]
    assert differing == [], "run `make pages`"


def test_every_benchmark_of_the_page_can_be_measured() -> None:
    assert {section.benchmark for section in SECTIONS} == BENCHMARKS.keys()
    assert STORED.measurements.keys() <= BENCHMARKS.keys()
    assert all((ROOT / f"tests/bench/{name}.py").exists() for name in BENCHMARKS)


def test_every_page_that_names_a_benchmark_gets_its_figures() -> None:
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in all_pages()
        if re.search(r"tests\.bench\.|make figures", path.read_text(encoding="utf-8"))
    }
    assert naming - NAMED_ONLY <= {*write_documents(STORED), *BY_HAND}
    for page, dated in BY_HAND.items():
        assert dated in (ROOT / page).read_text(encoding="utf-8")


def test_a_missing_figure_names_its_command() -> None:
    without = Figures({name: each for name, each in STORED.measurements.items() if name != "workers"})
    with pytest.raises(FigureMissingError, match=r"no figures of `workers`: run `make figures BENCH=workers`"):
        write_documents(without)
    figures = Figures({"workers": measured({"workers": 4, "wait_ms": 200})})
    with pytest.raises(FigureMissingError, match="no `times_first` of `workers` with workers 4: run `make figures"):
        figures.value("workers", "times_first", workers=4)
    with pytest.raises(FigureMissingError, match="no row of `workers` with workers 8: run `make figures"):
        figures.row("workers", workers=8)


def test_a_section_without_figures_names_its_command() -> None:
    page = write_benchmarks(Figures({"workers": STORED.measurements["workers"]}))
    assert all(f"`make figures BENCH={name}` measures them" in page for name in BENCHMARKS if name != "workers")
    assert "BENCH=workers" not in page


def test_a_table_has_a_dash_for_a_figure_that_was_not_measured() -> None:
    row = {"database": "file", "few": 1000, "many": 100_000, "claim_ratio": 0.87}
    page = write_benchmarks(Figures({"claims": measured(row, load=None)}))
    assert f"| Claim with 100,000 waiting runs, median | {MISSING} |" in page
    assert "| Ratio | 0.87 |" in page
    assert "`make figures BENCH=claims` measures it" in page
    assert "The load average at the start was not recorded." in page


def test_the_table_of_a_day() -> None:
    page = write_benchmarks(Figures({"day": measured(DAY)}))
    section = page.partition("## A day in ten minutes")[2].partition("\n## ")[0]
    assert "| Figure | SQLite |\n|---|---|\n| Runs | mixed |\n| Processes | 1 |\n" in section
    assert "| Kills and restarts | 19 |" in section
    assert "| Memory, likewise | 1.01 |" in section
    assert MISSING not in section
    assert "The load average at the start was 0.1." in section
    assert "The machine had 4 processors (AMD EPYC), 8 GiB of memory, Linux 6.18 and Python 3.12" in " ".join(
        page.split()
    )


def test_a_burst_at_two_processes() -> None:
    row = {"database": "postgres-2", "accepted_per_s": 51.6, "times_postgres": 1.46}
    page = write_benchmarks(Figures({"burst": measured({**row, "database": "postgres"}, row)}))
    assert "| Figure | PostgreSQL | PostgreSQL, 2 processes |" in page
    assert "| Ended, relative to one process on PostgreSQL | 1.46 | 1.46 |" in page
    assert f"| POST, median | {MISSING} | {MISSING} |" in page


def test_figures_replace_those_of_a_page_across_lines() -> None:
    quotes = QUOTES["docs/content/docs/deployment/scaling.mdx"]
    page = (ROOT / "docs/content/docs/deployment/scaling.mdx").read_text(encoding="utf-8")
    changed = re.sub(r"[0-9.]+ times as much", "9.99 times as much", page)
    changed = re.sub(r"with [0-9]+ processors", "with\n  64 processors", changed)
    assert "9.99 times as much" in changed
    assert "  64 processors" in changed
    assert fill_quotes(changed, quotes, STORED, "page").split() == page.split()


def test_pages_show_the_highest_load_that_was_measured_on_both() -> None:
    rows = [dict(row) for row in STORED.rows("databases")]
    rows[1]["stages"] = rows[1]["stages"][:4]
    shorter = STORED.measurements["databases"].model_copy(update={"rows": tuple(rows)})
    readme = write_documents(Figures({**STORED.measurements, "databases": shorter}))["README.md"]
    sqlite, postgres = (f"{rows[number]['stages'][3]['p50_ms']:.0f} ms" for number in (1, 0))
    assert f"| Median latency, 8 concurrent runs | {sqlite} | {postgres} |" in readme


@pytest.mark.parametrize("text", ["No such text.", "an hour took 1.5 s today. It took 2.5 s today."])
def test_a_page_without_its_quote_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"page\.mdx must contain this text once"):
        fill_quotes(text, ("took {sqlite.1} s today",), STORED, "page.mdx")


def test_one_measurement_replaces_its_predecessor_only(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    for name, ratio in (("runs", 1.0), ("claims", 2.0), ("runs", 0.5)):
        write_figure(file, name, measured({"ratio": ratio}))
    figures = read_figures(file)
    assert [figures.value(name, "ratio") for name in ("claims", "runs")] == [2.0, 0.5]
    assert figures.measurements["runs"].machine == MACHINE


def test_counts_in_labels() -> None:
    rows = [{"database": "file", "many": 10_000, "x": 1.26}, {"database": "postgres", "many": 10_000}]
    assert by_database(rows, ("With {many}", "x", 1, "ms")) == (
        f"| Figure | SQLite | PostgreSQL |\n|---|---|---|\n| With 10,000 | 1.3 ms | {MISSING} |\n"
    )
