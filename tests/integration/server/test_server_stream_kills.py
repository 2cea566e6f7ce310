"""Streams of real servers: a client that reconnects again and again gets exactly the event log, despite kills."""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import API, start_server
from tests.harness.stores import open_store

_TASKS = 24
_SEED = 20261128
_TEXT = "Each answer arrives in a few pieces, 🙂 and is whole at its end."


@dataclass
class Client:
    """Reads the stream of a run, and disconnects after a few events each time."""

    run_id: str
    port: int
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    connections: int = 0
    ended: str = ""
    # For each task: attempt, text, whether it is complete.
    texts: dict[str, tuple[int, str, bool]] = field(default_factory=dict[str, tuple[int, str, bool]])
    pieces: int = 0

    def follow(self) -> None:
        """Connect until the stream reports the end of the run."""
        chance = random.Random(_SEED)
        while not self.ended:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self._read(connection, chance.randrange(1, 6))
            except (OSError, http.client.HTTPException):
                # Between two servers.
                threading.Event().wait(0.05)
            finally:
                connection.close()

    def _read(self, connection: http.client.HTTPConnection, count: int) -> None:
        headers = {"Last-Event-ID": str(self.events[-1]["seq"])} if self.events else {}
        connection.request("GET", f"{API}/executions/workflows/{self.run_id}/stream", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise http.client.HTTPException(answer.status)
        self.connections += 1
        event: dict[str, str] = {}
        while count > 0 and not self.ended:
            line = answer.readline().decode()
            if not line:
                return
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif event.get("event") in {"complete", "error"}:
                self.ended = event["event"]
            elif event.get("event") == "llm_chunk":
                self._add(json.loads(event["data"]))
                event = {}
            elif "id" in event:
                self.events.append(json.loads(event["data"]))
                event, count = {}, count - 1
            else:
                event = {}

    def _add(self, piece: dict[str, Any]) -> None:
        attempt, text, _ = self.texts.get(piece["path"], (0, "", False))
        assert piece["attempt"] >= attempt, "an attempt never comes after a later one"
        if piece["offset"] == 0:
            text = ""
        else:
            # Each connection starts with the text so far.
            assert (piece["attempt"], piece["offset"]) == (attempt, len(text))
        self.texts[piece["path"]] = (piece["attempt"], text + piece["text"], piece["final"])
        self.pieces += 1


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(300)
def test_a_client_that_reconnects_gets_the_complete_log(commands: Commands, tmp_path: Path, driver: str) -> None:
    home = tmp_path / "project"
    with open_store(driver, home) as store:
        responses = {f"t{number}": {"text": _TEXT, "delay_ms": 250} for number in range(_TASKS)}
        tasks = [{"id": f"t{number}", "prompt": "p"} for number in range(_TASKS)]
        write_project(home, {"long": {"tasks": tasks}}, responses=responses, database=store.section)
        server = start_server(commands, home)
        if driver == "postgres":
            # It continues the run when the server is killed.
            worker = commands.start(home, "worker")
            worker.until(lambda: "Worker ready" in worker.out)
        run_id = server.ask("POST", f"{API}/workflows/long/executions", {}).document["execution_id"]
        client = Client(run_id, server.port)
        following = threading.Thread(target=client.follow, daemon=True)
        following.start()
        for known in (3, 12):
            server.command.until(lambda known=known: len(client.events) >= known)
            server.command.send(signal.SIGKILL)
            server.command.wait()
            server = start_server(commands, home)
            client.port = server.port
        following.join(200)
        assert client.ended == "complete"
        log = server.ask("GET", f"{API}/executions/workflows/{run_id}/events").document["events"]
        assert client.events == [{"execution_id": run_id, **event} for event in log]
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        assert client.connections > 5
        assert any(event["data"].get("resumed") for event in log)
        complete = [text for _, text, is_complete in client.texts.values() if is_complete]
        assert complete == [_TEXT] * len(complete)
        assert len(complete) > 3
        assert client.pieces > len(client.texts)
        assert all(_TEXT.startswith(text) for _, text, _ in client.texts.values())
