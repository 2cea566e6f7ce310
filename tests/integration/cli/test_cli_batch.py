"""`compozy workflow batch` without a server."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import RunCli
from tests.harness.projects import write_project


def test_executions_are_run_again_and_deleted(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    for run_id in ("first", "second"):
        assert cli("workflow", "run", "two", "--id", run_id, "--label", f"n={run_id}").status == 0
    plan = cli("workflow", "batch", "rerun", "--label", "n=first", "--dry-run")
    assert (plan.status, plan.out) == (0, "rerun: 1 of 1 would be done, 0 refused\n")
    done = cli("workflow", "batch", "rerun", "--label", "n=first", "--format", "json")
    assert done.status == 0, done.err
    (item,) = json.loads(done.out)["output"]["items"]
    waited = cli("workflow", "get", item["new_execution_id"], "--wait", "--format", "json")
    assert (json.loads(waited.out)["status"], json.loads(waited.out)["rerun_of"]) == ("SUCCESS", "first")
    mixed = cli("workflow", "batch", "delete", "second", "none")
    assert (mixed.status, mixed.out.splitlines()[-1]) == (1, "delete: 1 of 2 done, 1 refused")
    assert "execution 'none' not found in this database" in mixed.out
    assert cli("workflow", "get", "second").status != 0


def test_invalid_batches_are_refused(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    for arguments in (["cancel"], ["cancel", "some", "--all"], ["erase", "--all"]):
        assert cli("workflow", "batch", *arguments).status == 2
