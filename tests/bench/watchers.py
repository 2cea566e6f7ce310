"""Runs per second with clients that watch them, compared with none: `python -m tests.bench.watchers`.

A server executes runs of one task that does nothing, in rounds that alternate between no watchers and 100. Each watcher
streams one run after the other until its end. Only the ratio of a pair of rounds is meaningful. The watchers need
processor time, too: they are one process beside the server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.sharedctypes import Synchronized

from tests.bench.measured import measured_server
from tests.bench.served import post_runs, serving
from tests.harness.servers import API, ask

_LOOK_S = 0.02
_JOIN_S = 60.0
_POSTERS = 4


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rounds. `ended` counts the streams that watchers read to their end."""

    database: str
    runs_per_s: float
    watched_runs_per_s: float
    ratio: float
    ended: int


def main() -> None:
    """Measure, and print a table or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=("file", "postgres"), default=["file", "postgres"])
    parser.add_argument("--runs", type=int, default=400, help="runs in each round")
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    pairs = measure(arguments.kinds, runs=arguments.runs, watchers=arguments.watchers, rounds=arguments.rounds)
    if arguments.json:
        print(json.dumps([asdict(pair) for pair in pairs]))
        return
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for pair in pairs:
        rates = f"{pair.runs_per_s:.1f} runs/s, {pair.watched_runs_per_s:.1f} watched"
        print(f"{pair.database:<10}{rates}: ratio {pair.ratio:.2f}")
    for kind in arguments.kinds:
        median = statistics.median(pair.ratio for pair in pairs if pair.database == kind)
        print(f"{kind}: median ratio {median:.2f}")


def measure(kinds: list[str], *, runs: int, watchers: int, rounds: int) -> list[Pair]:
    """Return the pairs of rounds on each kind of database."""
    pairs: list[Pair] = []
    with measured_server(kinds) as server:
        for kind in kinds:
            with serving(kind, server) as port:
                for number in range(rounds):
                    bare = _round(port, f"bare-{number}-", runs)
                    prefix = f"watched-{number}-"
                    with _watching(port, prefix, runs, watchers) as ended:
                        watched = _round(port, prefix, runs)
                    pairs.append(
                        Pair(
                            database=kind,
                            runs_per_s=round(bare, 1),
                            watched_runs_per_s=round(watched, 1),
                            ratio=round(watched / bare, 2),
                            ended=ended(),
                        )
                    )
    return pairs


def _round(port: int, prefix: str, runs: int) -> float:
    """Post runs, wait until all have ended, and return the runs per second."""
    began_s = time.monotonic()
    shares = [runs // _POSTERS + (number < runs % _POSTERS) for number in range(_POSTERS)]
    with ThreadPoolExecutor(_POSTERS) as pool:
        posts = [
            pool.submit(post_runs, port, share, prefix=f"{prefix}{poster}-") for poster, share in enumerate(shares)
        ]
        for post in posts:
            post.result()
    path = f"{API}/executions/workflows?limit=1&total=true&status=SUCCESS&id_prefix={prefix}"
    while ask(port, "GET", path).document["total"] < runs:
        time.sleep(_LOOK_S)
    return runs / (time.monotonic() - began_s)


@contextlib.contextmanager
def _watching(port: int, prefix: str, runs: int, watchers: int) -> Generator[Callable[[], int], None, None]:
    """Stream the runs of a round in another process; the value returns the number of streams that ended."""
    context = multiprocessing.get_context("spawn")
    count = context.Value("q", 0)
    process = context.Process(target=_watch_all, args=(port, prefix, runs, watchers, count))
    process.start()
    try:
        yield lambda: count.value
        process.join(_JOIN_S)
    finally:
        process.kill()
        process.join()


def _watch_all(port: int, prefix: str, runs: int, watchers: int, count: Synchronized[int]) -> None:
    names = [
        f"{prefix}{poster}-{number}"
        for number in range(runs // _POSTERS + 1)
        for poster in range(_POSTERS)
        if number < runs // _POSTERS + (poster < runs % _POSTERS)
    ]

    async def run() -> None:
        await asyncio.gather(*(_watch(port, names[first::watchers], count) for first in range(watchers)))

    asyncio.run(run())


async def _watch(port: int, names: list[str], count: Synchronized[int]) -> None:
    """Stream runs one after the other, each from its acceptance to its end."""
    for name in names:
        while not await _stream(port, name):  # noqa: ASYNC110 - the server is another process
            # The run is not accepted yet.
            await asyncio.sleep(_LOOK_S)
        count.value += 1


async def _stream(port: int, name: str) -> bool:
    """Return whether the run exists; its stream has been read to the end then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"{API}/executions/workflows/{name}/stream"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    content = await reader.read()
    writer.close()
    return content.startswith(b"HTTP/1.1 200") and b"event: complete" in content


if __name__ == "__main__":
    main()
