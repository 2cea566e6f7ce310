"""The cost of the event log: runs per second with it and without it, in one process.

`python -m tests.bench.events` executes runs of five tasks that do nothing, in rounds that alternate, and prints the
ratio of the medians of each pair of rounds. Only the ratio means something on a machine with other load.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from contextlib import ExitStack
from unittest import mock

from compozy.database import budgets, events, signals, tasks
from compozy.database.database import Database
from compozy.task import tools
from tests.bench.measured import KINDS, measured_server, new_place
from tests.bench.runs import Side, our_round


def main() -> None:
    """Measure, and print a line for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="runs in each round")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of rounds")
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--driver", nargs="*", choices=KINDS, default=list(KINDS), help="databases to measure")
    arguments = parser.parse_args()
    with measured_server(arguments.driver) as server:
        for kind in arguments.driver:
            logged, bare = Side(), Side()
            for _ in range(arguments.rounds):
                for side in (logged, bare):
                    with new_place(kind, server) as database:
                        asyncio.run(_round(database, side, arguments.at_once, arguments.runs, is_logged=side is logged))
            ratios = [without / with_ for with_, without in zip(logged.rounds_s, bare.rounds_s, strict=True)]
            rates = [arguments.runs / statistics.median(side.rounds_s) for side in (logged, bare)]
            shown = " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
            print(
                f"{kind}: {rates[0]:.1f} runs/s with the log, {rates[1]:.1f} without; "
                f"ratio {statistics.median(ratios):.2f} (pairs: {shown})"
            )


async def _round(database: Database, side: Side, at_once: int, runs: int, *, is_logged: bool) -> None:
    if is_logged:
        await our_round(database, side, at_once, runs)
        return
    with ExitStack() as patched:
        for module in (budgets, events, signals, tasks, tools):
            patched.enter_context(mock.patch.object(module, "append_events"))
        await our_round(database, side, at_once, runs)


if __name__ == "__main__":
    main()
