"""HTTP tools and built-in tools in runs: results, recorded steps, and calls that a crash interrupts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from compozy.config.settings import ExecSettings, NativeToolSettings, RuntimeSettings
from compozy.database.database import Database
from compozy.tool.kind import ToolHome
from compozy.workflow.operate import approve
from compozy.workflow.requests import list_requests
from tests.harness.runs import Answers, Flows, Ran, check_run, flowing
from tests.harness.websites import Site, run_site

CANARY = "canary-4711"


@pytest.fixture
def site() -> Generator[Site, None, None]:
    """An API on this machine."""
    with run_site() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> ToolHome:
    """A project with a folder of notes, which may use `cat` and this machine."""
    root = tmp_path / "project"
    (root / "notes").mkdir(parents=True)
    (root / "notes/todo.md").write_text("buy milk")
    (root / ".env").write_text(f"TOKEN={CANARY}")
    native = NativeToolSettings(private_hosts=("127.0.0.1",), exec=ExecSettings(commands=("cat",)))
    environ = {"PATH": "/usr/bin:/bin", "TOKEN": CANARY}
    return ToolHome(root=root, environ=environ, settings=RuntimeSettings(native_tools=native))


@pytest.fixture
async def flows(database: Database, home: ToolHome) -> AsyncGenerator[Flows, None]:
    """Yield a runner of workflows with tools."""
    async with flowing(database, tools=home) as running:
        yield running


def workflow(*tools: str) -> str:
    """Return a workflow with one task, whose prompt is its input."""
    lines = "\n".join(f"              - {tool}" for tool in tools)
    return f"""
        tasks:
          - id: ask
            prompt: "{{{{ .input.prompt }}}}"
            tools:
{lines}
        output: {{said: "{{{{ .tasks.ask.output.text }}}}"}}
    """


def ticket_tool(site: Site, method: str, *more: str) -> str:
    """Return an HTTP tool that sends its argument and a secret."""
    body = ", body: {title: '{{ .input.title }}'}" if method == "POST" else ", query: {title: '{{ .input.title }}'}"
    url = site.url("/tickets", host="127.0.0.1")
    headers = "{Authorization: 'Bearer {{ .env.TOKEN }}'}"
    schema = "{type: object, properties: {title: {type: string}}, required: [title]}"
    request = f"{{method: {method}, url: '{url}', headers: {headers}{body}}}"
    return "{" + ", ".join(["id: ticket", f"input: {schema}", f"http: {request}", *more]) + "}"


def rounds(*calls: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the input that lets the model make these calls, one list for each answer."""
    return {"prompt": "tools: " + json.dumps([[{"tool": t, "arguments": a} for t, a in each] for each in calls])}


def said(ran: Ran) -> Any:
    """Return the results that the model got, from its last answer."""
    return json.loads(ran.output["said"])


async def test_a_request_is_a_step_and_no_secret_is_stored(flows: Flows, database: Database, site: Site) -> None:
    def echo(handler: BaseHTTPRequestHandler) -> None:
        text = json.dumps({"sent": handler.headers["authorization"], "say": "{{ .env.TOKEN }}"}).encode()
        handler.send_response(201)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    site.answers["/tickets"] = echo
    ran = await flows.run(workflow(ticket_tool(site, "POST")), rounds([("ticket", {"title": "{{ .env.TOKEN }}"})]))
    # Template syntax in arguments and results is data.
    assert said(ran) == [["ticket", "success", {"sent": "********", "say": "{{ .env.TOKEN }}"}]]
    assert "ask.tool.0.0.ticket" in ran.steps
    [seen] = site.seen
    assert seen.headers["authorization"] == f"Bearer {CANARY}"
    assert json.loads(seen.body) == {"title": "{{ .env.TOKEN }}"}
    assert len(seen.headers["idempotency-key"]) == 24
    requests = await asyncio.to_thread(list_requests, database, ran.run.workflow_exec_id)
    assert CANARY not in repr((requests, ran))
    check_run(ran)


async def test_failures_are_sent_to_the_model(flows: Flows, site: Site) -> None:
    site.respond("/tickets?title=a%26b", "no such ticket", status=404)
    calls = rounds([("ticket", {"title": "a&b"})], [("ticket", {"titel": "x"})])
    ran = await flows.run(workflow(ticket_tool(site, "GET")), calls)
    failed, unfit = said(ran)
    url = site.url("/tickets", host="127.0.0.1")
    assert failed == ["ticket", "failed", f"GET {url} answered 404 Not Found: no such ticket"]
    assert unfit[1] == "failed"
    assert len(site.seen) == 1


