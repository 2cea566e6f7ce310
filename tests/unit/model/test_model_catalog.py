"""The choice of the provider, and the messages if none can answer."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

from compozy.errors import ModelError
from compozy.installation import extra_hint
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.model.provider import load_builder
from compozy.model.registry import PROVIDERS

KEY = "sk-very-secret-0123456789abcdef"


def provider(**fields: Any) -> ProviderConfig:
    return ProviderConfig.model_validate(fields)


def catalog(
    *providers: ProviderConfig, missing: dict[str, str] | None = None, environ: dict[str, str] | None = None
) -> ModelCatalog:
    return ModelCatalog(providers, missing_keys=missing or {}, environ=environ or {}, base_dir=Path("/nowhere"))


async def test_the_first_provider_is_the_default() -> None:
    chosen = catalog(provider(id="a", type="scripted"), provider(id="b", type="scripted")).resolve(None, None)

    assert (chosen.provider_id, chosen.provider_type, chosen.model_name) == ("a", "scripted", "scripted")
    assert chosen.fell_back_from is None
    assert chosen.reason is None


async def test_a_provider_is_found_by_its_id_and_models_are_kept() -> None:
    models = catalog(provider(id="a", type="scripted"), provider(id="b", type="scripted", model="tuned"))

    assert models.resolve("b", None).model_name == "tuned"
    assert models.resolve("b", "other").model_name == "other"
    assert models.resolve("b", None).model is models.resolve("b", "tuned").model
    assert models.resolve("b", None).model is not models.resolve("b", "other").model


async def test_a_provider_without_a_key_falls_back_and_names_the_reason() -> None:
    models = catalog(
        provider(id="openai", type="openai", missing_key_fallback="groq"),
        provider(id="groq", type="groq", missing_key_fallback="spare"),
        provider(id="spare", type="scripted"),
        missing={"openai": "OPENAI_API_KEY", "groq": "GROQ_API_KEY"},
    )

    chosen = models.resolve("openai", "gpt-5")

    assert chosen.provider_id == "spare"
    assert chosen.fell_back_from == "openai"
    assert chosen.reason == "OPENAI_API_KEY is not set; GROQ_API_KEY is not set"
    assert chosen.model_name == "scripted", "the name of another provider's model means nothing here"


async def test_without_a_fallback_the_error_names_the_variable_and_the_fix() -> None:
    models = catalog(provider(id="main", type="openai"), missing={"main": "MY_KEY"})

    with pytest.raises(ModelError) as caught:
        models.resolve(None, None)

    assert caught.value.message == "provider 'main' cannot be used: MY_KEY is not set"
    assert caught.value.hint == (
        "set MY_KEY in the environment or in .env, or add `missing_key_fallback: <provider>` to provider 'main'"
    )
    assert caught.value.details == {"provider": "main", "variable": "MY_KEY"}


async def test_a_provider_without_a_named_key_gets_a_hint() -> None:
    with pytest.raises(ModelError) as caught:
        catalog(provider(id="g", type="google")).resolve("g", None)

    assert caught.value.message == "provider 'g' cannot be used: provider 'g' has no `api_key`"
    assert "add `api_key: ${GOOGLE_API_KEY}` to it" in caught.value.hint


async def test_an_empty_key_does_not_count() -> None:
    with pytest.raises(ModelError, match="has no `api_key`"):
        catalog(provider(id="g", type="groq", api_key="  ")).resolve("g", None)


async def test_circular_fallbacks_end() -> None:
    models = catalog(
        provider(id="a", type="openai", missing_key_fallback="b"),
        provider(id="b", type="groq", missing_key_fallback="a"),
    )

    with pytest.raises(ModelError, match="provider 'a' cannot be used"):
        models.resolve("a", None)


async def test_unknown_and_missing_providers_are_named() -> None:
    with pytest.raises(ModelError) as unknown:
        catalog(provider(id="a", type="scripted")).resolve("b", None)
    assert unknown.value.message == "unknown provider 'b'"
    assert unknown.value.hint == "`llm.providers` has: 'a'"
    with pytest.raises(ModelError, match="the project has no model provider"):
        catalog().resolve(None, None)


@pytest.mark.parametrize(
    ("fields", "environ", "url"),
    [
        ({"type": "openai", "api_key": KEY}, {}, "https://api.openai.com/v1/"),
        ({"type": "openai"}, {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "http://127.0.0.1:1/v1/"),
        (
            {"type": "openai", "base_url": "http://127.0.0.1:2/v1"},
            {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"},
            "http://127.0.0.1:2/v1/",
        ),
        ({"type": "ollama"}, {}, "http://localhost:11434/v1/"),
        ({"type": "ollama", "base_url": "http://127.0.0.1:3/v1"}, {}, "http://127.0.0.1:3/v1/"),
        ({"type": "anthropic", "api_key": KEY}, {}, "https://api.anthropic.com"),
        ({"type": "groq", "api_key": KEY}, {}, "https://api.groq.com"),
        ({"type": "google", "api_key": KEY}, {}, "https://generativelanguage.googleapis.com/"),
    ],
)
async def test_each_kind_of_provider_is_built_at_its_address(
    fields: dict[str, Any], environ: dict[str, str], url: str
) -> None:
    models = catalog(provider(id="p", **fields), environ=environ)

    chosen = models.resolve("p", None)

    assert str(chosen.model.base_url) == url
    assert chosen.model_name == chosen.model.model_name == PROVIDERS[chosen.provider_type].default_model
    assert KEY not in repr(chosen)
    assert KEY not in repr(vars(models))
    await models.aclose()


async def test_a_closed_catalog_builds_new_models() -> None:
    models = catalog(provider(id="p", type="openai", api_key=KEY))
    first = models.resolve("p", None).model
    await models.aclose()

    assert models.resolve("p", None).model is not first
    await models.aclose()


async def test_the_providers_defaults_are_the_models_settings() -> None:
    models = catalog(provider(id="p", type="openai", api_key=KEY, temperature=0.5, max_tokens=9))

    assert models.resolve("p", None).model.settings == {"temperature": 0.5, "max_tokens": 9}
    await models.aclose()


async def test_a_missing_package_is_answered_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compozy.model.anthropic", None)

    with pytest.raises(ModelError) as caught:
        catalog(provider(id="claude", type="anthropic", api_key=KEY)).resolve(None, None)

    assert caught.value.message.startswith("provider 'claude' is of type 'anthropic', whose package is not installed")
    assert caught.value.hint == extra_hint("anthropic")
    assert KEY not in str(caught.value.to_json())


def test_the_config_and_the_catalog_import_no_sdk() -> None:
    code = (
        "import sys; import compozy.model, compozy.agent, compozy.model.config, compozy.agent.config;"
        "import compozy.model.catalog;"
        "bad = {'pydantic_ai', 'openai', 'anthropic', 'groq', 'google.genai', 'xllamacpp', 'httpx2'};"
        "bad &= set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_builder_of_every_kind_exists(name: str) -> None:
    assert callable(load_builder(provider(id="p", type=name)).build_model)


def test_every_extra_of_a_provider_exists() -> None:
    extras = set(metadata("compozy").get_all("Provides-Extra") or ())
    assert {kind.extra for kind in PROVIDERS.values() if kind.extra} <= extras
