"""Names of models: `provider:model`, the type of a provider and the models of a `fallback` become IDs and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, text_at, text_node, with_entries
from compozy.model.params import PARAMS
from compozy.project.edition2025.project import with_params
from compozy.project.outline import map_items
from compozy.project.sources import ProjectSources

_FALLBACK = "fallback"


def split_model_keys(task: MappingNode) -> tuple[MappingNode, dict[str, Node]]:
    """Return a task with its model settings as keys of an agent. Invalid values are kept."""
    own: dict[str, Node] = {}
    if (fallback := child(task, _FALLBACK)) is not None:
        own[_FALLBACK] = fallback
    params = child(task, "params")
    changes: dict[str, Node | None] = {_FALLBACK: None}
    if isinstance(params, MappingNode):
        own |= {entry.key: entry.value for entry in params.entries if entry.key in PARAMS}
        rest = with_entries(params, dict.fromkeys(PARAMS))
        changes["params"] = rest if rest.entries else None
    return with_entries(task, changes), own


@dataclass(frozen=True, kw_only=True)
class ModelLinker:
    """Replaces what names a model.

    Attributes:
        providers: types of the model providers by ID, in the order of the file.
    """

    providers: Mapping[str, str]

    @classmethod
    def of(cls, read: ProjectSources) -> ModelLinker:
        """Return the linker for the providers of a project."""
        listed = map_items(read.node, "llm", "providers")
        return cls(providers={text_at(item, "id"): text_at(item, "type") for _, item in listed})

    def project(self, root: MappingNode) -> MappingNode:
        """Return compozy.yaml with the models in the `fallback` of its providers linked."""
        llm = child(root, "llm")
        listed = child(llm, "providers") if isinstance(llm, MappingNode) else None
        if not isinstance(llm, MappingNode) or not isinstance(listed, SequenceNode):
            return root
        items = tuple(self._provider(item) if isinstance(item, MappingNode) else item for item in listed.items)
        providers = SequenceNode(items=items, place=listed.place)
        return with_entries(root, {"llm": with_entries(llm, {"providers": providers})})

    def _provider(self, node: MappingNode) -> MappingNode:
        fallback = child(node, _FALLBACK)
        if isinstance(fallback, ScalarNode) and child(node, "missing_key_fallback") is None:
            # The name of the key before there were models for failures.
            return with_entries(node, {_FALLBACK: None, "missing_key_fallback": fallback})
        return self._link_fallback(node)

    def agent(self, agent: MappingNode) -> MappingNode:
        """Return an agent that names its provider by ID: not by its type, and not as `provider:model` or as `model`."""
        agent = self._link_fallback(agent)
        llm, model = child(agent, "llm"), child(agent, "model")
        if isinstance(llm, ScalarNode) and (found := self._find(llm.text)) is not None:
            return with_entries(agent, {"llm": text_node(found, llm.place)})
        if llm is not None or not isinstance(model, ScalarNode):
            return agent
        if (named := self._find(model.text)) is not None:
            return with_entries(agent, {"llm": text_node(named, model.place), "model": None})
        prefix, _, name = model.text.partition(":")
        if not name or (found := self._find(prefix)) is None:
            return agent
        return with_entries(
            agent, {"llm": text_node(found, model.place), "model": text_node(name.strip(), model.place)}
        )

    def _link_fallback(self, node: MappingNode) -> MappingNode:
        fallback = child(node, _FALLBACK)
        models = child(fallback, "models") if isinstance(fallback, MappingNode) else None
        if not isinstance(fallback, MappingNode) or not isinstance(models, SequenceNode):
            return node
        linked = SequenceNode(items=tuple(self._model(item) for item in models.items), place=models.place)
        return with_entries(node, {_FALLBACK: with_entries(fallback, {"models": linked})})

    def _model(self, node: Node) -> Node:
        if isinstance(node, MappingNode):
            return self.agent(_with_today(node))
        if not isinstance(node.value if isinstance(node, ScalarNode) else None, str):
            return node
        assert isinstance(node, ScalarNode)  # noqa: S101 - it has a value
        # An unknown name stays as it is, and is reported as unknown.
        prefix, _, name = node.text.partition(":")
        whole = self._find(node.text)
        found = whole or self._find(prefix) or prefix
        model = {"model": text_node(name.strip(), node.place)} if name and whole is None else {}
        return with_entries(MappingNode(entries=(), place=node.place), {"llm": text_node(found, node.place), **model})

    def _find(self, name: str) -> str | None:
        """Return the ID of the provider with this ID, or of the first of this type."""
        if name in self.providers:
            return name
        return next((provider for provider, kind in self.providers.items() if kind == name), None)


def _with_today(model: MappingNode) -> MappingNode:
    """Return `{provider, model, params}` with today's keys."""
    provider = child(model, "provider")
    if provider is not None and child(model, "llm") is None:
        model = with_entries(model, {"provider": None, "llm": provider})
    return with_params(model)
