"""Checks that every model under a `max_cost` has a price: without one, its requests would count for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compozy.agent.budget import BudgetConfig
from compozy.agent.config import AgentConfig
from compozy.config.nodes import YamlPath
from compozy.errors import Diagnostic
from compozy.model.config import ProviderConfig, default_model
from compozy.model.fallback import FallbackModel
from compozy.model.pricelist import NamedModel, rate_of_named
from compozy.model.provider import base_url_of
from compozy.project.definition import agents_of
from compozy.project.file import ProjectFile
from compozy.project.loaded import LoadedWorkflow
from compozy.task.options import TaskBase
from compozy.task.walk import walk_tasks


def check_budgets(
    settings: ProjectFile, workflows: Mapping[str, LoadedWorkflow], environ: Mapping[str, str]
) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each model without a price that a task under a `max_cost` asks."""
    models = _Models({provider.id: provider for provider in settings.llm.providers}, environ)
    for workflow in workflows.values():
        limited: list[YamlPath] = [()] if any(map(_has_cost, (*settings.budget, workflow.config.budget))) else []
        for planned in walk_tasks(workflow.config.tasks):
            if _limits_cost(planned.task):
                limited.append(planned.yaml_path)
            if not any(planned.yaml_path[: len(path)] == path for path in limited):
                continue
            for name in dict.fromkeys(models.unpriced(planned.task)):
                yield Diagnostic(
                    location=workflow.locate(planned.yaml_path),
                    message=f"the price of {name} is not known, and a `max_cost` limits task {planned.task.id!r}",
                    hint="give the provider a `price`, or limit `max_tokens` instead",
                    code="provider",
                )


def _has_cost(budget: BudgetConfig | None) -> bool:
    return budget is not None and budget.max_cost is not None


def _limits_cost(task: TaskBase) -> bool:
    agent: AgentConfig | None = getattr(task, "agent", None)
    return _has_cost(task.budget) or (agent is not None and _has_cost(agent.budget))


class _Models:
    """The models of a project by the names in its files."""

    def __init__(self, providers: Mapping[str, ProviderConfig], environ: Mapping[str, str]) -> None:
        self._providers = providers
        self._environ = environ
        self._has_price: dict[tuple[str, str], bool] = {}

    def unpriced(self, task: TaskBase) -> Iterator[str]:
        """Yield the models without a price that a task may ask."""
        for agent in agents_of(task):
            for provider, model in self._asked(agent):
                if not self._is_priced(provider, model):
                    yield f"model {model!r} of provider {provider.id!r}"

    def _asked(self, agent: AgentConfig) -> Iterator[tuple[ProviderConfig, str]]:
        default = next(iter(self._providers), "")
        first = FallbackModel(llm=agent.llm or default, model=agent.model)
        provider = self._providers.get(str(first.llm))
        if provider is None:
            return
        fallback = agent.fallback or provider.fallback
        for choice in (first, *(fallback.models if fallback is not None else ())):
            found = self._providers.get(choice.llm or provider.id)
            if found is not None:
                yield found, choice.model or default_model(found)
                yield from self._without_key(found)

    def _without_key(self, provider: ProviderConfig) -> Iterator[tuple[ProviderConfig, str]]:
        """Yield the models that answer if a key is not set."""
        seen = {provider.id}
        while (other := self._providers.get(provider.missing_key_fallback or "")) is not None and other.id not in seen:
            seen.add(other.id)
            yield other, default_model(other)
            provider = other

    def _is_priced(self, provider: ProviderConfig, model: str) -> bool:
        key = provider.id, model
        if key not in self._has_price:
            named = NamedModel(provider=provider, model=model, url=base_url_of(provider, self._environ))
            self._has_price[key] = rate_of_named(named) is not None
        return self._has_price[key]
