"""Sections of the page of benchmarks: what each benchmark measures, its table, and the meaning of the figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.generated.pages.tables import (
    Rows,
    bare_table,
    by_database,
    ingestion_table,
    latency_meaning,
    latency_table,
    moves_meaning,
    moves_table,
    startup_table,
    vectors_table,
    workers_meaning,
    workers_table,
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page.

    Attributes:
        subject: what is measured.
        meaning: the meaning of the rows, in a few sentences.
        more: Markdown after the figures, which no benchmark of `make figures` produces.
    """

    benchmark: str
    title: str
    subject: str
    table: Callable[[Rows], str]
    meaning: Callable[[Rows], str]
    more: str = ""


def _plain(text: str) -> Callable[[Rows], str]:
    """Return a meaning without figures."""
    return lambda _: text


_VECTORS_BY_HAND = """
Measured by hand on 2026-11-22, with 100,000 vectors of 384 dimensions: queries far from all clusters are difficult
for an index with default settings. Redis reached a recall of 0.56 in 8 ms, and the filesystem store 1.0 in 133 ms
(numpy 132 ms at the same time). pgvector and Qdrant were not measured at 100,000. The embedded mode of Qdrant
compares every vector in Python: 29 ms at 10,000 vectors, and 47 s to store them.

The filesystem store with 100,000 vectors of 1,536 dimensions (`python -m tests.bench.vectors --counts 100000
--dimension 1536 --kinds filesystem`, 2026-11-22), while most of the machine was idle:

| Figure | Value |
|---|---|
| top-10 search | p50 30 ms, p95 34 to 69 ms; plain numpy at the same time p50 27 ms |
| top-10 search while other programs used both cores | p50 76 to 125 ms, p95 117 to 225 ms |
| time relative to plain numpy | 1.0 to 1.15 |
| first answer after opening | 0.2 to 0.8 s |
| memory | 590 MiB, the file itself, which processes share |
| recall@10 | 1.0 |
"""
_INGESTION_BY_HAND = """
Measured by hand on 2026-11-22: the local embedder takes about 190 ms of one core for a text of 95 tokens. Everything
else (reading, splitting, storing, recording) takes 1.5 ms of one core per short document on SQLite and the filesystem
store, or 420 documents per second.
"""

