"""One task: what its templates see, what it results in, and how its errors are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from compozy.database.status import Status
from compozy.database.tasks import TaskEnd
from compozy.errors import DatabaseError, Place, TemplateError
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.task import execute
from compozy.task.config import TaskConfig
from compozy.task.execute import TaskCall, execute_task
from compozy.task.scope import Scope, render_text, render_value


def scope(**data: Any) -> Scope:
    values: dict[str, Any] = {"workflow": {"id": "w"}, "project": {"name": "p"}, "input": {}, **data}
    return Scope(**values)


def catalog(responses: Any) -> ModelCatalog:
    config = ProviderConfig.model_validate({"id": "s", "type": "scripted", "responses": responses})
    return ModelCatalog([config], missing_keys={}, environ={}, base_dir=Path())


@pytest.fixture(autouse=True)
def no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run steps without recording them."""

    async def step(_name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    monkeypatch.setattr(execute, "step", step)


def run(task: dict[str, Any], data: Scope, responses: Any = ({"text": "answer"},)) -> TaskEnd:
    call = TaskCall(task=TaskConfig.model_validate({"id": "t", **task}), index=0, execution_id="e", first_request=0)
    return asyncio.run(execute_task(call, data, catalog(list(responses))))


def test_without_a_prompt_the_input_is_passed_on() -> None:
    task = {"with": {"a": "{{ .input.n }}", "b": ["{{ .tasks.one.output }}", 1], "c": "n is {{ .input.n }}"}}
    end = run(task, scope(input={"n": 7}, tasks={"one": {"output": {"x": None}}}))
    assert end.status is Status.SUCCESS
    assert end.output == {"a": 7, "b": [{"x": None}, 1], "c": "n is 7"}
    assert end.input == {"with": end.output}
    assert end.usage is None


def test_a_task_with_nothing_in_it_results_in_nothing() -> None:
    assert run({}, scope()).output == {}


def test_with_lies_over_the_input_in_the_prompt() -> None:
    task = {"prompt": "{{ .input.a }} {{ .input.b }}", "with": {"a": "{{ .input.a }}!"}}
    end = run(task, scope(input={"a": 1, "b": 2}))
    assert end.input == {"with": {"a": "1!"}, "prompt": "1! 2"}
    assert end.output["text"] == "answer"
    assert end.usage is not None
    assert end.usage[0]["provider"] == "s"


def test_input_that_is_no_map_can_be_read_whole() -> None:
    assert run({"prompt": "{{ .input }}"}, scope(input=[1, 2])).input["prompt"] == "[1 2]"


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ({"prompt": "{{ .input.none }}"}, "template_render"),
        ({"with": {"x": "{{ .tasks.none.output }}"}}, "template_render"),
        ({"prompt": "x", "agent": {"instructions": "{{ .input.none }}"}}, "template_render"),
        ({"prompt": "x", "output": {"type": "object", "required": ["a"]}}, "model"),
    ],
)
def test_what_is_wrong_with_a_task_is_in_its_end(task: dict[str, Any], code: str) -> None:
    end = run(task, scope())
    assert (end.status, end.output) == (Status.FAILED, None)
    assert end.error is not None
    assert end.error["code"] == code
    assert end.error["message"]


def test_an_error_of_the_model_keeps_what_was_asked() -> None:
    end = run({"prompt": "hello {{ .input.n }}"}, scope(input={"n": 1}), [{"error": "down"}])
    assert (end.status, end.input) == (Status.FAILED, {"prompt": "hello 1"})
    assert end.error is not None
    assert "down" in end.error["message"]


def test_a_defect_fails_the_task_and_not_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(execute, "run_agent", broken)
    end = run({"prompt": "x"}, scope())
    assert end.error is not None
    assert (end.status, end.error["code"], end.error["message"]) == (
        Status.FAILED,
        "internal",
        "ZeroDivisionError: oops",
    )


def test_a_database_that_is_away_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise DatabaseError("gone")

    monkeypatch.setattr(execute, "run_agent", away)
    with pytest.raises(DatabaseError):
        run({"prompt": "x"}, scope())


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "plain", "{{", "}}", [], {}, "a { b } c"])
def test_values_without_templates_stay_as_they_are(value: Any) -> None:
    if value == "{{":
        with pytest.raises(TemplateError):
            render_value(value, ("x",), scope())
        return
    assert render_value(value, ("x",), scope()) == value
    if isinstance(value, str):
        assert render_text(value, ("x",), scope()) == value


def test_a_single_action_keeps_the_type() -> None:
    data = scope(input={"list": [1, {"a": None}], "n": 2**60, "f": 0.5, "t": "x", "yes": True, "nothing": None})
    for key, value in data.input.items():
        rendered = render_value(f"{{{{ .input.{key} }}}}", ("x",), data)
        assert rendered == value
        assert type(rendered) is type(value)
    assert render_value("{{ .input.n }} ", ("x",), data) == f"{2**60} "


def test_rendering_changes_nothing_that_it_reads() -> None:
    data = scope(input={"list": [1, 2], "map": {"a": 1}})
    taken = render_value({"l": "{{ .input.list }}", "m": '{{ set .input.map "b" 2 }}'}, ("x",), data)
    assert taken["m"] == {"a": 1, "b": 2}
    assert data.input == {"list": [1, 2], "map": {"a": 1}}


def test_errors_say_where_the_template_stands() -> None:
    def locate(path: tuple[str | int, ...]) -> Callable[[int], Place]:
        assert path == ("tasks", 0, "prompt")
        return lambda offset: Place(file="w.yaml", line=3, col=10 + offset)

    with pytest.raises(TemplateError) as caught:
        render_text("ab {{ .input.none }}", ("tasks", 0, "prompt"), scope(locate=locate))
    assert caught.value.place is not None
    assert str(caught.value.place).startswith("w.yaml:3:")
    assert caught.value.details["place"] == str(caught.value.place)


@pytest.mark.parametrize("text", ["{{ mulf 1e308 10.0 }}", "{{ list 1 (mulf -1e308 10.0) }}"])
def test_what_json_has_no_number_for_fails_the_task(text: str) -> None:
    end = run({"with": {"x": text}}, scope())
    assert end.status is Status.FAILED
    assert end.error is not None
    assert end.error["code"] == "template_render"
    assert "number that JSON has no form for" in end.error["message"]
