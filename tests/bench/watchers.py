"""Runs per second while clients watch the runs, compared with none: `python -m tests.bench.watchers`.

In each round, 100 clients post one run each, of 20 tasks that do nothing. In every second round, each client also
streams its run: it requests the stream on the same connection as soon as its POST is answered, and reads it to the end.
It must receive the whole log, the numbers from 1 without a gap. No client asks for a run that does not exist yet.

Only the ratio of a pair of rounds is meaningful. The clients are one process, which needs processor time, too, so the
processor time of the server for each run is printed as well. With `--tasks 1`, a run is so short that the cost of the
request for its stream is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass

from tests.bench.measured import measured_server
from tests.bench.report import add_json, medians, print_rows, report
from tests.bench.served import Served, processor_time_s, serving
from tests.harness.servers import API, ask

_LOOK_S = 0.1
_MS = 1000
_LENGTH = re.compile(rb"(?i)content-length: ([0-9]+)")
_ID = re.compile(rb"(?m)^id: ([0-9]+)$")


@dataclass(frozen=True, kw_only=True)
class Round:
    """Runs per second of a round, and processor time of the server for each run."""

    runs_per_s: float
    processor_ms: float


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A round without watchers and one with them."""

    database: str
    bare: Round
    watched: Round
    ratio: float


def main() -> None:
    """Measure, and print a table of the pairs and one of their medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=("file", "postgres"), default=["file", "postgres"])
    parser.add_argument("--tasks", type=int, default=20, help="tasks of each run")
    parser.add_argument("--watchers", type=int, default=100, help="runs in each round, and clients that watch them")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds")
    add_json(parser)
    arguments = parser.parse_args()
    size = {"tasks": arguments.tasks, "watchers": arguments.watchers, "rounds": arguments.rounds}
    pairs = [pair for kind in arguments.kinds for pair in measure(kind, **size)]
    rows = [
        {
            "database": pair.database,
            "watchers": arguments.watchers,
            **{f"bare_{name}": value for name, value in asdict(pair.bare).items()},
            **{f"watched_{name}": value for name, value in asdict(pair.watched).items()},
            "ratio": pair.ratio,
        }
        for pair in pairs
    ]
    print_rows(rows)
    report(medians(rows, "database"), arguments.json)


def measure(kind: str, *, tasks: int, watchers: int, rounds: int) -> list[Pair]:
    """Return the pairs of rounds on one kind of database; each round has as many runs as watchers."""
    pairs: list[Pair] = []
    with (
        measured_server([kind]) as server,
        serving(kind, server, tasks=tasks) as served,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as clients,
    ):
        for number in range(rounds):
            bare, watched = (
                _round(clients, served, f"{name}-{number}-", watchers, is_watched=name == "watched")
                for name in ("bare", "watched")
            )
            ratio = round(watched.runs_per_s / bare.runs_per_s, 2)
            pairs.append(Pair(database=kind, bare=bare, watched=watched, ratio=ratio))
    return pairs


def _round(clients: Executor, served: Served, prefix: str, runs: int, *, is_watched: bool) -> Round:
    """Post runs and wait until all have ended, and until all streams have."""
    # The process of the clients is started before the round.
    clients.submit(os.getpid).result()
    began_s, used_s = time.monotonic(), processor_time_s(served.pid)
    clients.submit(_load, served.port, prefix, runs, is_watched=is_watched).result()
    path = f"{API}/executions/workflows?limit=1&total=true&status=SUCCESS&id_prefix={prefix}"
    while ask(served.port, "GET", path).document["total"] < runs:
        time.sleep(_LOOK_S)
    return Round(
        runs_per_s=round(runs / (time.monotonic() - began_s), 1),
        processor_ms=round((processor_time_s(served.pid) - used_s) * _MS / runs, 1),
    )


def _load(port: int, prefix: str, runs: int, *, is_watched: bool) -> None:
    async def run() -> None:
        await asyncio.gather(*(_client(port, f"{prefix}{number}", is_watched=is_watched) for number in range(runs)))

    asyncio.run(run())


async def _client(port: int, name: str, *, is_watched: bool) -> None:
    """Post a run, and stream it to its end.

    Raises:
        RuntimeError: a request failed, or the stream was not the whole log of a run that succeeded.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        body = json.dumps({"execution_id": name}).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(_request("POST", f"{API}/workflows/echo/executions", head) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not (length := _LENGTH.search(answer)) or not answer.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(f"a post was answered with {answer[:200]!r}")
        await reader.readexactly(int(length[1]))
        if is_watched:
            writer.write(_request("GET", f"{API}/executions/workflows/{name}/stream", "Connection: close\r\n"))
            _check(await reader.read())
    finally:
        writer.close()


def _request(method: str, path: str, head: str) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode()


def _check(stream: bytes) -> None:
    numbers = [int(number) for number in _ID.findall(stream)]
    is_whole = bool(numbers) and numbers == list(range(1, len(numbers) + 1))
    if not is_whole or b"event: complete" not in stream:
        raise RuntimeError(f"a watcher received the events {numbers}, and at the end {stream[-200:]!r}")


if __name__ == "__main__":
    main()