SECTIONS = (
    Section(
        benchmark="databases",
        title="Runs",
        subject="One server and runs of three tasks, each with a model delay of 20 ms, submitted over HTTP, with "
        "`max_concurrent_workflows: 128`. The example [postgres-comparison]"
        "(../../../../examples/database/postgres-comparison/README.md) contains the complete results.",
        table=latency_table,
        meaning=latency_meaning,
    ),
    Section(
        benchmark="runs",
        title="Compared with the bare engine",
        subject="Runs of five tasks that do nothing, executed by Compozy and by DBOS alone, alternately in one "
        "process with the same pool. Compozy also stores its own tables.",
        table=bare_table,
        meaning=_plain(
            "A ratio below 1 means that Compozy completes the same runs in less time than the engine alone, "
            "because it stores the changes of several runs in one transaction, and needs the engine only to resume "
            "runs. The ratios can be compared with those of other machines; the runs per second cannot."
        ),
    ),
    Section(
        benchmark="tasks",
        title="Time besides the model",
        subject="One run of 40 tasks with a model that takes 10 ms, compared with 40 steps of 10 ms in bare DBOS, "
        "and 10 concurrent runs of 3 tasks with a model that takes 20 ms.",
        table=lambda rows: by_database(
            rows,
            ("40 tasks", "40_tasks_s", 2, "s"),
            ("40 steps of bare DBOS", "bare_s", 2, "s"),
            ("Ratio", "ratio", 2, ""),
            ("10 runs of 3 tasks", "10x3_tasks_s", 2, "s"),
        ),
        meaning=_plain(
            "The model alone takes 0.4 s for 40 tasks, and 0.06 s for 10 concurrent runs of 3 tasks. The rest is "
            "the time of Compozy and its database."
        ),
    ),
    Section(
        benchmark="workers",
        title="Workers",
        subject="Runs of six tasks on one PostgreSQL, in workers with five slots each: with a pause between the "
        "tasks, as models cause it, and without.",
        table=workers_table,
        meaning=workers_meaning,
    ),
    Section(
        benchmark="burst",
        title="Bursts of requests",
        subject="32 clients post 1,000 runs, each on a new connection, as fast as the server accepts them, while it "
        "executes them and another client lists runs. One server has "
        "[two processes](/docs/deployment/scaling#processes).",
        table=lambda rows: by_database(
            rows,
            ("Accepted per second", "accepted_per_s", 0, ""),
            ("Ended per second", "ended_per_s", 0, ""),
            ("Ended, relative to one process on PostgreSQL", "times_postgres", 2, ""),
            ("POST, median", "post_p50_ms", 0, "ms"),
            ("POST, p99", "post_p99_ms", 0, "ms"),
            ("List, median", "list_p50_ms", 0, "ms"),
            ("List, longest", "list_max_ms", 0, "ms"),
        ),
        meaning=_plain(
            "Clients, server and database share the processors, so the server alone accepts more. A request is "
            "answered when its run is stored, and lists remain available. A second process helps as far as the "
            "clients and the database leave it processor time."
        ),
    ),
    Section(
        benchmark="lists",
        title="Lists of many runs",
        subject="A client lists the latest 100 runs while four others post runs: on a server with a few stored "
        "runs, and on one with many.",
        table=lambda rows: by_database(
            rows,
            ("p95 with {few} stored runs", "few_p95_ms", 1, "ms"),
            ("p95 with {many} stored runs", "many_p95_ms", 1, "ms"),
            ("Ratio", "p95_ratio", 2, ""),
        ),
        meaning=_plain(
            "A ratio near 1 means that a list takes the same time however many runs are stored. The times include "
            "the load of the clients that post runs."
        ),
    ),
    Section(
        benchmark="claims",
        title="Claims while many runs wait",
        subject="A process claims ten runs again and again, while runs wait in its queue, as many in another "
        "queue, and as many for a slot of a concurrency limit.",
        table=lambda rows: by_database(
            rows,
            ("Claim with {few} waiting runs, median", "few_claim_ms", 2, "ms"),
            ("Claim with {many} waiting runs, median", "many_claim_ms", 2, "ms"),
            ("Ratio", "claim_ratio", 2, ""),
        ),
        meaning=_plain(
            "A ratio near 1 means that claims do not slow down when many runs wait. Both measurements alternate "
            "in one process."
        ),
    ),
    Section(
        benchmark="watchers",
        title="Streams",
        subject="100 clients post one run of 20 tasks each. In every second round each client also streams its "
        "run to the end.",
        table=lambda rows: by_database(
            rows,
            ("Runs per second", "bare_runs_per_s", 1, ""),
            ("Runs per second with streams", "watched_runs_per_s", 1, ""),
            ("Ratio", "ratio", 2, ""),
            ("Processor time of the server for each run", "bare_processor_ms", 0, "ms"),
            ("Processor time with streams", "watched_processor_ms", 0, "ms"),
        ),
        meaning=_plain(
            "The ratio shows how many runs per second remain if every run is streamed. The clients use the same "
            "processors as the server."
        ),
    ),
    Section(
        benchmark="day",
        title="A day in ten minutes",
        subject="Runs arrive over HTTP at a steady rate, while a process is killed or restarted every half minute. "
        "On PostgreSQL two servers and two workers share the runs. A mixed run has about ten tasks, with an HTTP "
        "request, a collection, a sub-workflow and a wait. A small run has three or four tasks, with templates, "
        "a pause of 0.2 s and a router.",
        table=lambda rows: by_database(
            rows,
            ("Runs", "workflow", 0, ""),
            ("Processes", "processes", 0, ""),
            ("Runs per minute", "per_minute", 0, ""),
            ("Minutes", "minutes", 0, ""),
            ("Kills and restarts", "disturbances", 0, ""),
            ("Accepted runs", "runs", 0, ""),
            ("Lost runs", "lost", 0, ""),
            ("Repeated steps", "doubled", 0, ""),
            ("Time of a run, median", "p50_ms", 0, "ms"),
            ("Time of a run, p95", "p95_ms", 0, "ms"),
            ("p95 of the last third, relative to the first", "p95_ratio", 2, ""),
            ("Memory, likewise", "memory_ratio", 2, ""),
            ("File descriptors, likewise", "descriptors_ratio", 2, ""),
            ("Processor time of a run", "processor_ms", 0, "ms"),
        ),
        meaning=_plain(
            "A mixed run waits for at least 0.5 s by itself. The processor time is that of all processes with their "
            "starts, of the database and of the clients. The benchmark fails, and its figures are not shown "
            "here, if a run is lost, a step is repeated, or latency, memory or file descriptors grow."
        ),
    ),
    Section(
        benchmark="memories",
        title="Long conversations",
        subject="An agent reads the latest turns that fit 4000 tokens, from a conversation of few messages and "
        "from one of many.",
        table=lambda rows: by_database(
            rows,
            ("Read with {few} messages, median", "few_read_ms", 2, "ms"),
            ("Read with {many} messages, median", "many_read_ms", 2, "ms"),
            ("Ratio", "read_ratio", 2, ""),
            ("Messages that are read", "sent", 0, ""),
            ("Statements", "queries", 0, ""),
            ("Size of {many} messages", "kilobytes", 0, "kB"),
        ),
        meaning=_plain(
            "A ratio near 1 means that a long conversation is read as fast as a short one, because the same "
            "messages are read with the same statements."
        ),
    ),
    Section(
        benchmark="vectors",
        title="Vector stores",
        subject="Top-10 search in collections of 384 dimensions, for Compozy's store and for the store's own "
        "client with the same query. The queries are far from all clusters, which is the hardest case for an "
        "index.",
        table=vectors_table,
        meaning=_plain(
            "The filesystem store compares all vectors, so its recall is exact and its time grows with their number."
        ),
        more=_VECTORS_BY_HAND,
    ),
    Section(
        benchmark="ingestion",
        title="Ingestion",
        subject="Markdown documents of a chunk or two, ingested with the local embedder, alternately with the "
        "embedder alone for the same chunks.",
        table=ingestion_table,
        meaning=_plain(
            "The share is the time of the embedder divided by the time of the ingestion. With 1.00, an ingestion "
            "would be as fast as the embedder alone."
        ),
        more=_INGESTION_BY_HAND,
    ),
    Section(
        benchmark="moves",
        title="Moves between databases",
        subject="Runs of two tasks with their journals, exported and imported in both directions. The two "
        "documents are identical.",
        table=moves_table,
        meaning=moves_meaning,
    ),
    Section(
        benchmark="startup",
        title="Start of a command",
        subject="Commands that read no project, compared with the start of Python itself.",
        table=startup_table,
        meaning=_plain("Commands load only the modules that they need. The one-file program also unpacks itself."),
    ),
)
"""All sections of figures, in page order."""
