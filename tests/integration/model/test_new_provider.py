"""A type of model provider that exists only in this file: one record and a builder, registered in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tests.conftest import RunCli
from tests.harness.projects import write_project

from compozy.config.nodes import place_at, text_at
from compozy.errors import Diagnostic
from compozy.installation import extra_hint
from compozy.model.kind import SERVER_KEYS, ProviderKind, WrittenProvider
from compozy.model.provider import BuiltModel, ModelSpec
from compozy.model.registry import PROVIDERS, register
from compozy.project.jsonschema import project_schema

WORKFLOWS = {"loud": {"tasks": [{"id": "say", "prompt": "hey"}], "output": {"said": "{{ .tasks.say.output.text }}"}}}


def build_model(spec: ModelSpec) -> BuiltModel:
    """Return a model that repeats the prompt in capital letters, with its name and address."""

    def shout(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
        prompt = "".join(str(part.content) for part in parts if isinstance(part, UserPromptPart))
        return ModelResponse(parts=[TextPart(f"{prompt.upper()} {spec.model_name} {spec.base_url}")])

    return BuiltModel(model=FunctionModel(shout, model_name=spec.model_name))


def check(written: WrittenProvider) -> Iterable[Diagnostic]:
    """Refuse the model named `whisper`."""
    if text_at(written.node, "model") == "whisper":
        yield Diagnostic(location=place_at(written.node, ("model",)), message="a shout has no whisper", code="provider")


KIND = ProviderKind(
    name="shout",
    builder=__name__,
    default_model="loud",
    keys=SERVER_KEYS,
    key_variable="SHOUT_API_KEY",
    base_url="https://shout.example/v1",
    base_url_variable="SHOUT_BASE_URL",
    extra="shout",
    check=check,
)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register the kind, and remove it again."""
    register(KIND)
    yield
    del PROVIDERS[KIND.name]


def write(folder: Path, **provider: Any) -> None:
    write_project(folder, WORKFLOWS, llm={"providers": [{"id": "s", "type": "shout", **provider}]})


@pytest.mark.parametrize(
    ("provider", "environ", "said"),
    [
        ({"api_key": "k"}, {}, "HEY loud https://shout.example/v1"),
        ({"api_key": "k", "model": "m"}, {}, "HEY m https://shout.example/v1"),
        ({}, {"SHOUT_BASE_URL": "http://localhost:1/v1"}, "HEY loud http://localhost:1/v1"),
        ({"base_url": "http://localhost:2/v1"}, {}, "HEY loud http://localhost:2/v1"),
    ],
)
def test_it_answers(
    cli: RunCli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: dict[str, str],
    environ: dict[str, str],
    said: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    write(tmp_path, **provider)
    done = cli("workflow", "run", "loud", "--format", "json")
    assert (done.status, json.loads(done.out)["output"]) == (0, {"said": said})


def test_a_missing_key_is_reported(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path)
    done = cli("workflow", "run", "loud")
    assert done.status != 0
    assert "provider 's' has no `api_key`" in done.err
    assert "add `api_key: ${SHOUT_API_KEY}` to it" in done.err


def test_its_missing_package_is_reported_with_its_extra(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROVIDERS, "shout", replace(KIND, builder="compozy.model.missing"))
    write(tmp_path, api_key="k")
    done = cli("workflow", "run", "loud")
    assert done.status != 0
    assert extra_hint("shout") in done.err


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ({"type": "shuot"}, "local, scripted or shout, got 'shuot'"),
        ({"path": "x.gguf"}, "'path' means nothing to a provider of type shout"),
        ({"type": "local", "base_url": "http://x"}, "it is for anthropic, google, groq, ollama, openai, shout"),
        ({"model": "whisper"}, "a shout has no whisper"),
    ],
)
def test_its_errors_are_reported(cli: RunCli, tmp_path: Path, provider: dict[str, str], message: str) -> None:
    write(tmp_path, **provider)
    done = cli("config", "validate")
    assert done.status != 0
    assert message in done.err


def test_it_is_shown_with_its_default_model(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, api_key="k")
    assert json.loads(cli("config", "show", "--format", "json").out)["providers"] == [
        {"id": "s", "type": "shout", "model": "loud", "key": "set", "fallback": "-"}
    ]


def test_it_is_in_the_json_schema() -> None:
    described = project_schema()["$defs"]["ProviderConfig"]["properties"]["type"]
    assert described["anyOf"][0] == {"enum": list(PROVIDERS), "type": "string"}
