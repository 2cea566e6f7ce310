"""The scripted model finds its answer only by the position of the request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.models.test import TestModel

from compozy.errors import InternalError, ModelError
from compozy.model.call import CallPosition, at_position, current_position
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig


def scripted(responses: Any, **fields: Any) -> ModelCatalog:
    config = ProviderConfig.model_validate({"id": "s", "type": "scripted", "responses": responses, **fields})
    return ModelCatalog([config], missing_keys={}, environ={}, base_dir=Path())


async def ask(models: ModelCatalog, task_id: str = "t", run_index: int = 0, task_index: int = 0) -> ModelResponse:
    position = CallPosition(execution_id="e", task_id=task_id, path=task_id, run_index=run_index, task_index=task_index)
    with at_position(position):
        return await model_request(models.resolve(None, None).model, [ModelRequest.user_text_prompt("?")])


async def test_a_list_is_read_in_turn_over_the_run_and_again_by_the_next_run() -> None:
    models = scripted([{"text": "one"}, {"text": "two"}])

    answers = [(await ask(models, run_index=index, task_index=0)).text for index in (1, 0, 1, 0)]

    assert answers == ["two", "one", "two", "one"]


async def test_a_map_is_read_in_turn_over_each_task() -> None:
    models = scripted({"a": [{"text": "a1"}, {"text": "a2"}], "b": {"text": "b1"}})

    assert (await ask(models, "b", run_index=5)).text == "b1"
    assert (await ask(models, "a", run_index=7, task_index=1)).text == "a2"
    assert (await ask(models, "a", run_index=8, task_index=0)).text == "a1"


async def test_a_task_of_a_collection_is_found_by_the_id_that_it_gets() -> None:
    written = "item-{{ .index }}"
    models = scripted({"item-1": {"text": "its own"}, written: {"text": "of all"}})
    for child, text in (("item-0", "of all"), ("item-1", "its own")):
        position = CallPosition(execution_id="e", task_id=written, path=f"each/{child}", run_index=9, task_index=0)
        with at_position(position):
            request = [ModelRequest.user_text_prompt("?")]
            assert (await model_request(models.resolve(None, None).model, request)).text == text


async def test_json_usage_and_model_name_are_reported() -> None:
    models = scripted([{"json": {"ü": [1, None]}, "usage": {"input_tokens": 5, "output_tokens": 2}}], model="pretend")

    answer = await ask(models)

    assert answer.text == '{"ü": [1, null]}'
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 2)
    assert answer.model_name == "pretend"


async def test_a_scripted_model_does_not_load_the_price_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list takes 26 MB of memory, which devices with scripted or local models do not need to spend."""
    loaded: list[str] = []
    for module in ("pydantic_ai._genai_prices", "pydantic_ai.usage"):
        monkeypatch.setattr(f"{module}.get_snapshot", lambda: loaded.append("list"))

    assert (await ask(scripted([{"text": "one"}]))).text == "one"
    assert loaded == []

    # The check above can fail: the base class loads it.
    TestModel()
    assert loaded


@pytest.mark.parametrize(
    ("responses", "task_id", "indexes", "message"),
    [
        (
            [{"text": "x"}],
            "greet",
            (1, 0),
            "the scripted provider 's' has 1 response in all, and task 'greet' asked for number 2",
        ),
        (
            None,
            "greet",
            (0, 0),
            "the scripted provider 's' has 0 responses in all, and task 'greet' asked for number 1",
        ),
        (
            {"greet": [{"text": "x"}, {"text": "y"}]},
            "greet",
            (9, 2),
            "the scripted provider 's' has 2 responses for task 'greet', and task 'greet' asked for number 3",
        ),
        (
            {"b": {"text": "x"}, "a": {"text": "y"}},
            "greet",
            (0, 0),
            "the scripted provider 's' has no response for task 'greet'; its `responses` name: 'a', 'b'",
        ),
    ],
)
async def test_running_out_is_an_error_that_counts(
    responses: Any, task_id: str, indexes: tuple[int, int], message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        await ask(scripted(responses), task_id, run_index=indexes[0], task_index=indexes[1])

    assert caught.value.message == message
    assert caught.value.hint == "add a response to `responses`"


async def test_a_scripted_error_fails_once_and_is_not_retried() -> None:
    with pytest.raises(ModelError) as caught:
        await ask(scripted([{"error": "out of order"}, {"text": "never"}]))

    assert caught.value.message == "provider 's' answered with its scripted error: out of order"


async def test_a_delay_beyond_the_timeout_is_a_timeout() -> None:
    with pytest.raises(ModelError) as caught:
        await ask(scripted([{"text": "late", "delay_ms": 60_000}], timeout="50ms"))

    assert caught.value.message.endswith("did not answer within 50ms"), "it was tried once: it would be as slow again"
    assert caught.value.hint == "raise `timeout` of provider 's'"


def test_a_request_outside_of_a_run_has_no_position() -> None:
    with pytest.raises(InternalError):
        current_position()
