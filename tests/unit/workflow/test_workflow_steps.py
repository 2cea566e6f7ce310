"""The pure parts of a workflow: the next task, its cost, locations of its templates, and its input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.database.status import Status
from compozy.database.tasks import TaskEnd
from compozy.database.usage import add_usage
from compozy.errors import CompozyError, SchemaMismatchError, SourceLocation, UsageError
from compozy.task.template_context import TemplateContext
from compozy.task.tree import TaskResult
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.output import render_output
from compozy.workflow.places import compress_places, locate_from, path_key
from compozy.workflow.start import check_input, prepare_run


def workflow(count: int = 3, **fields: Any) -> WorkflowConfig:
    return WorkflowConfig.model_validate({"id": "w", "tasks": [{"id": f"t{n}"} for n in range(count)], **fields})


USAGES = st.lists(
    st.fixed_dictionaries(
        {
            "provider": st.sampled_from(["a", "b"]),
            "model": st.sampled_from(["m", "n"]),
            "input_tokens": st.integers(0, 1000),
            "output_tokens": st.integers(0, 1000),
            "requests": st.integers(0, 5),
        }
    )
)


@given(USAGES)
def test_usage_is_summed_by_provider_and_model(usages: list[dict[str, Any]]) -> None:
    sums = add_usage(usages)
    for count in ("input_tokens", "output_tokens", "requests"):
        assert sum(total[count] for total in sums) == sum(usage[count] for usage in usages)
    keys = [(total["provider"], total["model"]) for total in sums]
    assert keys == list(dict.fromkeys((usage["provider"], usage["model"]) for usage in usages))
    assert add_usage(sums) == sums


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=40))
def test_locations_survive_being_stored(places: list[tuple[int, int]]) -> None:
    def locate(offset: int) -> SourceLocation:
        line, col = places[offset] if offset < len(places) else (1, 1)
        return SourceLocation(file="f", line=line, col=col)

    breaks = compress_places(len(places), locate)
    found = locate_from({"source": {"file": "f", "places": {"tasks/0/prompt": breaks}}})(("tasks", 0, "prompt"))
    assert found is not None
    assert [found(offset) for offset in range(len(places))] == [locate(offset) for offset in range(len(places))]


def test_a_folded_text_has_one_location() -> None:
    assert compress_places(1000, lambda offset: SourceLocation(file="f", line=2, col=5 + offset)) == [[0, 2, 5]]


def test_an_unknown_value_has_no_location() -> None:
    assert locate_from({})(("output",)) is None
    assert locate_from({"source": {"file": "f", "places": {}}})(("output",)) is None
    assert path_key(("tasks", 0, "with", "a")) == "tasks/0/with/a"


def results(**outputs: Any) -> dict[str, TaskResult]:
    return {
        task_id: TaskResult(id=task_id, kind="basic", end=TaskEnd(status=Status.SUCCESS, attempts=1, output=output))
        for task_id, output in outputs.items()
    }


def rendered(found: WorkflowConfig, **outputs: Any) -> Any:
    ended = results(**outputs)
    tasks = {task_id: result.view() for task_id, result in ended.items()}
    context = TemplateContext(workflow={"id": "w"}, project={"name": "p"}, input={"n": 1}, tasks=tasks)
    return render_output(found, context, ended)


def test_the_output_is_that_of_the_workflow_or_of_every_task() -> None:
    outputs: dict[str, Any] = {"t0": {"text": "a"}, "t1": 5}
    assert rendered(workflow(), **outputs) == {"t0": {"text": "a"}, "t1": 5}
    stated = workflow(output={"x": "{{ .tasks.t1.output }}", "deep": {"y": ["{{ .input.n }}"]}, "fixed": None})
    assert rendered(stated, **outputs) == {"x": 5, "deep": {"y": [1]}, "fixed": None}
    assert rendered(workflow(outputs={"x": "{{ .workflow.id }}"}), **outputs) == {"x": "w"}
    assert rendered(workflow(output={}), **outputs) == {}


def test_an_output_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(CompozyError):
        rendered(workflow(output={"x": "{{ .tasks.t9.output }}"}))


@pytest.mark.parametrize("key", ["input", "config"])
def test_the_schema_of_the_input_may_be_in_two_places(key: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "default": 3}}}
    fields: dict[str, Any] = {"input": schema} if key == "input" else {"config": {"input": schema}}
    found = workflow(**fields)
    assert check_input(found, None) == {"a": 3}
    with pytest.raises(SchemaMismatchError, match="a: expected a whole number") as caught:
        check_input(found, {"a": "x"})
    assert [problem["path"] for problem in caught.value.details["problems"]] == ["a"]


def test_the_given_input_is_not_changed_by_defaults() -> None:
    given: dict[str, Any] = {"inner": {}}
    schema: dict[str, Any] = {"properties": {"inner": {"properties": {"a": {"default": 1}}}, "b": {"default": []}}}
    assert check_input(workflow(input=schema), given) == {"inner": {"a": 1}, "b": []}
    assert given == {"inner": {}}


@pytest.mark.parametrize("given", [[], "x", 5, True])
def test_without_a_schema_the_input_is_an_object(given: Any) -> None:
    with pytest.raises(UsageError, match="is a JSON object"):
        check_input(workflow(), given)


def test_a_schema_may_ask_for_something_else() -> None:
    assert check_input(workflow(input={"type": "array"}), [1]) == [1]


def test_a_run_is_prepared_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compozy.workflow.start.now_ms", lambda: 1000)
    new = prepare_run(workflow(), {"workflow": {}}, {"a": 1}, execution_id="it", timeout_s=1.5)
    assert (new.workflow_exec_id, new.workflow_id, new.input, new.deadline_ms) == ("it", "w", {"a": 1}, 2500)
    other = prepare_run(workflow(), {}, None)
    assert (len(other.workflow_exec_id), other.input, other.deadline_ms) == (26, {}, None)
    with pytest.raises(UsageError):
        prepare_run(workflow(), {}, None, execution_id="")
