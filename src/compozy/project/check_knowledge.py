"""Checks of `knowledge`, and of what agents name of it."""

from __future__ import annotations

from collections.abc import Iterator

from compozy.config.database_rules import excludes_postgres_stores
from compozy.config.nodes import MappingNode, YamlPath, key_place_at, node_at, place_at, text_at
from compozy.config.words import join_choices
from compozy.errors import Diagnostic, SourceLocation
from compozy.knowledge.embed.registry import EMBEDDERS, known_dimension
from compozy.knowledge.store.registry import STORES, StoreKind, stores_accepting
from compozy.nearest import suggest
from compozy.project.outline import ProjectOutline, id_place, map_items
from compozy.project.sources import ProjectSources

_LISTS = ("vector_dbs", "embedders", "knowledge_bases")
_NOUNS = {"vector_dbs": "vector store", "embedders": "embedder", "knowledge_bases": "knowledge base"}


def check_knowledge(read: ProjectSources, project: ProjectOutline) -> Iterator[Diagnostic]:
    """Yield what is wrong with knowledge bases, their stores and embedders, and with what names them."""
    below = node_at(read.node, ("knowledge",))
    settings = below if isinstance(below, MappingNode) else MappingNode(entries=(), place=read.node.place)
    ids = {name: _ids(settings, name) for name in _LISTS}
    for name in _LISTS:
        yield from _check_duplicates(settings, name)
    for _, store in map_items(settings, "vector_dbs"):
        yield from _check_store(store, has_postgres=not excludes_postgres_stores(read.node))
    for _, base in map_items(settings, "knowledge_bases"):
        yield from _check_base(base, ids)
    yield from _check_dimensions(settings)
    bases = knowledge_bases_of(read)
    yield from _check_bindings(settings, ("bindings",), bases)
    for workflow in project.workflows:
        yield from _check_bindings(workflow.node, ("knowledge",), bases)
        for task in workflow.list.walk():
            yield from _check_bindings(task.node, ("agent", "knowledge"), bases)


def knowledge_bases_of(read: ProjectSources) -> list[str]:
    """Return the IDs of the knowledge bases; where none is written, each vector store is one."""
    settings = node_at(read.node, ("knowledge",))
    written = settings if isinstance(settings, MappingNode) else MappingNode(entries=(), place=read.node.place)
    return _ids(written, "knowledge_bases") or _ids(written, "vector_dbs")


def _ids(settings: MappingNode, name: str) -> list[str]:
    return [item_id for _, item in map_items(settings, name) if (item_id := text_at(item, "id"))]


def _check_duplicates(settings: MappingNode, name: str) -> Iterator[Diagnostic]:
    first: dict[str, SourceLocation] = {}
    for _, item in map_items(settings, name):
        item_id, place = text_at(item, "id"), id_place(item)
        if item_id and item_id in first:
            message = f"duplicate {_NOUNS[name]} id {item_id!r}, first in line {first[item_id].line}"
            yield Diagnostic(location=place, message=message, code="duplicate_id")
        first.setdefault(item_id, place)


def _check_store(store: MappingNode, *, has_postgres: bool) -> Iterator[Diagnostic]:
    key = "provider" if store.entry("provider") else "type"
    kind = STORES.get(text_at(store, key))
    if kind is None:
        return
    if kind.needs_postgres and not has_postgres:
        others = [name for name, other in STORES.items() if not other.needs_postgres]
        yield Diagnostic(
            location=place_at(store, (key,)),
            message=f"{kind.name} provider is incompatible with SQLite driver",
            hint=f"use {join_choices(others)}",
            code="database",
        )
    yield from _check_keys(store, kind)
    yield from kind.check(store)
    index = text_at(store, "index", "type")
    if index not in kind.indexes and any(index in other.indexes for other in STORES.values()):
        hint = f"it can be {' or '.join(sorted(kind.indexes))}"
        location = place_at(store, ("index", "type"))
        message = f"a {kind.name} store has no {index} index"
        yield Diagnostic(location=location, message=message, hint=hint, code="knowledge")


