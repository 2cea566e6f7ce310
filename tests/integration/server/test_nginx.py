"""nginx with the configuration of the page "Production" in front of a server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS, read_page
from tests.harness.processes import Commands
from tests.harness.projects import WORKFLOWS, write_project
from tests.harness.servers import API, Answer, Running, free_port, start_server
from tests.harness.tls import Authority
from tests.harness.website import require_program

HOST = "compozy.example.com"
URL = f"https://{HOST}"
KEY = "correct-horse-battery-staple"
BEARER = {"authorization": f"Bearer {KEY}"}
EMAIL = "ana@example.com"
MIB = 1024 * 1024
WAITS = {"tasks": [{"id": "first", "with": {"a": 1}}, {"id": "ask", "type": "wait", "wait_for": "go"}]}
_TITLE = "/etc/nginx/conf.d/compozy.conf"


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """A server behind nginx, as clients that connect to nginx see it."""

    server: Running
    port: int
    context: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection to nginx under the name of the server."""
        connection = http.client.HTTPSConnection(HOST, timeout=60, context=self.context)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sock = self.context.wrap_socket(plain, server_hostname=HOST)
        return connection

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request. `_` in the name of a header stands for `-`."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            given.setdefault("content-type", "application/json")
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body=content, headers=given)
            answer = connection.getresponse()
            lowered = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=lowered, content=answer.read())

    def stream(self, path: str) -> Generator[tuple[str, Any]]:
        """Yield name and data of each server-sent event as it arrives."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path, headers=BEARER)
            answer = connection.getresponse()
            assert answer.status == 200
            name = ""
            while line := answer.readline().decode():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ").strip()
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Return a server with `public_url` that trusts nginx to name users."""
    nginx = require_program("nginx", "/usr/sbin/nginx")
    folder = tmp_path_factory.mktemp("nginx")
    commands = Commands(tmp_path_factory.mktemp("commands"))
    trusted = {"header": "X-Forwarded-Email", "from": ["127.0.0.1/32"], "default_role": "viewer"}
    section = {"api_key": KEY, "public_url": URL, "auth": {"trusted_proxy": trusted}}
    project = write_project(folder / "project", {**WORKFLOWS, "waits": WAITS}, server=section)
    authority = Authority(folder)
    try:
        server = start_server(commands, project)
        port = free_port()
        write_configuration(folder, server.port, port, authority)
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                _await_port(process, port)
                context = ssl.create_default_context(cafile=str(authority.file))
                yield Proxied(server=server, port=port, context=context)
            finally:
                process.terminate()
    finally:
        commands.end()


def write_configuration(folder: Path, behind: int, port: int, authority: Authority) -> None:
    """Write the configuration of the page with these ports, and a second place that names a user."""
    [text] = [
        fence.text
        for fence in read_page(DOCS / "deployment/production.mdx").fences
        if fence.meta.get("title") == _TITLE
    ]
    certificate, key = authority.issue("nginx", HOST)
    for shown, used in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/compozy.pem": str(certificate),
        "/etc/ssl/compozy.key": str(key),
        "http://127.0.0.1:8080": f"http://127.0.0.1:{behind}",
    }.items():
        assert shown in text
        text = text.replace(shown, used)
    head, _, rest = text.partition("    location / {")
    named = rest.replace(
        "proxy_set_header", f"proxy_set_header X-Forwarded-Email {EMAIL};\n        proxy_set_header", 1
    )
    page = f"{head}    location /api/v0/auth/me {{{named.partition('}')[0]}}}\n    location / {{{rest}"
    user = "user root;\n" if os.geteuid() == 0 else ""
    places = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{user}pid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{page}}}\n",
        encoding="utf-8",
    )


def test_events_arrive_while_the_run_lasts(proxied: Proxied) -> None:
    started = proxied.ask("POST", f"{API}/workflows/waits/executions", {"execution_id": "it"}, **BEARER)
    assert (started.status, started.headers["location"]) == (202, f"{API}/executions/workflows/it")
    events = proxied.stream(f"{API}/executions/workflows/it/stream?events=task_status")
    seen = [next(events) for _ in range(3)]
    assert [(event["path"], event["data"]["status"]) for _, event in seen] == [
        ("first", "RUNNING"),
        ("first", "SUCCESS"),
        ("ask", "RUNNING"),
    ]
    # The stream is still open: the run waits.
    sent = proxied.ask("POST", f"{API}/executions/workflows/it/signals", {"name": "go"}, **BEARER)
    assert sent.status == 202, sent.content
    rest = list(events)
    assert rest[-1][0] == "complete"


def test_only_the_name_and_the_pages_of_the_public_url_are_accepted(proxied: Proxied) -> None:
    path = f"{API}/workflows/echo/executions/sync"
    assert proxied.ask("POST", path, {}).status == 401
    assert proxied.ask("POST", path, {}, **BEARER, origin=URL).status == 200
    assert proxied.ask("POST", path, {}, **BEARER, origin="https://evil.example").status == 403
    assert proxied.server.ask("GET", f"{API}/project", host="evil.example", **BEARER).status == 403
    page = proxied.ask("GET", "/healthz")
    assert (page.status, page.document) == (200, {"status": "ok"})


def test_the_proxy_names_the_user_and_clients_do_not(proxied: Proxied) -> None:
    for claimed in ({}, {"x_forwarded_email": "eve@example.com"}):
        me = proxied.ask("GET", f"{API}/auth/me", **claimed)
        assert (me.status, me.document["name"], me.document["credential"]) == (200, EMAIL, "trusted proxy")


def test_bodies_up_to_the_limit_pass(proxied: Proxied) -> None:
    path = f"{API}/workflows/echo/executions/sync"
    text = "x" * (9 * MIB)
    large = proxied.ask("POST", path, {"input": {"text": text}}, **BEARER)
    assert (large.status, len(large.document["input"]["text"])) == (200, len(text))
    assert proxied.ask("POST", path, b" " * (11 * MIB), **BEARER).status == 413


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    assert process.stdout is not None
    raise AssertionError(process.stdout.read().decode())
