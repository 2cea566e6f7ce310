"""Debian's Prometheus scrapes a real server and a real worker, and `promtool` accepts their metrics."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.harness.postgres import new_database, running_server
from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import ask, free_port, start_server

KEY = "correct-horse-battery-staple"
TIMEOUT_S = 120
pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None, reason="needs Debian's package prometheus"
)


def _query(port: int, expression: str) -> list[dict[str, Any]]:
    """Return the result of a query, [] while Prometheus does not respond."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except OSError:
        return []


def _until(port: int, expression: str, count: int = 1) -> list[dict[str, Any]]:
    deadline = time.monotonic() + TIMEOUT_S
    while len(found := _query(port, expression)) < count:
        assert time.monotonic() < deadline, f"Prometheus has {len(found)} results for {expression}"
        time.sleep(0.2)
    return found


def test_prometheus_scrapes_a_server_and_a_worker(commands: Commands, tmp_path: Path) -> None:
    with new_database(migrated=False) as place:
        folder = write_project(
            tmp_path / "project",
            database=running_server().section(str(place.dbname)),
            monitoring={"enabled": True},
            server={"api_key": KEY},
        )
        server = start_server(commands, folder)
        worker = commands.start(folder, "worker", "--port=0")
        worker.until(lambda: "Worker ready" in worker.out)
        listening = re.search(r"^Probes listening on :(\d+)$", worker.out, re.MULTILINE)
        assert listening is not None
        ports = [server.port, int(listening[1])]
        started = server.ask(
            "POST",
            "/api/v0/workflows/two/executions/sync",
            {},
            Authorization=f"Bearer {KEY}",
            Content_Type="application/json",
        )
        assert started.document["status"] == "SUCCESS"
        for port in ports:
            assert ask(port, "GET", "/readyz").document == {"status": "ready"}
            text = ask(port, "GET", "/metrics", headers={"Authorization": f"Bearer {KEY}"}).content
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
        _check_scrapes(tmp_path, ports)
        worker.send(signal.SIGTERM)
        assert worker.wait().status == 0


def _check_scrapes(folder: Path, ports: list[int]) -> None:
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [
                    {
                        "job_name": "compozy",
                        "authorization": {"credentials": KEY},
                        "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
                    }
                ],
            }
        )
    )
    own = free_port()
    arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", f"--web.listen-address=127.0.0.1:{own}"]
    with subprocess.Popen(["prometheus", *arguments], cwd=folder, stderr=subprocess.DEVNULL) as prometheus:
        try:
            _until(own, "up == 1", count=2)
            [ended] = _until(own, 'sum(compozy_executions_ended_total{status="SUCCESS"}) > 0')
            assert ended["value"][1] == "1"
            [alive] = _until(own, "max(compozy_executors_alive)")
            assert alive["value"][1] == "2"
        finally:
            prometheus.terminate()
