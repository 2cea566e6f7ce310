"""The real model of the integration tests: SmolLM2 on llama.cpp."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from compozy.errors import ModelError
from compozy.installation import extra_hint, package_hint
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig
from compozy.model.gguf import MODEL_REQUIREMENT, find_model_file
from compozy.model.provider import ModelSpec


def _require(present: bool, what: str, command: str) -> None:
    """Skip on a developer's machine, and fail if `CI` is set, where a missing part means that nothing was tested."""
    if present:
        return
    words = f"{what} is not installed: {command}"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def _builtin_model() -> Path | None:
    config = ProviderConfig.model_validate({"id": "local", "type": "local"})
    spec = ModelSpec(config=config, model_name="smollm2", base_url=None, base_dir=Path(), environ={})
    try:
        return find_model_file(spec)
    except ModelError:
        return None


@pytest.fixture(scope="session")
def model_file() -> Path:
    """Return the file of SmolLM2."""
    path = _builtin_model()
    _require(find_spec("xllamacpp") is not None, "llama.cpp", extra_hint("local"))
    _require(path is not None, "SmolLM2", package_hint(MODEL_REQUIREMENT))
    assert path is not None
    return path


@pytest.fixture
def local_models(model_file: Path) -> ModelCatalog:
    """Return a project with only the local model."""
    return _catalog({"id": "local", "type": "local"})


@pytest.fixture(scope="session")
def llama_url(model_file: Path) -> Iterator[str]:
    """Return the address of llama.cpp's own OpenAI-compatible server on a free port."""
    import xllamacpp

    module: Any = xllamacpp
    parameters = module.CommonParams()
    parameters.model.path = str(model_file)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 4096
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.use_jinja = True
    parameters.warmup = False
    parameters.verbosity = -1
    server = module.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture
async def server_models(llama_url: str) -> AsyncIterator[ModelCatalog]:
    """Return a project whose provider of type `openai` is llama.cpp's server."""
    models = _catalog({"id": "server", "type": "openai", "model": "smollm2", "base_url": llama_url})
    yield models
    await models.aclose()


def _catalog(*providers: dict[str, Any]) -> ModelCatalog:
    configs = [ProviderConfig.model_validate(provider) for provider in providers]
    return ModelCatalog(configs, missing_keys={}, environ={}, base_dir=Path())
