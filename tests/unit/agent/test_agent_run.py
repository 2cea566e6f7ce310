"""The conversation of one task: text, structured answers, repairs, replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journal import Journal

from compozy.agent.config import AgentConfig
from compozy.agent.run import AgentRequest, AgentResult, run_agent
from compozy.errors import InternalError, ModelError
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def catalog(*providers: dict[str, Any], missing: dict[str, str] | None = None) -> ModelCatalog:
    configs = [ProviderConfig.model_validate(provider) for provider in providers]
    return ModelCatalog(configs, missing_keys=missing or {}, environ={}, base_dir=Path())


def scripted(*responses: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "s", "type": "scripted", "responses": list(responses), **fields}


async def run(models: ModelCatalog, journal: Journal | None = None, **fields: Any) -> AgentResult:
    request: dict[str, Any] = {
        "execution_id": "e",
        "task_id": "greet",
        "path": "greet",
        "first_run_index": 0,
        "config": None,
        "prompt": "Hi",
        **fields,
    }
    return await run_agent(AgentRequest(**request), models, checkpoint=journal or Journal())


async def test_a_text_answer() -> None:
    journal = Journal()

    result = await run(catalog(scripted({"text": "Hello", "usage": {"input_tokens": 3, "output_tokens": 2}})), journal)

    assert result == AgentResult(
        text="Hello",
        output={"text": "Hello", "response": "Hello"},
        usage={"input_tokens": 3, "output_tokens": 2, "requests": 1, "provider": "s", "model": "scripted"},
    )
    assert journal.called == ["greet.model.request"]


async def test_the_agents_provider_and_model_are_asked() -> None:
    models = catalog(scripted({"text": "no"}), {**scripted({"text": "yes"}), "id": "other"})

    result = await run(models, config=AgentConfig(llm="other", model="tuned"))

    assert (result.text, result.usage["provider"], result.usage["model"]) == ("yes", "other", "tuned")


async def test_the_position_in_the_run_selects_the_answer() -> None:
    result = await run(catalog(scripted({"text": "first"}, {"text": "second"})), first_run_index=1)

    assert result.text == "second"


async def test_an_answer_that_looks_like_a_template_is_not_rendered() -> None:
    result = await run(catalog(scripted({"text": "{{ .env.SECRET }} ${HOME}"})))

    assert result.text == "{{ .env.SECRET }} ${HOME}"


@pytest.mark.parametrize(
    ("schema", "response", "value"),
    [
        (SCHEMA, {"json": {"n": 4}}, {"n": 4}),
        (SCHEMA, {"text": 'Sure!\n```json\n{"n": 4}\n```'}, {"n": 4}),
        (SCHEMA, {"text": 'The answer is {"n": 4}, I think.'}, {"n": 4}),
        (SCHEMA, {"text": 'The set {a, b} gives: {"n": 4}'}, {"n": 4}),
        (SCHEMA, {"text": 'As [1] says, of {"m": 1} follows {"n": 4}.'}, {"n": 4}),
        (SCHEMA, {"text": 'I say {"n": 4}. Once more: { "n": 4 }'}, {"n": 4}),
        (SCHEMA, {"text": 'First {"n": 1}, but no:\n```json\n{"n": 4}\n```\n'}, {"n": 4}),
        (SCHEMA, {"text": '```\nlook\n```\n{"n": 4}'}, {"n": 4}),
        ({"properties": {"n": {}}, "required": ["n"]}, {"text": r'{"n": "\ud800"}'}, {"n": "\ufffd"}),
        ({"type": "array", "items": {"type": "string"}}, {"json": ["a", "b"]}, ["a", "b"]),
        ({"type": "array", "items": {"type": "string"}}, {"json": {"value": ["a"]}}, ["a"]),
        ({"type": "string"}, {"json": "x"}, "x"),
        ({"type": "number"}, {"json": 1.5}, 1.5),
        ({"type": "boolean"}, {"json": {"value": False}}, False),
        ({"type": "null"}, {"text": "null"}, None),
        ({"enum": ["a", "b"]}, {"json": "b"}, "b"),
        ({"type": ["object", "null"]}, {"json": {"value": None}}, None),
        ({"anyOf": [{"type": "integer"}, SCHEMA]}, {"json": {"value": {"n": 1}}}, {"n": 1}),
        ({"properties": {"value": {"type": "integer"}}}, {"json": {"value": 1}}, {"value": 1}),
        ({"anyOf": [{"type": "object", "required": ["value"]}]}, {"json": {"value": 1}}, {"value": 1}),
    ],
)
async def test_structured_answers(schema: dict[str, Any], response: dict[str, Any], value: Any) -> None:
    result = await run(catalog(scripted(response)), output_schema=schema)

    assert result.output == value
    assert result.usage["requests"] == 1


async def test_a_wrong_answer_is_repaired_in_a_separate_step() -> None:
    journal = Journal()
    models = catalog(
        scripted(
            {"text": "no idea", "usage": {"input_tokens": 1, "output_tokens": 10}},
            {"json": {"n": "four"}, "usage": {"input_tokens": 2, "output_tokens": 20}},
            {"json": {"n": 4}, "usage": {"input_tokens": 4, "output_tokens": 40}},
        )
    )

    result = await run(models, journal, output_schema=SCHEMA)

    assert result.output == {"n": 4}
    assert result.text == '{"n": 4}'
    assert journal.called == ["greet.model.request"] * 3
    assert result.usage == {
        "input_tokens": 7,
        "output_tokens": 70,
        "requests": 3,
        "provider": "s",
        "model": "scripted",
    }


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"json": {"n": "four"}}, "n: expected a whole number, got 'four'"),
        ({"json": {}}, "missing key 'n'"),
        ({"text": "no"}, "the answer is not JSON"),
        ({"text": '{"n": NaN}'}, "NaN is not a JSON value"),
        ({"text": "[" * 200_000}, "the answer is not JSON: nested too deeply"),
        ({"text": ""}, "the answer is not JSON"),
        ({"text": '{"n": 1e999}'}, "the answer is not JSON: the number 1e999 is too large"),
        ({"text": '{"n": ' + "9" * 5000}, "is too large"),
        ({"text": '{"n": ' * 600 + "1" + "}" * 600}, "nested deeper than 100 levels"),
        ({"text": 'Maybe {"n": 1}, or rather {"n": 2}.'}, "the answer holds several JSON values that match the schema"),
    ],
)
async def test_three_wrong_answers_fail_the_task(answer: dict[str, Any], problem: str) -> None:
    journal = Journal()

    with pytest.raises(ModelError) as caught:
        await run(catalog(scripted(answer, answer, answer, {"json": {"n": 1}})), journal, output_schema=SCHEMA)

    assert journal.called == ["greet.model.request"] * 3
    assert "model 'scripted' of provider 's' gave no answer that matches" in caught.value.message
    assert "in 3 tries" in caught.value.message
    assert problem in caught.value.message
    assert len(caught.value.message) < 1000
    assert any(problem in found for found in caught.value.details["problems"])


async def test_a_replay_asks_no_model_and_has_the_same_result() -> None:
    journal = Journal()
    models = catalog(
        {"id": "main", "type": "openai", "missing_key_fallback": "s"},
        scripted({"text": "Hello", "usage": {"input_tokens": 3, "output_tokens": 2}}),
        missing={"main": "OPENAI_API_KEY"},
    )
    first = await run(models, journal)
    changed = catalog({"id": "main", "type": "openai"})

    again = journal.replay()
    replayed = await run(changed, again)

    assert replayed == first
    assert (first.fell_back_from, first.reason) == ("main", "OPENAI_API_KEY is not set")
    assert again.called == []


async def test_a_cut_between_two_requests_repeats_only_the_second() -> None:
    models = catalog(scripted({"text": "wrong"}, {"json": {"n": 4}}))
    journal = Journal()
    whole = await run(models, journal, output_schema=SCHEMA)

    again = journal.replay(steps=1)
    replayed = await run(models, again, output_schema=SCHEMA)

    assert replayed == whole
    assert again.called == ["greet.model.request"]
    assert [name for name, _ in again.recorded] == [name for name, _ in journal.recorded]


async def test_a_missing_key_fails_the_step_and_not_the_start() -> None:
    models = catalog({"id": "main", "type": "openai"}, missing={"main": "OPENAI_API_KEY"})
    journal = Journal()

    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        await run(models, journal)

    assert journal.recorded == []


async def test_a_journal_of_another_shape_is_refused() -> None:
    with pytest.raises(InternalError, match="cannot read"):
        await run(catalog(scripted({"text": "x"})), Journal([("greet.model.request", '{"answer": 1}')]))


async def test_recorded_steps_contain_no_key() -> None:
    key = "sk-secret-secret-secret"
    journal = Journal()
    models = catalog({**scripted({"text": "x"}), "api_key": key})

    await run(models, journal)

    assert key not in str(journal.recorded)
    assert "x" in str(journal.recorded)
