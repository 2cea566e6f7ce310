"""Attachments of prompts: servers that receive the content, killed runs, models that cannot read it."""

from __future__ import annotations

import base64
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, Reply, chat_reply, serve_chat
from tests.harness.processes import Commands
from tests.harness.projects import query, write_project
from tests.harness.stores import open_store

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    """A model server."""
    with serve_chat() as server:
        server.replies = [chat_reply("A picture.")]
        yield server


def write(folder: Path, chat: ChatServer, task: dict[str, Any], **more: Any) -> Path:
    providers = [
        {"id": "main", "type": "openai", "base_url": chat.url, "model": "m", "max_attempts": 1, "timeout": "60s"},
        {"id": "script", "type": "scripted", "responses": [{"text": "Here."}]},
    ]
    return write_project(folder, {"w": {"tasks": [{"id": "look", **task}]}}, llm={"providers": providers}, **more)


def content(chat: ChatServer, number: int = 0) -> Any:
    """Return the content of the prompt in a request."""
    return next(message for message in chat.seen[number].body["messages"] if message["role"] == "user")["content"]


def test_images_are_sent_with_the_prompt(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    agent = {"llm": "main", "attachments": [{"path": "agent.md"}]}
    task = {"prompt": "Describe {{ .input.what }}", "agent": agent, "attachments": [{"paths": "{{ .input.files }}"}]}
    write(tmp_path, chat, task)
    (tmp_path / "agent.md").write_text("Be {{ .env.SECRET }} brief")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG)

    done = cli("workflow", "run", "w", "--id", "r", "--input", '{"what": "it", "files": ["a.png", "b.png"]}')

    assert done.status == 0, done.err
    # The content of a file is never a template.
    texts = [part["text"] for part in content(chat) if part["type"] == "text"]
    assert texts == ["Describe it", "Attachment agent.md:\n\nBe {{ .env.SECRET }} brief"]
    assert [part["image_url"]["url"] for part in content(chat) if part["type"] == "image_url"] == [URI, URI]
    [shown] = query(tmp_path, "SELECT input FROM task_states")[0]
    assert [each["name"] for each in json.loads(shown)["attachments"]] == ["agent.md", "a.png", "b.png"]
    # Equal content is stored once.
    assert query(tmp_path, "SELECT count(*) FROM attachments") == [(2,)]


def test_documents_are_sent_as_text(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    attachments = [{"path": "page.html"}, {"path": "table.csv", "name": "prices"}]
    write(tmp_path, chat, {"prompt": "Read", "agent": {"llm": "main"}, "attachments": attachments})
    (tmp_path / "page.html").write_text("<script>x()</script><p>Hello <b>you</b>")
    (tmp_path / "table.csv").write_text("item,price\ntea,3\n")

    assert cli("workflow", "run", "w").status == 0

    assert isinstance(content(chat), str)
    assert content(chat).startswith("Read\n\nAttachment page.html:\n\nHello you\n\nAttachment prices:\n\n")
    assert "tea" in content(chat)


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_a_resumed_run_sends_what_it_read(commands: Commands, tmp_path: Path, chat: ChatServer, driver: str) -> None:
    chat.replies = [Reply(hang=True), chat_reply("A picture.")]
    with open_store(driver, tmp_path / "project") as store:
        task = {"prompt": "Describe", "agent": {"llm": "main"}, "attachments": [{"path": "latest.png"}]}
        write(store.home, chat, task, database=store.section)
        (store.home / "latest.png").write_bytes(PNG)
        killed = commands.start(store.home, "workflow", "run", "w", "--id", "r")
        killed.until(lambda: len(chat.seen) == 1)
        killed.send(signal.SIGKILL)
        killed.wait()
        # The next picture of the camera.
        (store.home / "latest.png").unlink()

        done = commands.run(store.home, "workflow", "run", "w", "--id", "r", "--format", "json")

        # The content is moved with the run.
        exported = commands.run(store.home, "db", "export")
        commands.run(store.home, "db", "prune", "--older-than", "0s", "--yes")
        emptied = commands.run(store.home, "db", "export")
    assert json.loads(done.out)["output"]["look"]["text"] == "A picture."
    assert content(chat, 0) == content(chat, 1)
    assert content(chat, 1)[1]["image_url"]["url"] == URI
    assert base64.b64encode(PNG).decode() in exported.out
    assert base64.b64encode(PNG).decode() not in emptied.out


def test_a_model_that_cannot_read_it_reports_it(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    write(tmp_path, chat, {"prompt": "Describe", "agent": {"llm": "main"}, "attachments": [{"path": "film.mp4"}]})
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom")

    done = cli("workflow", "run", "w")

    assert done.status == 1
    assert "model 'm' of provider 'main' does not accept videos, and 'film.mp4' is video/mp4" in done.err
    assert "from a provider of one of these types: google" in done.err
    assert chat.seen == []


def test_content_of_a_url(cli: RunCli, tmp_path: Path, chat: ChatServer) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            missing = self.path.startswith("/missing")
            self.send_response(404 if missing else 200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PNG)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Print nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        task = {"prompt": "Describe", "agent": {"llm": "main"}, "attachments": [{"url": "{{ .input.url }}"}]}
        write(tmp_path, chat, task)
        refused = cli("workflow", "run", "w", "--input", json.dumps({"url": f"{url}/x.png?key=secret"}))
        write(tmp_path, chat, task, runtime={"attachments": {"private_hosts": ["127.0.0.1"]}})
        found = cli("workflow", "run", "w", "--input", json.dumps({"url": f"{url}/x.png?key=secret"}))
        missing = cli("workflow", "run", "w", "--input", json.dumps({"url": f"{url}/missing.png"}))
    finally:
        server.shutdown()
        server.server_close()

    assert refused.status == 1
    assert "list the host in `runtime.attachments.private_hosts`" in refused.err
    assert "secret" not in refused.err
    assert found.status == 0, found.err
    assert content(chat)[1]["image_url"]["url"] == URI
    assert missing.status == 1
    assert "the server answered 404" in missing.err


@pytest.mark.parametrize(
    ("attachment", "given", "message"),
    [
        ({"path": "{{ .input.x }}"}, ["a"], "`path` of an attachment is a list"),
        ({"paths": "{{ .input.x }}"}, [1], "gives 1, not a text"),
        ({"path": "{{ .input.x }}"}, None, "gives None, not a text"),
    ],
)
def test_a_source_that_is_not_text(
    cli: RunCli, tmp_path: Path, chat: ChatServer, attachment: dict[str, Any], given: Any, message: str
) -> None:
    write(tmp_path, chat, {"prompt": "Describe", "agent": {"llm": "main"}, "attachments": [attachment]})

    done = cli("workflow", "run", "w", "--input", json.dumps({"x": given}))

    assert done.status != 0
    assert message in done.err
