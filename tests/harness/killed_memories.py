"""Workflows with memory that are killed at every commit, and what their conversations hold in the end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping

from tests.harness.stores import Rows, Store

MEMORY_WORKFLOWS = {
    "memory": """\
id: three
tasks:
  - {id: one, prompt: "first question", memory: [{id: chat, key: ana}, {id: brief, key: ana}, {id: long, key: ana}]}
  - {id: note, type: memory, operation: append, memory_ref: chat, key_template: ana,
     payload: {role: system, content: x}}
  - {id: two, prompt: "second question", memory: [{id: chat, key: ana}, {id: brief, key: ana}, {id: long, key: ana}]}
  - {id: three, prompt: "third question", memory: [{id: chat, key: ana}, {id: brief, key: ana}, {id: long, key: ana}]}
  - {id: tidy, type: memory, operation: flush, memory_ref: long, key_template: ana}
output:
  last: "{{ .tasks.three.output.text }}"
""",
    "recall": """\
id: three
tasks:
  - {id: one, prompt: "first question", memory: [{id: short, key: ana}]}
  - {id: two, prompt: "second question", memory: [{id: short, key: ana}]}
  - {id: three, prompt: "third question", memory: [{id: short, key: ana}]}
  - {id: four, prompt: "fourth question", memory: [{id: short, key: ana}]}
output:
  last: "{{ .tasks.three.output.text }}"
""",
}
_RECALL = """knowledge:
  vector_dbs: [{store}]
  embedders: [{{id: e, provider: openai, base_url: "http://127.0.0.1:{port}/v1", model: test, batch_size: 1}}]
"""
_SHORT = "{id: short, type: message_count_based, max_messages: 2, recall: {knowledge: notes, top_k: 1}}"
_STORES = {
    "sqlite": {"id": "notes", "provider": "filesystem", "path": "./data/vectors"},
    # In the main database, so that its commits are among those at which the process is killed.
    "postgres": {"id": "notes", "provider": "pgvector"},
}
# `brief` is summarized by the second and third task, `long` by the last.
_TURNS = {
    "memory": [
        ("brief", 5, "user", "third question"),
        ("brief", 6, "assistant", "answer to third question"),
        ("chat", 1, "user", "first question"),
        ("chat", 2, "assistant", "answer to first question"),
        ("chat", 3, "system", "x"),
        ("chat", 4, "user", "second question"),
        ("chat", 5, "assistant", "answer to second question"),
        ("chat", 6, "user", "third question"),
        ("chat", 7, "assistant", "answer to third question"),
        ("long", 3, "user", "second question"),
        ("long", 4, "assistant", "answer to second question"),
        ("long", 5, "user", "third question"),
        ("long", 6, "assistant", "answer to third question"),
    ],
    "recall": [
        ("short", 2 * turn + number, role, f"{said}{word} question")
        for turn, word in enumerate(("first", "second", "third", "fourth"))
        for number, role, said in ((1, "user", ""), (2, "assistant", "answer to "))
    ],
}


def write_recall(store: Store, port: str) -> None:
    """Add the memory with recall and its vector store to the project."""
    file = store.home / "compozy.yaml"
    driver = str(store.section["driver"])
    if driver == "postgres":
        store.change("CREATE EXTENSION vector")
    text = file.read_text().replace("memories:\n", f"memories:\n  - {_SHORT}\n")
    file.write_text(text + _RECALL.format(store=json.dumps(_STORES[driver]), port=port))


def _find_turn_errors(store: Store, workflow: str) -> list[str]:
    """Return an error if not every turn is stored once, whole and in order."""
    rows = store.query("SELECT memory_id, seq, role, content FROM memory_messages ORDER BY memory_id, seq")
    turns = [(memory, seq, role, json.loads(str(content))) for memory, seq, role, content in rows]
    return [] if turns == _TURNS[workflow] else [f"the conversations hold {turns}"]


def _find_memory_errors(store: Store) -> list[str]:
    summaries = store.query("SELECT memory_id FROM memories WHERE summary IS NOT NULL ORDER BY 1")
    errors = [] if summaries == [("brief",), ("long",)] else [f"summarized are {summaries}"]
    return _find_turn_errors(store, "memory") + errors


def _find_recall_errors(store: Store) -> list[str]:
    """Return the errors of turns and vectors: the last task embedded every turn but the one before it, once."""
    vectors = [(document, json.loads(str(metadata))["first"]) for document, metadata in _vectors(store)]
    first_messages = sorted(first for _, first in vectors)
    is_right = first_messages == ["1", "3"] and len({document for document, _ in vectors}) == 1
    return _find_turn_errors(store, "recall") + ([] if is_right else [f"the vectors are of {vectors}"])


def _vectors(store: Store) -> Rows:
    """Return the conversation and the metadata of each vector."""
    if store.section["driver"] == "postgres":
        return store.query("SELECT document, metadata::text FROM compozy_knowledge.compozy_kills_notes_memory")
    index = store.home / "data/vectors/notes_memory/index.db"
    with contextlib.closing(sqlite3.connect(index)) as connection:
        return connection.execute("SELECT document, metadata FROM chunks").fetchall()


MEMORY_CHECKS: Mapping[str, Callable[[Store], list[str]]] = {
    "memory": _find_memory_errors,
    "recall": _find_recall_errors,
}
