"""compozy.yaml in the spelling of the 2025 edition."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from compozy.config.nodes import (
    Entry,
    MappingNode,
    Node,
    SequenceNode,
    child,
    text_at,
    text_node,
    with_entries,
)
from compozy.project.edition2025.notes import Notes
from compozy.project.edition2025.tools import with_permission_map

TEMPORAL_TIMEOUTS: dict[str, str] = dict.fromkeys(
    ("schedule_to_start_timeout", "start_to_close_timeout", "schedule_to_close_timeout", "heartbeat_timeout"),
    "use `timeout` for the time limit of a task",
)
_TOP = {
    "mode": "`database` chooses where runs are stored",
    "temporal": "Compozy executes runs itself; Temporal is not needed",
    "redis": "Compozy needs no Redis besides a vector store",
    "cache": "Compozy needs no cache",
    "worker": "use `runtime.max_concurrent_workflows`",
    "cli": "use command-line flags or the environment",
}
_RUNTIME = {"environment": "runs are the same in every environment"}
_AUTOLOAD = {
    "strict": "an invalid file is always an error",
    **dict.fromkeys(("watch_enabled", "watch_interval"), "restart the server after a change"),
}
_DATABASE = {"migrations": "Compozy chooses its tables itself; `search_path` of the database selects the schema"}
_CONFIG = {**TEMPORAL_TIMEOUTS, "source_of_truth": "the files of the project are the source"}
_KNOWLEDGE = ("embedders", "vector_dbs", "knowledge_bases")
_MODEL = {"provider": "type", "api_url": "base_url"}
_PARAMS = {"stop_words": "stop"}
_STORE = {"type": "provider", "dsn": "url"}
_STORE_IGNORED = {
    "ensure_index": "a store creates its index itself",
    "max_top_k": "use `top_k` of the knowledge base",
    "table": "use `collection`",
}

Change = Callable[[MappingNode], MappingNode]


def modernize_project(root: MappingNode, notes: Notes) -> MappingNode:
    """Return compozy.yaml in today's spelling; what is written in today's spelling already stays as it is."""
    root = notes.drop(root, _TOP)
    root = notes.drop_below(root, "runtime", _RUNTIME)
    runtime = child(root, "runtime")
    if isinstance(runtime, MappingNode):
        root = with_entries(root, {"runtime": with_permission_map(runtime, notes)})
    root = notes.drop_below(root, "autoload", _AUTOLOAD)
    root = notes.drop_below(root, "config", _CONFIG)
    root = notes.drop_below(root, "database", _DATABASE)
    root = _without_watch(root, notes)
    root = _with_models(_with_database(root))
    root = _with_knowledge(root, notes)
    return _with_task_list(root)


def _without_watch(root: MappingNode, notes: Notes) -> MappingNode:
    return with_items(root, "workflows", lambda item: notes.drop(item, {"watch": _AUTOLOAD["watch_enabled"]}))


def _with_database(root: MappingNode) -> MappingNode:
    """Return a project of 2025 without a `database` section with the database that it had by default."""
    models, written = child(root, "models"), child(root, "database")
    if isinstance(written, MappingNode) and child(written, "conn_string") is None:
        return with_entries(root, {"database": _renamed(written, {"url": "conn_string"})})
    if models is None or written is not None:
        return root
    place = models.place
    default = {"driver": "postgres", "host": "localhost", "user": "postgres", "dbname": "compozy"}
    database = with_entries(
        MappingNode(entries=(), place=place), {key: text_node(value, place) for key, value in default.items()}
    )
    return with_entries(root, {"database": database})


def _with_models(root: MappingNode) -> MappingNode:
    """Return `models` as `llm.providers`, the default one first."""
    llm = child(root, "llm")
    if isinstance(llm, MappingNode):
        root = with_entries(root, {"llm": with_items(llm, "providers", with_params)})
        llm = child(root, "llm")
    models = child(root, "models")
    if not isinstance(models, SequenceNode):
        return root
    written = child(llm, "providers") if isinstance(llm, MappingNode) else None
    providers = list(written.items) if isinstance(written, SequenceNode) else []
    taken = {text_at(item, "id") for item in providers}
    first: list[Node] = []
    for item in models.items:
        if not isinstance(item, MappingNode):
            providers.append(item)
            continue
        provider = _provider_of(item, taken)
        taken.add(text_at(provider, "id"))
        (first if text_at(item, "default") == "true" else providers).append(provider)
    listed = SequenceNode(items=(*first, *providers), place=models.place)
    above = llm if isinstance(llm, MappingNode) else MappingNode(entries=(), place=models.place)
    return with_entries(root, {"models": None, "llm": with_entries(above, {"providers": listed})})


def _provider_of(model: MappingNode, taken: set[str]) -> MappingNode:
    renamed = with_params(_renamed(with_entries(model, {"default": None}), _MODEL))
    if text_at(renamed, "id"):
        return renamed
    kind = text_at(renamed, "type") or "model"
    name = next(name for name in (kind, *(f"{kind}-{number}" for number in range(2, 1000))) if name not in taken)
    return with_entries(renamed, {"id": text_node(name, model.place)})


def _with_knowledge(root: MappingNode, notes: Notes) -> MappingNode:
    moved = {key: value for key in _KNOWLEDGE if (value := child(root, key)) is not None}
    knowledge = child(root, "knowledge")
    below = knowledge if isinstance(knowledge, MappingNode) else None
    if moved:
        place = next(iter(moved.values())).place
        below = with_entries(below or MappingNode(entries=(), place=place), moved)
    if below is None:
        return root
    below = with_items(below, "embedders", lambda item: flattened(item, "config"))
    below = with_items(below, "vector_dbs", lambda item: _store_of(item, notes))
    below = with_items(below, "knowledge_bases", _with_plain_metadata)
    below = with_items(below, "bindings", lambda item: flattened(item, "retrieval"))
    return with_entries(root, {**dict.fromkeys(moved), "knowledge": below})


def _with_plain_metadata(base: MappingNode) -> MappingNode:
    """Return a base whose metadata is text where it is a list with one text: filters compare texts."""
    metadata = child(base, "metadata")
    if not isinstance(metadata, MappingNode):
        return base
    lists = {e.key: e.value.items for e in metadata.entries if isinstance(e.value, SequenceNode)}
    texts: dict[str, Node | None] = {key: items[0] for key, items in lists.items() if len(items) == 1}
    return with_entries(base, {"metadata": with_entries(metadata, texts)}) if texts else base


def _store_of(store: MappingNode, notes: Notes) -> MappingNode:
    is_old = child(store, "provider") is None and child(store, "type") is not None
    store = flattened(store, "config")
    if is_old:
        store = notes.drop(_renamed(store, _STORE), _STORE_IGNORED)
    if is_old and text_at(store, "provider") == "memory":
        # Vectors in memory were lost at each start; a folder of the project keeps them.
        place = store.place
        store = with_entries(store, {"provider": text_node("filesystem", place)})
    return store


def _with_task_list(root: MappingNode) -> MappingNode:
    """Return `tasks: {id: {...}}` as a list."""
    tasks = child(root, "tasks")
    if not isinstance(tasks, MappingNode):
        return root
    items = [
        with_entries(entry.value, {"id": text_node(entry.key, entry.key_place)})
        if isinstance(entry.value, MappingNode) and child(entry.value, "id") is None
        else entry.value
        for entry in tasks.entries
    ]
    return with_entries(root, {"tasks": SequenceNode(items=tuple(items), place=tasks.place)})


def flattened(node: MappingNode, key: str) -> MappingNode:
    """Return `node` with the entries of the map under `key` in its place; what `node` itself has counts."""
    below = child(node, key)
    if not isinstance(below, MappingNode):
        return node
    own = {entry.key for entry in node.entries}
    above = (entry for entry in node.entries if entry.key != key)
    return MappingNode(entries=(*above, *(entry for entry in below.entries if entry.key not in own)), place=node.place)


def with_params(node: MappingNode) -> MappingNode:
    """Return `node` with the parameters of the model under `params` as separate keys, with current names."""
    return _renamed(flattened(node, "params"), _PARAMS)


def renamed_params(node: MappingNode) -> MappingNode:
    """Return `node` with today's names of parameters in the map under `params`."""
    params = child(node, "params")
    return with_entries(node, {"params": _renamed(params, _PARAMS)}) if isinstance(params, MappingNode) else node


def _renamed(node: MappingNode, names: dict[str, str]) -> MappingNode:
    entries: Iterable[Entry] = (
        Entry(key=names.get(entry.key, entry.key), key_place=entry.key_place, value=entry.value)
        for entry in node.entries
    )
    return MappingNode(entries=tuple(entries), place=node.place)


def with_items(node: MappingNode, key: str, change: Change) -> MappingNode:
    """Return `node` with each map in the list under `key` changed."""
    found = child(node, key)
    if not isinstance(found, SequenceNode):
        return node
    items = tuple(change(item) if isinstance(item, MappingNode) else item for item in found.items)
    return with_entries(node, {key: SequenceNode(items=items, place=found.place)})
