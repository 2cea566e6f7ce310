"""`workflow get`: prompts and answers of each model request, and a readable result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import free_port, start_server
from tests.harness.stores import open_store

pytestmark = pytest.mark.usefixtures("port_of_file")

TYPED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WORKFLOW = {
    "tasks": [
        {
            "id": "greet",
            "prompt": "Greet {{ .input.name }}.\nBe short.",
            "agent": {"llm": "s", "instructions": "Be kind."},
        },
        {"id": "count", "prompt": "Count.", "output": TYPED},
    ],
    "output": {"poem": "{{ .tasks.greet.output.text }}", "n": "{{ .tasks.count.output.n }}", "long": "x" * 200},
}
RESPONSES = {"greet": {"text": "Hello,\nAda"}, "count": [{"text": "many"}, {"text": '{"n": 3}'}]}


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a project on a new database of each driver."""
    with open_store(request.param, tmp_path / "project") as store:
        sections = {"database": store.section, "server": {"port": free_port()}}
        yield write_project(store.home, {"talk": WORKFLOW}, responses=RESPONSES, **sections)


@pytest.mark.parametrize("is_served", [False, True], ids=["here", "server"])
def test_prompts_and_answers_are_shown(commands: Commands, project: Path, *, is_served: bool) -> None:
    if is_served:
        start_server(commands, project, port=json.loads((project / "compozy.yaml").read_text())["server"]["port"])
    assert commands.run(project, "workflow", "run", "talk", "--id", "talk-1", "-i", "name=Ada").status == 0
    shown = commands.run(project, "workflow", "get", "talk-1", "--verbose").out
    assert (
        "  instructions:\n    Be kind.\n  prompt:\n    Greet Ada.\n    Be short.\n  answer:\n    Hello,\n    Ada\n"
        in shown
    )
    # The first answer did not match the schema, and is shown nevertheless.
    headings = [" ".join(line.split()[:4]) for line in shown.splitlines() if line.startswith("Request ")]
    assert headings == ["Request 1 of greet", "Request 1 of count", "Request 2 of count"]
    assert "  answer:\n    many\n" in shown
    assert '  answer:\n    {"n": 3}\n' in shown
    assert f"Result:\n  poem:\n    Hello,\n    Ada\n  n: 3\n  long:\n    {'x' * 200}\n" in shown
    document = json.loads(commands.run(project, "workflow", "get", "talk-1", "--verbose", "--format", "json").out)
    requests = [(request["path"], request["number"], request["answer"]) for request in document["requests"]]
    assert requests == [("greet", 1, "Hello,\nAda"), ("count", 1, "many"), ("count", 2, '{"n": 3}')]
    assert "requests" not in json.loads(commands.run(project, "workflow", "get", "talk-1", "--format", "json").out)