def _check_keys(store: MappingNode, kind: StoreKind) -> Iterator[Diagnostic]:
    for entry in store.entries:
        kinds = sorted(stores_accepting(entry.key))
        if kinds and kind.name not in kinds:
            message = f"{entry.key!r} means nothing to a {kind.name} store"
            hint = f"it is for {', '.join(kinds)}"
            yield Diagnostic(location=entry.key_place, message=message, hint=hint, code="knowledge")


def _check_base(base: MappingNode, ids: dict[str, list[str]]) -> Iterator[Diagnostic]:
    for key, name in (("vector_db", "vector_dbs"), ("embedder", "embedders")):
        wanted = text_at(base, key)
        if wanted and wanted not in ids[name]:
            yield unknown(base, (key,), wanted, _NOUNS[name], ids[name])
    if not ids["vector_dbs"]:
        message = "a knowledge base needs a vector store"
        yield Diagnostic(
            location=id_place(base), message=message, hint="add one to `knowledge.vector_dbs`", code="knowledge"
        )
    size, overlap = text_at(base, "chunking", "size"), text_at(base, "chunking", "overlap")
    if size.isascii() and size.isdigit() and overlap.isascii() and overlap.isdigit() and int(overlap) >= int(size):
        place = place_at(base, ("chunking", "overlap"))
        yield Diagnostic(location=place, message=f"overlap: must be less than size ({size})", code="knowledge")
    if text_at(base, "ingest") == "on_start" and node_at(base, ("sources",)) is None:
        message = "a knowledge base that is taken in on start needs sources"
        yield Diagnostic(location=place_at(base, ("ingest",)), message=message, code="knowledge")


def _check_dimensions(settings: MappingNode) -> Iterator[Diagnostic]:
    """Yield stores that are for vectors of another length than an embedder of the project makes."""
    stores, embedders = _by_id(settings, "vector_dbs"), _by_id(settings, "embedders")
    written = [base for _, base in map_items(settings, "knowledge_bases")]
    pairs = [(text_at(base, "vector_db"), text_at(base, "embedder")) for base in written]
    for store_id, embedder_id in dict.fromkeys(pairs or [(store_id, "") for store_id in stores]):
        store = stores.get(store_id or next(iter(stores), ""))
        embedder = embedders.get(embedder_id or next(iter(embedders), ""))
        if store is None or embedder is None:
            continue
        named, made = text_at(store, "dimension"), _dimension_of(embedder)
        if named.isdecimal() and made and int(named) != made:
            yield Diagnostic(
                location=place_at(store, ("dimension",)),
                message=f"dimension: embedder {text_at(embedder, 'id')!r} makes vectors of {made}, not of {named}",
                hint="leave `dimension` out, or choose an embedder that fits",
                code="knowledge",
            )


def _by_id(settings: MappingNode, name: str) -> dict[str, MappingNode]:
    return {item_id: item for _, item in map_items(settings, name) if (item_id := text_at(item, "id"))}


def _dimension_of(embedder: MappingNode) -> int | None:
    """Return the length of the vectors of an embedder, None if it is only known from its answers."""
    kind = EMBEDDERS.get(text_at(embedder, "provider") or text_at(embedder, "type"))
    named = text_at(embedder, "dimension")
    if kind is None or named.isdecimal():
        return int(named) if named.isdecimal() else None
    model = (not kind.has_one_model and text_at(embedder, "model")) or kind.default_model
    return known_dimension(model)


def _check_bindings(owner: MappingNode, path: YamlPath, bases: list[str]) -> Iterator[Diagnostic]:
    for _, binding in map_items(owner, *(str(part) for part in path)):
        key = "knowledge_base_id" if binding.entry("knowledge_base_id") else "id"
        wanted = text_at(binding, key)
        if wanted and wanted not in bases:
            yield unknown(binding, (key,), wanted, "knowledge base", bases)


def unknown(owner: MappingNode, path: YamlPath, wanted: str, noun: str, known: list[str]) -> Diagnostic:
    """Return the diagnostic of a name at `path` that is not one of those that are known."""
    hint = suggest(wanted, known) or (f"the project has {', '.join(known)}" if known else "the project has none")
    message = f"{path[-1]}: {noun} {wanted!r} not found"
    return Diagnostic(location=key_place_at(owner, path), message=message, hint=hint, code="reference")
