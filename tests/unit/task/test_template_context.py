"""The data that templates of a task see, and the results of rendering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compozy.database.status import Status
from compozy.database.tasks import TaskEnd
from compozy.errors import SourceLocation, TemplateError
from compozy.task.template_context import TemplateContext, render_text, render_value
from compozy.task.tree import TaskResult


def context(**data: Any) -> TemplateContext:
    values: dict[str, Any] = {"workflow": {"id": "w"}, "project": {"name": "p"}, "input": {}, **data}
    return TemplateContext(**values)


def result(kind: str, output: Any, **children: TaskResult) -> TaskResult:
    end = TaskEnd(status=Status.SUCCESS, attempts=1, input={"with": {}}, output=output)
    return TaskResult(id="t", kind=kind, end=end, children=children)


def test_a_list_hides_the_tasks_around_it() -> None:
    outer = context(tasks={"a": {"id": "outer a"}, "b": {"id": "outer b"}})
    inner = outer.nested(parent={"id": "box", "parent": None})
    inner.tasks["a"] = {"id": "inner a"}
    tasks = inner.roots()["tasks"]
    assert (tasks["a"]["id"], tasks["b"]["id"]) == ("inner a", "outer b")
    assert outer.roots()["tasks"]["a"]["id"] == "outer a"
    assert inner.roots()["parent"]["id"] == "box"
    assert "parent" not in outer.roots()


def test_with_and_env_hide_outer_values() -> None:
    found = context(input={"a": 1, "b": 1}, env={"X": "1", "Y": "1"}).with_input({"b": 2}).with_env({"Y": "2"})
    assert (found.roots()["input"], found.roots()["env"]) == ({"a": 1, "b": 2}, {"X": "1", "Y": "2"})
    assert context(input=[1]).with_input({"a": 1}).roots()["input"] == {"a": 1}
    assert context(input=[1]).with_input({}).roots()["input"] == [1]


def test_roots_that_always_exist() -> None:
    assert render_value({"o": "{{ .output }}", "t": "{{ .trigger }}"}, ("x",), context()) == {"o": None, "t": {}}


def test_the_output_of_a_container_is_addressed_in_three_ways() -> None:
    child = result("basic", {"text": "x"})
    view = result("parallel", {"outputs": {"a": {"text": "x"}}}, a=child).view()
    own = {"outputs": {"a": {"text": "x"}}}
    counted = view["output"].pop("progress_info")
    assert (counted["total_children"], counted["success_count"]) == (1, 1)
    assert view["output"] == {"a": {"output": {"text": "x"}, "status": "SUCCESS"}, **own, "output": own}
    assert view["children"]["a"] == child.view()


def test_the_own_keys_of_a_container_hide_its_children() -> None:
    view = result("collection", {"a": 1, "results": []}, a=result("basic", {})).view()
    assert view["output"]["a"] == 1
    assert view["children"]["a"]["status"] == "SUCCESS"


def test_a_container_without_tasks_has_the_same_form() -> None:
    assert result("collection", {"results": []}).view()["output"] == {"results": [], "output": {"results": []}}


def test_the_output_of_any_other_task_is_as_it_is() -> None:
    assert result("basic", {"text": "x"}).view()["output"] == {"text": "x"}
    assert result("wait", {"payload": 1}, look=result("basic", {})).view()["output"] == {"payload": 1}
    assert result("basic", [1]).view()["output"] == [1]


def test_a_result_survives_being_stored() -> None:
    whole = result("parallel", {"outputs": {}}, a=result("collection", {"results": []}, b=result("basic", 1)))
    assert TaskResult.restore("t", whole.to_json()).view() == whole.view() | {
        "children": TaskResult.restore("t", whole.to_json()).view()["children"]
    }
    assert TaskResult.restore("t", whole.to_json()).to_json() == whole.to_json()


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "plain", "}}", [], {}, "a { b } c"])
def test_values_without_templates_stay_as_they_are(value: Any) -> None:
    assert render_value(value, ("x",), context()) == value
    if isinstance(value, str):
        assert render_text(value, ("x",), context()) == value


def test_a_template_that_is_not_closed_is_an_error() -> None:
    with pytest.raises(TemplateError):
        render_value("{{", ("x",), context())


def test_a_single_action_keeps_the_type() -> None:
    data = context(input={"list": [1, {"a": None}], "n": 2**60, "f": 0.5, "t": "x", "yes": True, "nothing": None})
    for key, value in data.input.items():
        rendered = render_value(f"{{{{ .input.{key} }}}}", ("x",), data)
        assert rendered == value
        assert type(rendered) is type(value)
    assert render_value("{{ .input.n }} ", ("x",), data) == f"{2**60} "


def test_rendering_changes_nothing_that_it_reads() -> None:
    data = context(input={"list": [1, 2], "map": {"a": 1}})
    taken = render_value({"l": "{{ .input.list }}", "m": '{{ set .input.map "b" 2 }}'}, ("x",), data)
    assert taken["m"] == {"a": 1, "b": 2}
    assert data.input == {"list": [1, 2], "map": {"a": 1}}


def test_errors_name_the_location_of_the_template() -> None:
    def locate(path: tuple[str | int, ...]) -> Callable[[int], SourceLocation]:
        assert path == ("tasks", 0, "prompt")
        return lambda offset: SourceLocation(file="w.yaml", line=3, col=10 + offset)

    with pytest.raises(TemplateError) as caught:
        render_text("ab {{ .input.none }}", ("tasks", 0, "prompt"), context(locate=locate))
    assert caught.value.location is not None
    assert str(caught.value.location).startswith("w.yaml:3:")
    assert caught.value.details["place"] == str(caught.value.location)


@pytest.mark.parametrize("text", ["{{ mulf 1e308 10.0 }}", "{{ list 1 (mulf -1e308 10.0) }}"])
def test_a_number_that_json_does_not_have_is_an_error(text: str) -> None:
    with pytest.raises(TemplateError, match="number that JSON has no form for"):
        render_value({"x": text}, ("with",), context())
