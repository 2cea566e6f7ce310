"""`config validate` for CI: SARIF 2.1.0 and the workflow commands of GitHub Actions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compozy.cli.annotations import github_commands, sarif_document
from compozy.errors import Diagnostic, SourceLocation
from tests.conftest import RunCli
from tests.harness.projects import write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with an error in one workflow."""
    folder = write_project(tmp_path, {"two": {"tasks": [{"id": "a"}]}}, responses=[{"text": "x"}])
    (folder / "workflows/one, 100%.yaml").write_text("id: one\ntasks:\n  - id: x\n    promptt: hi\n")
    return folder


def test_errors_as_sarif(cli: RunCli, project: Path) -> None:
    done = cli("config", "validate", "--format", "sarif")
    assert (done.status, done.err) == (5, "")
    log = json.loads(done.out)
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    [result] = run["results"]
    assert driver["name"] == "Compozy"
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["level"] == "error"
    assert result["message"]["text"] == "unknown key 'promptt' in task 'x' (did you mean 'prompt'?)"
    assert result["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "workflows/one%2C%20100%25.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 4, "startColumn": 5},
            }
        }
    ]


def test_errors_as_github_commands(cli: RunCli, project: Path) -> None:
    done = cli("config", "validate", "--format", "github")
    assert (done.status, done.err) == (5, "")
    assert done.out == (
        "::error file=workflows/one%2C 100%25.yaml,title=Compozy,line=4,col=5::"
        "unknown key 'promptt' in task 'x' (did you mean 'prompt'?)\n"
    )


def test_a_valid_project(cli: RunCli, project: Path) -> None:
    (project / "workflows/one, 100%.yaml").unlink()
    done = cli("config", "validate", "-f", "sarif")
    assert (done.status, json.loads(done.out)["runs"][0]["results"]) == (0, [])
    assert cli("config", "validate", "-f", "github").out == "compozy.yaml is valid: project 'demo', 1 workflow\n"


def test_positions_and_characters_that_have_a_meaning() -> None:
    whole = Diagnostic(location=SourceLocation(file="/p/a b.yaml"), message="50%\nof it", code="files")
    [result] = sarif_document([whole])["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "file:///p/a%20b.yaml"}}
    assert github_commands([whole]) == ["::error file=/p/a b.yaml,title=Compozy::50%25%0Aof it"]