async def test_a_request_that_may_have_been_sent_is_not_repeated(flows: Flows, site: Site) -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    site.answers |= {"/tickets": broken, "/tickets?title=x": broken}
    ran = await flows.run(workflow(ticket_tool(site, "POST")), rounds([("ticket", {"title": "x"})]))
    assert said(ran)[0][:2] == ["ticket", "interrupted"]
    read = await flows.run(workflow(ticket_tool(site, "GET")), rounds([("ticket", {"title": "x"})]))
    assert said(read)[0][:2] == ["ticket", "failed"]


@pytest.mark.parametrize(("method", "sent"), [("POST", 1), ("GET", 2)])
async def test_a_request_that_a_crash_interrupts(
    database: Database, home: ToolHome, site: Site, method: str, sent: int
) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if len(site.seen) == 1:
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result(120)
        site_respond(handler)

    def site_respond(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.send_response(200)
            handler.send_header("Content-Length", "4")
            handler.end_headers()
            handler.wfile.write(b"done")
        except OSError:
            """The client has disconnected."""

    site.answers |= {"/tickets": slow, "/tickets?title=x": slow}
    text, answers = workflow(ticket_tool(site, method)), Answers()
    async with flowing(database, tools=home, answers=answers) as flows:
        run_id = await flows.start(text, rounds([("ticket", {"title": "x"})]))
        while not site.seen:  # noqa: ASYNC110 - filled by the thread of the site
            await asyncio.sleep(0.01)
    released.set()
    async with flowing(database, tools=home, answers=answers) as flows:
        ran = await flows.ended(run_id)
    assert len(site.seen) == sent
    keys = {seen.headers.get("idempotency-key") for seen in site.seen}
    assert len(keys) == 1
    assert said(ran)[0][1] == ("interrupted" if method == "POST" else "success")


async def test_built_in_tools_in_a_run(flows: Flows, home: ToolHome) -> None:
    calls = rounds(
        [("cp__read_file", {"path": "notes/todo.md"}), ("cp__read_file", {"path": ".env"})],
        [("cp__write_file", {"path": "notes/new.md", "content": "{{ .env.TOKEN }}"})],
        [("cp__grep", {"pattern": "TOKEN|milk", "path": "/", "recursive": True})],
        [("cp__exec", {"command": "cat", "args": ["notes/new.md"]}), ("cp__exec", {"command": "sh"})],
    )
    tools = (
        "{id: cp__read_file}",
        "{id: cp__grep}",
        "{id: cp__write_file, approve: never}",
        "{id: cp__exec, approve: never}",
    )
    ran = await flows.run(workflow(*tools), calls)
    read, closed, written, found, ran_command, unknown_command = said(ran)
    assert read[2]["content"] == "buy milk"
    assert closed == ["cp__read_file", "failed", "PermissionDenied: /.env is closed to tools"]
    assert written[2]["success"] is True
    assert [match["file"] for match in found[2]["matches"]] == ["/notes/new.md", "/notes/todo.md"]
    assert (ran_command[2]["stdout"], ran_command[2]["exit_code"]) == ("{{ .env.TOKEN }}", 0)
    assert unknown_command[1] == "failed"
    assert CANARY not in repr(ran)
    check_run(ran)


async def test_writing_waits_for_an_approval(flows: Flows, home: ToolHome) -> None:
    calls = rounds([("cp__write_file", {"path": "x.md", "content": "new"})])
    run_id = await flows.start(workflow("{id: cp__write_file}"), calls)
    await flows.until_waiting(run_id, "ask/approve-0-0-cp__write_file")
    assert not (home.root / "x.md").exists()
    await approve(flows.database, run_id, {"approve": True, "arguments": {"path": "y.md", "content": "changed"}})
    flows.runtime.wake()
    ran = await flows.ended(run_id)
    assert said(ran)[0][1] == "success"
    assert (home.root / "y.md").read_text() == "changed"
    assert not (home.root / "x.md").exists()


async def test_appending_is_not_repeated_and_replacing_is(flows: Flows) -> None:
    calls = rounds(
        [
            ("cp__write_file", {"path": "a.md", "content": "1"}),
            ("cp__write_file", {"path": "b.md", "content": "1", "append": True}),
        ]
    )
    ran = await flows.run(workflow("{id: cp__write_file, approve: never}"), calls)
    assert [step for step in ran.steps if step.endswith(".begin")] == ["ask.tool.0.1.cp__write_file.begin"]
    check_run(ran)


async def test_a_tool_that_cannot_be_used_fails_before_the_first_request(database: Database, home: ToolHome) -> None:
    empty = ToolHome(root=home.root, environ={})
    answers = Answers()
    async with flowing(database, tools=empty, answers=answers) as flows:
        ran = await flows.run(workflow("{id: cp__exec}"), rounds([("cp__exec", {"command": "cat"})]))
    assert ran.message == "tool 'cp__exec' has no command to run"
    assert answers.asked == []
