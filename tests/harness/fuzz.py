"""Fuzzes the API of a real server with schemathesis, based on the server's own OpenAPI document.

    python -m tests.harness.fuzz --examples 200

It prints what schemathesis says, and ends with its status.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.processes import Commands
from tests.harness.projects import WORKFLOWS, write_project
from tests.harness.servers import API, Running, start_server

_QUICK = ("echo", "two", "bad")
_RUNS = ("first", "second")
# Left out: an input may match the OpenAPI document, which does not describe it, and violate the workflow's schema.
_LEFT_OUT = "positive_data_acceptance"


def main() -> None:
    """Fuzz a scratch project."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=200, help="requests for each path and method")
    with tempfile.TemporaryDirectory() as scratch:
        commands = Commands(Path(scratch) / "commands")
        try:
            done = fuzz(commands, Path(scratch), examples=parser.parse_args().examples)
        finally:
            commands.end()
    print(done.stdout)
    sys.exit(done.returncode)


def fuzz(commands: Commands, folder: Path, *, examples: int) -> subprocess.CompletedProcess[str]:
    """Start a server on a small project in `folder`, fuzz it, and return the output of schemathesis."""
    workflows = {name: WORKFLOWS[name] for name in _QUICK}
    responses = {"one": {"text": "first"}, "two": {"text": "second"}, "bad": {"error": "boom"}}
    project = write_project(folder / "project", workflows, responses=responses)
    server = start_server(commands, project)
    for run_id in _RUNS:
        server.ask("POST", f"{API}/workflows/echo/executions/sync", {"execution_id": run_id})
    document = folder / "openapi.json"
    document.write_text(json.dumps(_with_names(server)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", server.url, "--no-color"),
            *("--checks=all", f"--exclude-checks={_LEFT_OUT}", f"--max-examples={examples}", "--warnings=off"),
            *("--request-timeout=60", "--generation-deterministic", "--continue-on-failure"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert server.ask("GET", "/readyz").status == 200, server.command.err
    assert "Traceback" not in server.command.err, server.command.err
    return done


def _with_names(server: Running) -> Any:
    """Add names that exist to the OpenAPI document, so that the fuzz gets further than `not found`."""
    document = server.ask("GET", "/openapi.json").document
    known = {
        "base_id": ["docs", "none"],
        "workflow_id": [*_QUICK, "none"],
        "execution_id": [*_RUNS, "none"],
        "path": ["one", "none"],
    }
    for name in ("StartBody", "StartSyncBody", "RerunBody", "BatchBody"):
        # A path is text: a run that the fuzz named "0" would be found under 0, an ID "of the wrong type".
        del document["components"]["schemas"][name]["properties"]["execution_id"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    names = {"enum": known.get(parameter["name"], ["none"])}
                    parameter["schema"] = {"anyOf": [names, {"type": "string", "pattern": "^[a-z]{1,9}$"}]}
    return document


if __name__ == "__main__":
    main()
