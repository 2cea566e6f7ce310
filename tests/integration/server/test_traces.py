"""Traces: one per run, also if it is resumed; without content; unaffected by an unavailable collector."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import structlog

from compozy.app import App, open_app
from compozy.log import configure_logging
from compozy.project.load import load_project
from compozy.server.gate import GuardSettings
from compozy.server.service import Service, StartRequest
from compozy.server.shutdown import LogReport
from compozy.storage import close_storage, open_storage
from compozy.task.report import Report, Silence
from compozy.telemetry.traces import current_traceparent, read_traceparent, span
from tests.harness.chatserver import Reply, chat_reply, json_reply, serve_chat
from tests.harness.otlp import Receiver, receiving_traces
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import states, write_project
from tests.harness.servers import start_server
from tests.integration.server.conftest import API, RUNS, make_client, start, until_ended

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, PARENT = CALLER.split("-")[1:3]
GUARD = GuardSettings(host="127.0.0.1", api_key=None)
KEY = "correct-horse-battery-staple"
CANARY = "canary-of-the-prompt"
WORKFLOWS: dict[str, dict[str, Any]] = {
    "two": {
        "tasks": [
            {"id": "first", "prompt": CANARY},
            {"id": "second", "prompt": "after {{ .tasks.first.output.text }}"},
        ]
    },
    "tool": {"tasks": [{"id": "call", "prompt": "use it", "tools": [{"id": "cp__list_dir"}]}]},
    "bad": {"tasks": [{"id": "first", "prompt": "x"}]},
}


def calling(tool: str, arguments: dict[str, Any]) -> Reply:
    """Return an answer that calls a tool."""
    call = {"id": "c1", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    about = {"id": "x", "object": "chat.completion", "created": 1, "model": "test-model"}
    return json_reply(
        {**about, "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    )


def write_folder(folder: Path, base_url: str) -> Path:
    """Write the project."""
    provider = {"id": "p", "type": "openai", "base_url": base_url, "api_key": "k", "max_attempts": 1, "model": "m"}
    return write_project(folder, WORKFLOWS, llm={"providers": [provider]})


@contextlib.asynccontextmanager
async def opened(folder: Path, base_url: str, report: Report | None = None) -> AsyncGenerator[App]:
    """Execute the runs of a project in this process. Its traces have been sent when the block has ended."""
    write_folder(folder, base_url)
    project = load_project(None, cwd=folder, environ={})
    database = open_storage(project, wait_for_lock_s=0.0)
    try:
        async with open_app(project, database, role="server", report=report or Silence()) as app:
            yield app
    finally:
        close_storage(database)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch, clean_environ: None) -> Any:
    """Receive the traces of this process."""
    level = logging.getLogger("opentelemetry").level
    with receiving_traces() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found
    logging.getLogger("opentelemetry").setLevel(level)


async def test_a_run_is_one_trace_that_continues_the_one_of_its_caller(tmp_path: Path, receiver: Receiver) -> None:
    with serve_chat() as chat:
        chat.replies += [chat_reply(CANARY)]
        async with opened(tmp_path, chat.url) as app, make_client(Service(app=app), GUARD) as client:
            answer = await client.post(
                f"{API}/workflows/two/executions/sync", json={"input": {}}, headers={"traceparent": CALLER}
            )
            run = answer.json()
            assert run["status"] == "SUCCESS"
    assert {span.trace_id for span in receiver.spans} == {TRACE}
    [request] = receiver.named("POST /api/v0/workflows/{workflow_id}/executions/sync")
    assert (request.parent_id, request.kind, request.attributes["http.response.status_code"]) == (PARENT, 2, 200)
    [root] = receiver.named("invoke_workflow two")
    assert (root.parent_id, root.links) == (request.span_id, ())
    assert root.attributes == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.agent.name": "two",
        "compozy.workflow.id": "two",
        "compozy.execution.id": run["execution_id"],
        "compozy.execution.resumed": False,
    }
    tasks = [*receiver.named("task first"), *receiver.named("task second")]
    assert [task.parent_id for task in tasks] == [root.span_id] * 2
    assert tasks[0].attributes["compozy.status"] == "SUCCESS"
    chats = receiver.named("chat m")
    assert sorted(chat.parent_id for chat in chats) == sorted(task.span_id for task in tasks)
    assert chats[0].kind == 3
    assert chats[0].attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "test-model",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert not [body for body in receiver.bodies if CANARY.encode() in body]


async def test_calls_of_tools_and_failures_are_spans(tmp_path: Path, receiver: Receiver) -> None:
    with serve_chat() as chat:
        chat.replies += [calling("cp__list_dir", {"path": "."}), chat_reply("done"), Reply(status=400, body=b"{}")]
        async with opened(tmp_path, chat.url) as app, make_client(Service(app=app), GUARD) as client:
            assert (await start(client, "tool"))["status"] == "SUCCESS"
            assert (await start(client, "bad"))["status"] == "FAILED"
    # A call that is refused before it is performed makes no span.
    result = chat.seen[1].body["messages"][-1]
    assert (result["role"], "compozy.yaml" in str(result["content"])) == ("tool", True), result
    [tool] = receiver.named("execute_tool cp__list_dir")
    assert tool.attributes == {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "cp__list_dir"}
    [task] = receiver.named("task call")
    assert (tool.parent_id, tool.is_failed, task.is_failed) == (task.span_id, False, False)
    [failed] = receiver.named("task first")
    assert failed.is_failed
    assert failed.attributes["error.type"] == "model"
    assert [span.is_failed for span in receiver.named("chat m")].count(True) == 1


async def test_a_resumed_run_stays_in_its_trace_and_repeats_no_span(tmp_path: Path, receiver: Receiver) -> None:
    with serve_chat() as chat:
        chat.replies += [chat_reply("one"), Reply(hang=True), chat_reply("two")]
        async with opened(tmp_path, chat.url) as app, make_client(Service(app=app), GUARD) as client:
            accepted = await client.post(f"{API}/workflows/two/executions", json={"execution_id": "r"})
            assert accepted.status_code == 202
            while len(chat.seen) < 2:  # noqa: ASYNC110 - the server of the model is a thread
                await asyncio.sleep(0.01)
        async with opened(tmp_path, chat.url) as app, make_client(Service(app=app), GUARD) as client:
            await until_ended(client, f"{RUNS}/r")
    check_resumed(receiver)
    [request] = receiver.named("POST /api/v0/workflows/{workflow_id}/executions")
    first, again = receiver.named("invoke_workflow two")
    assert first.attributes["compozy.interrupted"] is True
    assert (first.parent_id, again.parent_id) == (request.span_id, request.span_id)
    assert again.links == ((first.trace_id, first.span_id),)


def check_resumed(receiver: Receiver) -> None:
    """Check that two processes executed one run as one trace, with each step once."""
    runs = receiver.named("invoke_workflow two")
    again = runs[-1]
    assert again.attributes["compozy.execution.resumed"] is True
    assert {run.trace_id for run in runs} == {again.trace_id}
    ended = [task for task in receiver.spans if "compozy.status" in task.attributes]
    assert sorted(task.name for task in ended) == ["task first", "task second"]
    assert {task.trace_id for task in ended} == {again.trace_id}
    answered = [chat for chat in receiver.named("chat m") if "gen_ai.usage.input_tokens" in chat.attributes]
    assert len(answered) == 2


async def test_a_run_without_a_caller_has_a_trace_of_its_id(tmp_path: Path, receiver: Receiver) -> None:
    with serve_chat() as chat:
        chat.replies += [chat_reply("one")]
        async with opened(tmp_path, chat.url) as app:
            service = Service(app=app)
            await service.start(StartRequest(workflow_id="two", body={"execution_id": "r"}))
            await service.wait("r", timeout_s=60)
    [root] = receiver.named("invoke_workflow two")
    assert root.parent_id == ""
    # Every process that resumes it derives the same ID.
    assert root.trace_id == hashlib.sha256(b"trace:r").digest()[:16].hex()
    assert root.span_id == hashlib.sha256(b"span:r").digest()[:8].hex()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, clean_environ: None) -> Generator[Callable[[], list[dict[str, Any]]]]:
    """Return a function that reads the log of this process."""
    root, written = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", written)
        configure_logging("info", as_json=True)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_lines_of_the_log_name_run_task_trace_and_user(
    tmp_path: Path, receiver: Receiver, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    guard = GuardSettings(host="127.0.0.1", api_key=KEY)
    with serve_chat() as chat:
        chat.replies += [chat_reply("one")]
        async with opened(tmp_path, chat.url, LogReport()) as app, make_client(Service(app=app), guard) as client:
            client.headers["authorization"] = f"Bearer {KEY}"
            path = f"{API}/workflows/two/executions/sync"
            run = (await client.post(path, json={}, headers={"traceparent": CALLER})).json()["execution_id"]
            assert (await client.post(f"{RUNS}/{run}/signals", json={"name": "x"})).status_code == 409
    found = lines()
    started, refused = [line for line in found if line["event"] == "request"]
    assert (started["status"], started["trace_id"], started["user"]) == (200, TRACE, "server.api_key")
    assert (refused["status"], refused["execution_id"]) == (409, run)
    [task] = [line for line in found if line["event"] == "task ended" and line["task"] == "first"]
    assert (task["execution_id"], task["trace_id"], task["user"]) == (run, TRACE, "server.api_key")
    assert KEY not in str(found)


async def test_nothing_is_recorded_without_an_endpoint(tmp_path: Path, clean_environ: None) -> None:
    with serve_chat() as chat:
        chat.replies += [chat_reply("one")]
        async with opened(tmp_path, chat.url) as app, make_client(Service(app=app), GUARD) as client:
            with span("x", {}) as shown:
                shown.set("a", 1)
                assert current_traceparent() is None
            run = await client.post(f"{API}/workflows/two/executions/sync", json={}, headers={"traceparent": CALLER})
            with app.database.read() as connection:
                stored = connection.exec_driver_sql("SELECT traceparent FROM workflow_states").scalars().all()
    assert run.status_code == 200
    # A worker that exports traces continues it.
    assert stored == [CALLER]


async def test_an_unavailable_collector_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    level = logging.getLogger("opentelemetry").level
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.05")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with serve_chat() as chat:
        chat.replies += [chat_reply("one")]
        async with opened(tmp_path, chat.url) as app, make_client(Service(app=app), GUARD) as client:
            for _ in range(3):
                assert (await start(client, "two"))["status"] == "SUCCESS"
    logging.getLogger("opentelemetry").setLevel(level)
    assert [line["event"] for line in lines() if line["level"] in {"warning", "error"}] == [
        "traces cannot be sent, and are dropped until the collector answers"
    ]


def test_a_run_whose_process_was_killed_stays_in_its_trace(commands: Commands, tmp_path: Path) -> None:
    with receiving_traces() as receiver, serve_chat() as chat:
        chat.replies += [chat_reply("one"), Reply(hang=True), chat_reply("two")]
        folder = write_folder(tmp_path / "project", chat.url)
        conditions = Conditions(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "20"})
        killed = commands.start(folder, "workflow", "run", "two", conditions=conditions)
        killed.until(lambda: len(chat.seen) == 2 and bool(receiver.named("task first")))
        killed.send(signal.SIGKILL)
        killed.wait()
        server = start_server(commands, folder, conditions=conditions)
        server.command.until(lambda: states(folder) == [("SUCCESS", None)])
        server.command.send(signal.SIGTERM)
        assert server.command.wait().status == 0
    check_resumed(receiver)
    # The span of the killed process was never sent, but the link contains its ID.
    [again] = receiver.named("invoke_workflow two")
    [(trace_id, _)] = again.links
    assert (trace_id, again.parent_id) == (again.trace_id, "")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        CALLER.upper(),
        "01" + CALLER[2:],
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        CALLER + "-x",
    ],
)
def test_an_invalid_traceparent_is_ignored(text: str | None) -> None:
    assert read_traceparent(text) is None
    assert read_traceparent(CALLER) == CALLER
