"""Measures the cost of recording tool calls: `python -m tests.bench.tools [--driver file memory postgres]`.

One run has 6 scripted model requests and 5 calls of a Python function inside the process. The same conversation is
measured without a database, where nothing is recorded. Processor time of the process (not of PostgreSQL), median of the
rounds, measured alternately. The last column is the growth of the database after 30 calls with results of 1 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue

from compozy.agent.offered import OfferedTool
from compozy.agent.run import AgentRequest, run_agent
from compozy.agent.settings import ToolRules
from compozy.agent.tools import Decision, Question, ToolBelt
from compozy.config.settings import RuntimeSettings
from compozy.database.database import Database
from compozy.model.catalog import ModelCatalog
from compozy.tool.config import ToolConfig
from compozy.tool.kind import Answer, NestedTasks, Questions, ToolHome, ToolSpec
from compozy.tool.registry import new_tool
from tests.bench.executing import executing, scripted_catalog
from tests.bench.measured import KINDS, log_as_servers, measured_server, new_place
from tests.bench.report import add_json, report

_FUNCTIONS = '''
import hashlib


def add(a: int) -> int:
    """Add one."""
    return a + 1


def big(n: int) -> str:
    """Return 1 MiB that a database cannot compress well."""
    return "".join(hashlib.sha256(f"{n} {part}".encode()).hexdigest() for part in range(16384))
'''
_CALLS, _LARGE = 5, 30
_TOOLS: Any = [{"id": name, "run": f"functions.py:{name}", "runtime": "python-inprocess"} for name in ("add", "big")]
_MS, _MIB = 1000, 1024 * 1024


class Unrecorded:
    """Steps that are not recorded."""

    execution_id, path = "bench", "t"

    async def step(self, _: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        """Run a call."""
        return await call()

    async def step_once(
        self, _: str, call: Callable[[], Awaitable[JsonValue]], _unknown: Callable[[], Awaitable[JsonValue]], /
    ) -> JsonValue:
        """Run a call."""
        return await call()

    async def gather(self, bodies: Sequence[Callable[[], Awaitable[Any]]], _at_once: int, /) -> list[Any]:
        """Run bodies at the same time."""
        return list(await asyncio.gather(*(body() for body in bodies)))

    async def keep(self, contents: Mapping[str, bytes], /) -> None:
        """Never called: no tool returns a file."""
        raise AssertionError(list(contents))

    async def ask(self, question: Question, /) -> Decision:
        """Never called: no tool asks a question."""
        raise AssertionError(question)

    async def inquire(self, name: str, turn: int, tool: ToolSpec, questions: Questions, /) -> Answer:
        """Refuse: no tool asks a question."""
        raise AssertionError(name)

    def nested(self, name: str, tool: ToolConfig, /) -> NestedTasks:
        """Never called: no tool runs tasks."""
        raise AssertionError(name, tool)

    def admit(self, _: str, /) -> AbstractAsyncContextManager[None]:
        """Admit every call: no budget is set."""
        return nullcontext()

    def has_begun(self, _: str, /) -> bool:
        """Return that nothing is recorded."""
        return False

    def was_asked(self, _: str, /) -> bool:
        """Return that no question was asked."""
        return False

    def key(self, name: str, /) -> str:
        """Return a key."""
        return name


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="runs of each kind; the median counts")
    parser.add_argument("--driver", nargs="*", choices=KINDS, default=list(KINDS), help="databases to measure")
    add_json(parser)
    arguments = parser.parse_args()
    log_as_servers()
    rows: list[dict[str, Any]] = []
    with measured_server(arguments.driver) as server, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "functions.py").write_text(_FUNCTIONS)
        home = ToolHome(root=Path(folder), environ={}, settings=RuntimeSettings(allow_inprocess=True))
        for kind in arguments.driver:
            with new_place(kind, server) as database:
                rows.append({"database": kind, **asyncio.run(_measure(database, home, arguments.rounds))})
    report(rows, arguments.json)


async def _measure(database: Database, home: ToolHome, rounds: int) -> dict[str, Any]:
    task = {"id": "t", "prompt": "Add.", "tools": _TOOLS}
    _, catalog = scripted_catalog(_responses("add", _CALLS))
    recorded_ms: list[float] = []
    bare_ms: list[float] = []
    async with executing(database, [task], _responses("add", _CALLS), home) as once:
        for _ in range(rounds + 1):
            recorded_ms.append(await _processor_ms(once))
            bare_ms.append(await _processor_ms(partial(_converse, catalog, home)))
    before = _size(database)
    async with executing(database, [{**task, "max_iterations": 40}], _responses("big", _LARGE), home) as once:
        await once()
    # The first round of each warms up.
    recorded, bare = statistics.median(recorded_ms[1:]), statistics.median(bare_ms[1:])
    return {
        "recorded_ms": round(recorded, 1),
        "unrecorded_ms": round(bare, 1),
        "ratio": round(recorded / bare, 2),
        "30_large_MiB": round((_size(database) - before) / _MIB, 1),
    }


async def _converse(catalog: ModelCatalog, home: ToolHome) -> None:
    rules = ToolRules(tools=tuple(ToolConfig.model_validate(tool) for tool in _TOOLS))
    offered = {
        tool.id: OfferedTool(
            spec=await new_tool(tool, home).describe(), config=tool, make=partial(new_tool, tool, home)
        )
        for tool in rules.tools
    }
    belt = ToolBelt(offered, rules, Unrecorded(), home.settings)
    request = AgentRequest(
        execution_id="bench", task_id="t", path="t", first_run_index=0, config=None, prompt="Add.", rules=rules
    )
    await run_agent(request, catalog, checkpoint=_unrecorded, belt=belt)


async def _unrecorded(_: str, ask: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
    return await ask()


def _responses(tool: str, count: int) -> dict[str, Any]:
    argument = {"add": "a", "big": "n"}[tool]
    calls = [{"tool_calls": [{"tool": tool, "arguments": {argument: number}}]} for number in range(count)]
    return {"t": [*calls, {"text": "Done."}]}


async def _processor_ms(body: Callable[[], Awaitable[Any]]) -> float:
    began_s = time.process_time()
    await body()
    return (time.process_time() - began_s) * _MS


def _size(database: Database) -> int:
    """Return the size of a database in bytes."""
    sql = "SELECT pg_database_size(current_database())"
    if database.engine.dialect.name == "sqlite":
        sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    with database.read() as connection:
        return int(connection.execute(sa.text(sql)).scalar_one())


if __name__ == "__main__":
    main()
