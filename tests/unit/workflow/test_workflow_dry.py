"""The plan of a run, printed without executing it."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest
from inline_snapshot import snapshot
from tests.harness.flows import EVERY_KIND

from compozy.config.nodes import to_value
from compozy.config.parse import parse_yaml
from compozy.errors import ExpressionError
from compozy.task.template_context import TemplateContext
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.dry import dry_run


def dry(text: str, given: dict[str, Any]) -> dict[str, Any]:
    node = parse_yaml(text.encode(), file="w.yaml").node
    assert node is not None
    workflow = WorkflowConfig.model_validate(to_value(node))
    return dry_run(workflow, TemplateContext(workflow={"id": "w"}, project={"name": "demo"}, input=given))


def test_every_kind() -> None:
    tasks = {task["id"]: task for task in dry(EVERY_KIND, {"topic": "snow", "urgent": True})["tasks"]}
    assert tasks["read-in"]["prompt"] == "Say something kind snow about snow"
    assert tasks["read-in"]["follows"] == [{"when": "", "task": "route"}, {"when": "error", "task": "mend"}]
    assert tasks["mend"]["with"] == {"said": "‹.error.message› ‹.input.reason›"}
    assert tasks["calm"]["prompt"] == "Calm ‹.tasks.route.output.route_taken›"
    assert [task["id"] for task in tasks["each"]["tasks"]] == ["item-0", "item-1"]
    assert tasks["each"]["tasks"][1]["prompt"] == snapshot(
        "About b ‹.item› ‹.tasks.gather.children.facts.output› ‹.task.id›"
    )
    assert tasks["gather"]["tasks"][1]["tasks"][1]["condition"] == "‹tasks.one.output.n != null›"
    assert tasks["ask"]["wait_for"] == "go-‹.workflow.exec_id›"


SMALL = """\
id: w
tasks:
  - {id: sort, type: router, condition: "input.n > 1 ? 'many' : 'few'", routes: {many: a, few: b}}
  - {id: a, condition: "input.n == 2", prompt: '{{ if .tasks.sort }}x{{ end }} {{ .input.n }}'}
  - {id: b, type: collection, items: "{{ .input.n }}", filter: item > 0, task: {id: c, with: {n: "{{ .item }}"}}}
"""


def test_known_values_are_decided() -> None:
    sort, a, b = dry(SMALL, {"n": 2})["tasks"]
    assert sort["condition"] == "many"
    many, few = sort["follows"]
    assert (many["task"], many["is_taken"]) == ("a", True)
    assert (few["task"], few["is_taken"]) == ("b", False)
    assert [task["kind"] for task in (sort, a, b)] == ["router", "", "collection"]
    assert a["condition"] is True
    # The parts of a template with branches cannot be distinguished.
    assert a["prompt"] == "‹if .tasks.sort›x‹end› ‹.input.n›"
    assert b["items"] == 2
    assert [(each["condition"], each["with"]) for each in b["tasks"]] == [(False, {"n": 0}), (True, {"n": 1})]


def test_an_unknown_route_is_not_marked() -> None:
    tasks = {task["id"]: task for task in dry(EVERY_KIND, {"topic": "snow", "urgent": True})["tasks"]}
    assert all("is_taken" not in edge for edge in tasks["route"]["follows"])


def test_an_error_is_reported_at_its_task() -> None:
    text = "id: w\ntasks: [{id: a, prompt: '{{ div 1 .input.n }}'}, {id: b, condition: input.n, prompt: x}]\n"
    a, b = dry(text, {"n": 0})["tasks"]
    assert a["prompt"].startswith("‹error: ")
    assert b["condition"].startswith("‹error: ")


COSTLY = """\
id: w
tasks:
  - id: outer
    type: collection
    items: "{{ until 20 }}"
    task:
      id: inner
      type: collection
      items: "{{ until 20 }}"
      task: {id: pass, with: {a: '{{ $i := .index }}{{ range until 100 }}{{ range until 100 }}{{ end }}{{ end }}'}}
"""


def test_a_costly_dry_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text stays within its own limits; 400 of them do not."""
    monkeypatch.setattr("compozy.workflow.dry.WORKER_S", 0.2)
    began_s = thread_time()
    with pytest.raises(ExpressionError, match=r"evaluated together take longer than 0\.2 s"):
        dry(COSTLY, {})
    assert thread_time() - began_s < 2
