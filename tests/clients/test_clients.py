"""The programs of the guide "Generate a client" work with clients that are generated from a running server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS, Fence, read_page
from tests.harness.processes import Commands
from tests.harness.servers import API, Running, start_server
from tests.harness.showcase import SECRET, write_showcase
from tests.harness.website import require_program

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = DOCS / "guides/generate-a-client.mdx"
KEY = "correct-horse-battery-staple"
_SHOWN = "http://127.0.0.1:8080"
# Streams are not one JSON document, and these two redirect to a provider, which the server lacks.
_NOT_READ = {"stream_execution", "stream_executions", "start_oidc_login", "finish_oidc_login"}
_RUN, _WORKFLOW, _HOOK = "known", "hello-world", "parcels"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a server that requires a key, with an execution and a webhook delivery."""
    commands = Commands(tmp_path_factory.mktemp("commands"))
    try:
        running = start_server(commands, write_showcase(tmp_path_factory.mktemp("project"), server={"api_key": KEY}))
        body = {"execution_id": _RUN, "input": {"name": "Ada"}}
        key = {"authorization": f"Bearer {KEY}"}
        assert running.ask("POST", f"{API}/workflows/{_WORKFLOW}/executions/sync", body, **key).status == 200
        assert running.ask("POST", f"{API}/hooks/{_HOOK}", {"id": 7}, X_Token=SECRET).status == 202
        yield running
    finally:
        commands.end()


@pytest.fixture(scope="module")
def typescript(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the locked packages and the generated types."""
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder)
    _run([require_program("npm"), "ci", "--loglevel=error"], folder)
    _run_shell(_command("curl"), folder, server)
    _run_shell(_command("npx openapi-typescript"), folder, server)
    return folder


@pytest.fixture(scope="module")
def python(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the generated package, next to the environment of the locked generator."""
    folder = tmp_path_factory.mktemp("python")
    _run([sys.executable, "-m", "venv", folder / "env"], folder)
    _run([ROOT / "requirements/install.sh", folder / "env/bin/python", "clients"], folder)
    _run_shell(_command("curl"), folder, server)
    # A description that the generator leaves out in part is an error.
    _run_shell(f"{_command('openapi-python-client')} --fail-on-warning", folder, server)
    return folder


def test_typescript(server: Running, typescript: Path) -> None:
    program = _program("run.ts")
    (typescript / "run.ts").write_text(_located(program.text, server), encoding="utf-8")
    _run_shell(_command("npx tsc"), typescript, server)

    printed = _run_shell(_command("node"), typescript, server)

    assert re.findall(r'"path":"(\w+)","data":\{"status":"(\w+)"', printed) == [
        ("greet", "RUNNING"),
        ("greet", "SUCCESS"),
    ]
    assert printed.splitlines()[-1].startswith("SUCCESS { greeting: 'Hello!")


def test_typescript_names_errors(typescript: Path) -> None:
    text = _program("run.ts").text.replace("run.execution_id", "run.execution").replace("workflow_id: ", "workflow: ")
    (typescript / "wrong.ts").write_text(text, encoding="utf-8")
    command = f"{_command('npx tsc').replace('run.ts', 'wrong.ts')} --noEmit"

    compiled = subprocess.run(["sh", "-c", command], cwd=typescript, capture_output=True, text=True, timeout=280)

    assert compiled.returncode != 0
    assert "'workflow' does not exist" in compiled.stdout
    assert "Property 'execution' does not exist" in compiled.stdout


def test_python(server: Running, python: Path) -> None:
    (python / "run.py").write_text(_located(_program("run.py").text, server), encoding="utf-8")

    lines = _run([python / "env/bin/python", "run.py"], python).splitlines()

    assert lines[0].startswith("SUCCESS {'greeting': 'Hello!")
    assert re.fullmatch(r"\S+ hello-world SUCCESS", lines[1])


def test_models_contain_what_the_server_sends(server: Running, python: Path) -> None:
    calls = list(_reads(server))

    made = subprocess.run(
        [python / "env/bin/python", HERE / "read_everything.py", server.url, KEY],
        cwd=python,
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(python)},
    )

    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    assert result["different"] == {}
    assert len(calls) > 30
    # The project of the server has no knowledge bases and no memories.
    missing = {name for name, status in result["statuses"].items() if status != 200}
    assert missing == {
        "check_knowledge_base",
        "get_ingestion",
        "get_knowledge_base",
        "get_memory_stats",
        "list_documents",
        "read_conversation",
    }


def _reads(server: Running) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield module, name and arguments of each operation that reads."""
    key = {"authorization": f"Bearer {KEY}"}
    delivery = server.ask("GET", f"{API}/hooks/{_HOOK}/deliveries", **key).document["deliveries"][0]
    schedule = server.ask("GET", f"{API}/schedules", **key).document["schedules"][0]
    values = {
        "workflow_id": _WORKFLOW,
        "execution_id": _RUN,
        "path": "greet",
        "base_id": "manuals",
        "memory_id": "customers",
        "key": "ana",
        "schedule_id": schedule["schedule_id"],
        "slug": _HOOK,
        "delivery_id": delivery["delivery_id"],
    }
    for operations in server.ask("GET", "/openapi.json", **key).document["paths"].values():
        operation = operations.get("get")
        if operation is not None and operation["operationId"] not in _NOT_READ:
            needed = [each["name"] for each in operation.get("parameters", ()) if each["required"]]
            module = operation["tags"][0].replace(" ", "_")
            yield module, operation["operationId"], {name: values[name] for name in needed}


def _fences() -> list[Fence]:
    return [fence for fence in read_page(PAGE).fences if "tested" in fence.meta]


def _program(title: str) -> Fence:
    return next(fence for fence in _fences() if fence.meta.get("title") == title)


def _command(start: str) -> str:
    lines = [line for fence in _fences() if fence.kind == "sh" for line in fence.text.splitlines()]
    return next(line for line in lines if line.startswith(start))


def _located(text: str, server: Running) -> str:
    return text.replace(_SHOWN, server.url)


def _run_shell(command: str, folder: Path, server: Running) -> str:
    return _run(["sh", "-c", _located(command, server)], folder)


def _run(command: Sequence[str | Path], folder: Path) -> str:
    environ = {**os.environ, "PATH": f"{folder / 'env/bin'}:{os.environ['PATH']}", "COMPOZY_API_KEY": KEY}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
