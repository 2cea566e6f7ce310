"""A real model, in process and behind a real server. The tests check the form of answers, not their content."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from compozy.agent.config import AgentConfig
from compozy.agent.run import AgentRequest, AgentResult, run_agent
from compozy.errors import ModelError
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.model.llama import CONTEXT_TOKENS

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer"},
        "kind": {"enum": ["cat", "person"]},
    },
    "required": ["name", "age", "kind"],
    "additionalProperties": False,
}


async def ask(models: ModelCatalog, prompt: str, **fields: Any) -> AgentResult:
    async def checkpoint(name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        return await call()

    request: dict[str, Any] = {
        "execution_id": "e",
        "task_id": "t",
        "path": "t",
        "first_run_index": 0,
        "config": None,
        "prompt": prompt,
        **fields,
    }
    return await run_agent(AgentRequest(**request), models, checkpoint=checkpoint)


@pytest.fixture(params=["local_models", "server_models"])
def models(request: pytest.FixtureRequest) -> ModelCatalog:
    """Return a project with a real model: in process, then behind HTTP."""
    return request.getfixturevalue(request.param)


async def test_it_writes_a_greeting(models: ModelCatalog) -> None:
    # With temperature 0, and a limit, since a model of this size may not stop by itself.
    config = AgentConfig(temperature=0, max_tokens=40)
    prompt = "Write a greeting to Ada. Answer in one short sentence."
    result = await ask(models, prompt, config=config, instructions="You are kind.")
    instructed = await ask(models, prompt, config=config, instructions="You are kind, and you like short sentences.")

    assert result.text.strip()
    assert result.output == {"text": result.text, "response": result.text}
    assert 10 < result.usage["input_tokens"] < instructed.usage["input_tokens"] < 100
    assert 0 < result.usage["output_tokens"] <= 40


async def test_it_repeats_its_answer(models: ModelCatalog) -> None:
    config = AgentConfig(temperature=0)
    first = await ask(models, "Write a greeting to Ada. Answer in one short sentence.", config=config)
    await ask(models, "What is a cat? Answer in one short sentence.", config=config)
    again = await ask(models, "Write a greeting to Ada. Answer in one short sentence.", config=config)

    assert again.text == first.text


async def test_the_local_model_takes_parameters(local_models: ModelCatalog) -> None:
    wild = AgentConfig(temperature=1.8, top_k=50, top_p=0.95, max_tokens=24, seed=11)
    prompt = "Tell a story about a fox."
    first = await ask(local_models, prompt, config=wild)

    assert (await ask(local_models, prompt, config=wild)).text == first.text
    assert (await ask(local_models, prompt, config=wild.model_copy(update={"seed": 12}))).text != first.text
    cut = await ask(local_models, prompt, config=wild.model_copy(update={"stop": (first.text.split()[3],)}))
    assert first.text.startswith(cut.text)
    assert len(cut.text) < len(first.text)


async def test_it_answers_with_a_schema(models: ModelCatalog) -> None:
    result = await ask(models, "Ada is a person of 36 years. Give name, age and kind.", output_schema=PERSON)

    assert isinstance(result.output, dict)
    assert set(result.output) == {"name", "age", "kind"}
    assert isinstance(result.output["age"], int)
    assert result.output["kind"] in {"cat", "person"}
    assert result.usage["requests"] == 1, "the decoding itself is held to the schema"


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 1, "maxItems": 3}, list),
        ({"type": "boolean"}, bool),
        ({"type": "integer"}, int),
        ({"enum": ["yes", "no"]}, str),
    ],
)
async def test_schemas_that_are_not_objects(models: ModelCatalog, schema: dict[str, Any], kind: type) -> None:
    result = await ask(models, "Is the sky blue? Answer shortly.", output_schema=schema)

    assert isinstance(result.output, kind)
    assert result.usage["requests"] == 1


async def test_max_tokens_cuts_the_answer(models: ModelCatalog) -> None:
    result = await ask(models, "Count from one to one hundred.", config=AgentConfig(max_tokens=5))

    assert result.usage["output_tokens"] <= 6
    assert result.text


async def test_a_prompt_that_is_too_long_is_reported_with_its_tokens(local_models: ModelCatalog) -> None:
    with pytest.raises(ModelError) as caught:
        await ask(local_models, "hello " * 6000)

    assert caught.value.details["prompt_tokens"] > 6000
    assert caught.value.details["context_tokens"] == CONTEXT_TOKENS
    assert str(caught.value.details["prompt_tokens"]) in caught.value.message
    assert "larger window" in caught.value.hint


async def test_an_unsupported_schema_is_reported(local_models: ModelCatalog) -> None:
    schema = {"type": "object", "properties": {"x": {"$ref": "https://example.com/x.json"}}}

    with pytest.raises(ModelError, match=r"'smollm2-135m-instruct' cannot answer: .*example\.com"):
        await ask(local_models, "Hi", output_schema=schema)


async def test_the_event_loop_is_not_blocked_and_cancelling_stops_the_model(local_models: ModelCatalog) -> None:
    await ask(local_models, "Hi")
    config = AgentConfig(max_tokens=3000, temperature=0)
    long = asyncio.create_task(ask(local_models, "Count from one to one thousand, one by one.", config=config))
    turns = 0
    while turns < 20:
        await asyncio.sleep(0.005)
        turns += 1
    assert not long.done()

    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long

    # 3,000 tokens would take longer than this waits.
    assert (await asyncio.wait_for(ask(local_models, "Hi"), 20)).text


async def test_concurrent_requests_take_turns(local_models: ModelCatalog) -> None:
    config = AgentConfig(max_tokens=10)
    results = await asyncio.gather(*(ask(local_models, f"Say {number}.", config=config) for number in range(4)))

    assert all(result.text for result in results)


async def test_a_path_is_relative_to_the_projects_folder(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").symlink_to(model_file)
    config = ProviderConfig.model_validate({"id": "mine", "type": "local", "path": "tiny.gguf"})
    models = ModelCatalog([config], missing_keys={}, environ={}, base_dir=tmp_path)

    result = await ask(models, "Say hi.")

    assert result.text
    assert result.usage["model"] == "tiny"


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "is not a GGUF model file"), (3, "is not a GGUF model file"), (5_000_000, "is the file whole?")],
)
async def test_a_broken_file_is_reported(model_file: Path, tmp_path: Path, size: int, words: str) -> None:
    with model_file.open("rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(size))
    config = ProviderConfig.model_validate({"id": "mine", "type": "local", "path": "cut.gguf"})

    with pytest.raises(ModelError) as caught:
        await ask(ModelCatalog([config], missing_keys={}, environ={}, base_dir=tmp_path), "Hi")

    assert words in caught.value.message
    assert "cut.gguf" in caught.value.message


async def test_the_local_model_is_silent_and_listens_nowhere(model_file: Path) -> None:
    """llama.cpp writes to the descriptors directly, so it runs in a separate process."""
    script = Path(__file__).with_name("silent_probe.py")

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ},
    )

    assert done.stderr == b""
    assert done.stdout == b"answered, 0 listening\n"
    assert done.returncode == 0
