"""The settings in force and where each came from, for `compozy config show`; secrets are hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import BaseModel, SecretStr

from compozy.config.database_rules import POSTGRES_KEYS, SQLITE_KEYS
from compozy.config.layers import DEFAULT
from compozy.model.config import ProviderConfig, default_model
from compozy.model.fallback import FallbackModel
from compozy.model.provider import needs_key
from compozy.project.loaded import LoadedProject
from compozy.project.masks import MASK, mask_address
from compozy.project.outline import id_place

_FACTOR = "_coefficient"
_ADDRESSES = frozenset({"conn_string", "read_url", "url"})
_FOREIGN = {"sqlite": frozenset(POSTGRES_KEYS), "postgres": frozenset(SQLITE_KEYS)}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value in force: a JSON scalar, hidden already if it is a secret."""

    key: str
    value: str | int | float | bool | None
    source: str

    @property
    def text(self) -> str:
        """Return the value for people."""
        if self.value is None:
            return "-"
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        # Among settings, numbers with a fraction are seconds.
        is_time = isinstance(self.value, float) and not self.key.endswith(_FACTOR)
        return (
            f"{self.value:g}s" if is_time else f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        )


@dataclass(frozen=True, kw_only=True)
class ShownSettings:
    """Everything that `config show` prints.

    `providers`: ID, type, model, state of the key, fallback. `resources`: kind, ID, location, workflows included.
    """

    settings: tuple[Setting, ...]
    providers: list[tuple[str, str, str, str, str]]
    resources: list[tuple[str, str, str]]

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Return key, value and source as text."""
        return [(setting.key, setting.text, setting.source) for setting in self.settings]

    def document(self, *, sources: bool) -> dict[str, Any]:
        """Return the same as JSON."""
        values = {each.key: {"value": each.value, "source": each.source} for each in self.settings}
        columns = ("id", "type", "model", "key", "fallback")
        return {
            "settings": values if sources else {each.key: each.value for each in self.settings},
            "providers": [dict(zip(columns, row, strict=True)) for row in self.providers],
            "resources": [dict(zip(("kind", "id", "location"), row, strict=True)) for row in self.resources],
        }


def show_settings(project: LoadedProject) -> ShownSettings:
    """Return the settings, the providers and the resources of `project`."""
    providers = [_provider_row(provider, project) for provider in project.providers]
    workflows = [("workflow", name, workflow.node) for name, workflow in project.workflows.items()]
    shared = [(resource.kind.name, resource.id, resource.node) for resource in project.resources]
    resources = [(kind, name, str(id_place(node))) for kind, name, node in (*workflows, *shared)]
    return ShownSettings(settings=tuple(_settings(project)), providers=providers, resources=resources)


def _settings(project: LoadedProject) -> Iterator[Setting]:
    yield Setting(key="name", value=project.name, source=project.sources.get("name", "the folder's name"))
    yield Setting(key="version", value=project.version, source=project.sources.get("version", str(DEFAULT)))
    foreign = _FOREIGN[project.database.driver]
    for setting in _section_settings(project, "database", project.database):
        if setting.key.removeprefix("database.") not in foreign:
            yield setting
    yield from _section_settings(project, "server", project.server)
    for setting in _section_settings(project, "runtime", project.runtime):
        # Its default depends on the driver.
        is_open = setting.key == "runtime.max_concurrent_workflows" and setting.value is None
        yield replace(setting, value=project.concurrency) if is_open else setting
    yield from _section_settings(project, "monitoring", project.monitoring)
    if project.retention.is_set:
        yield from _section_settings(project, "retention", project.retention)
    yield from _section_settings(project, "limits", project.limits)
    yield from _section_settings(project, "config", project.config)
    for index, store in enumerate(project.knowledge.vector_dbs):
        yield from _section_settings(project, f"knowledge.vector_dbs.{index}", store)


def _section_settings(project: LoadedProject, prefix: str, section: BaseModel) -> Iterator[Setting]:
    for name in type(section).model_fields:
        key = f"{prefix}.{name}"
        if isinstance(below := getattr(section, name), BaseModel):
            # Settings for few: shown where one of them is written.
            if any(written.startswith(f"{key}.") for written in project.sources):
                yield from _section_settings(project, key, below)
            continue
        value = _shown(name, below)
        # A list is written by its entries.
        written = project.sources.get(key) or project.sources.get(f"{key}.0")
        yield Setting(key=key, value=value, source=written or str(DEFAULT))


def _shown(name: str, value: Any) -> str | int | float | bool | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if name in _ADDRESSES and isinstance(text, str):
        return mask_address(text)
    if isinstance(value, tuple):
        return ", ".join(map(str, cast("tuple[Any, ...]", value))) or None
    return MASK if isinstance(value, SecretStr) else value


def _provider_row(provider: ProviderConfig, project: LoadedProject) -> tuple[str, str, str, str, str]:
    missing = project.missing_keys.get(provider.id)
    if provider.api_key is not None:
        key = "set"
    elif not needs_key(provider, project.environ):
        key = "not needed"
    else:
        key = f"missing {missing}" if missing else "missing"
    return provider.id, provider.type, default_model(provider), key, _fallbacks(provider)


def _fallbacks(provider: ProviderConfig) -> str:
    """Return who answers while the key is missing, and who after a failure."""
    chain = [] if provider.fallback is None else [_model_name(model, provider) for model in provider.fallback.models]
    on_failure = f"on failure: {', '.join(chain)}" if chain else ""
    return "; ".join(filter(None, (provider.missing_key_fallback, on_failure))) or "-"


def _model_name(model: FallbackModel, provider: ProviderConfig) -> str:
    name = model.llm or provider.id
    return f"{name}:{model.model}" if model.model else name
