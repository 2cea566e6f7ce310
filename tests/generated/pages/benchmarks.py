"""Writes `project/benchmarks`: a section for each benchmark, with the figures of `docs/figures.json`."""

from __future__ import annotations

import textwrap
from collections import Counter

from tests.bench.figures import Figures, Measurement
from tests.generated.pages.latency import describe_machine
from tests.generated.pages.markdown import front
from tests.generated.pages.sections import SECTIONS, Section
from tests.generated.pages.tables import MISSING

_WIDTH = 140
_HEAD = """
`make figures` runs the benchmarks in a [checkout](/docs/contributing/overview) and writes their figures into the
pages. To measure your own project without a checkout, use [compozy bench](/docs/cli/bench).
"""
_TAIL = """
## Size and memory

[The edge](/docs/deployment/edge) lists the size of the one-file program and of the image. A server from the one-file
program with the workflow of `edge-deployment` used 156 MB of resident memory on 2026-11-30 (`make test-binary`).

## Next steps

- [Scaling](/docs/deployment/scaling): how to use the figures
- [Choosing a database](/docs/database/overview)
- [How we test](/docs/contributing/testing)
"""


def write_benchmarks(figures: Figures) -> str:
    """Return the page."""
    machines = Counter(describe_machine(measurement) for measurement in figures.measurements.values())
    usual = machines.most_common(1)[0][0]
    page = front("Benchmarks", "All measured figures of Compozy, with the commands, the machine and its load.") + _HEAD
    page += "\n" + wrap(
        f"The machine had {usual}, unless a section names another one. PostgreSQL ran on the same machine with `fsync` "
        "and `synchronous_commit` on, and SQLite with `synchronous: full`. Other machines have other figures; the "
        "ratios matter more than the milliseconds."
    )
    return page + "".join(_write_section(section, figures, usual) for section in SECTIONS) + _TAIL


def wrap(text: str) -> str:
    """Return a paragraph in lines that are not too long."""
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def _write_section(section: Section, figures: Figures, usual: str) -> str:
    """Return a section; without figures it names the command that measures them."""
    text = f"\n## {section.title}\n\n" + wrap(section.subject)
    measurement = figures.measurements.get(section.benchmark)
    command = f"`make figures BENCH={section.benchmark}`"
    if measurement is None:
        text += "\n" + wrap(f"These figures were not measured yet; {command} measures them.")
        return text + section.more
    table = section.table(measurement.rows)
    text += f"\n{table}\n" + wrap(section.meaning(measurement.rows))
    if f" {MISSING} " in table:
        text += "\n" + wrap(f"A figure with a dash ({MISSING}) was not measured; {command} measures it.")
    return text + "\n" + wrap(_origin(measurement, usual)) + section.more


def _origin(measurement: Measurement, usual: str) -> str:
    load = "was not recorded" if measurement.load_average is None else f"was {measurement.load_average:.1f}"
    machine = describe_machine(measurement)
    other = "" if machine == usual else f" The machine was another one, with {machine}."
    note = f" {measurement.note}" if measurement.note else ""
    origin = f"Measured on {measurement.date} with `{measurement.command}`. The load average at the start {load}."
    return origin + other + note
