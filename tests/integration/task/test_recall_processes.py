"""Recall in several processes, which create the collection of its turns concurrently."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.memories import find_memory
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.memory.turn_index import base_of_turns, conversation_name
from tests.harness.databases import fresh, migrated
from tests.harness.embeddings import serve_embeddings
from tests.harness.processes import Commands, other_process
from tests.harness.projects import write_project
from tests.harness.recalling import TURNS, fill_conversation, index_in_rounds, knowledge_of, names_of_rounds
from tests.harness.stores import open_store
from tests.harness.vectorstores import KINDS, section_of

_MEMORY = {
    "id": "chat",
    "type": "message_count_based",
    "max_messages": 2,
    "recall": {"knowledge": "notes", "top_k": 1},
}
_ASK = {"tasks": [{"id": "ask", "prompt": "word0 is question", "memory": [{"id": "chat", "key": "ana"}]}]}
# The embedded mode of Qdrant is for one process.
_SHARED = [kind for kind in KINDS if kind != "qdrant-folder"]


@pytest.mark.parametrize("kind", _SHARED)
async def test_workers_create_a_collection_of_turns_once(tmp_path: Path, kind: str) -> None:
    with (
        fresh("postgres", tmp_path) as settings,
        migrated(settings) as database,
        section_of(kind, tmp_path) as section,
        serve_embeddings() as (url, _),
    ):
        fill_conversation(database)
        barrier = multiprocessing.get_context("forkserver").Barrier(2)
        with ExitStack() as stack:
            arguments = (settings, tmp_path, section, url, barrier)
            workers = [stack.enter_context(other_process(index_in_rounds, *arguments)) for _ in range(2)]
            for worker in workers:
                worker.join()
            assert [worker.exitcode for worker in workers] == [0, 0]
        with database.read() as connection:
            conversation = conversation_name(find_memory(connection, "chat", "ana").generation)
        catalog = KnowledgeCatalog(knowledge_of(tmp_path, section, url, names=names_of_rounds()), database)
        for name in names_of_rounds():
            held = await catalog.store(base_of_turns(catalog.project.base(name))).documents()
            assert {document: contents.chunks for document, contents in held.items()} == {conversation: TURNS}
        await catalog.aclose()


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_concurrent_commands_share_a_collection(tmp_path: Path, driver: str, commands: Commands) -> None:
    """On SQLite, the second command waits until the first one has ended."""
    with open_store(driver, tmp_path) as store, serve_embeddings() as (url, _):
        knowledge = {
            "vector_dbs": [{"id": "notes", "provider": "filesystem", "path": "./vectors"}],
            "embedders": [{"id": "e", "provider": "openai", "base_url": url, "model": "test"}],
        }
        responses = {"ask": {"text": "fine"}}
        sections = {"database": store.section, "knowledge": knowledge, "memories": [_MEMORY]}
        write_project(tmp_path, {"ask": _ASK}, responses=responses, **sections)
        path = {"path": str(tmp_path / "data/compozy.db")} if driver == "sqlite" else {}
        with migrated(DatabaseSettings.model_validate({**store.section, **path})) as database:
            fill_conversation(database)
        arguments = ("workflow", "run", "ask", "--wait-for-lock", "5m")
        ended = [run.wait() for run in [commands.start(tmp_path, *arguments) for _ in range(2)]]
        assert [run.status for run in ended] == [0, 0], [run.err for run in ended]
    with contextlib.closing(sqlite3.connect(tmp_path / "vectors/notes_memory/index.db")) as connection:
        vectors = connection.execute("SELECT json_extract(metadata, '$.first') FROM chunks ORDER BY row").fetchall()
    # The last turn is shown anyway; it is embedded if the other command has added its own before.
    assert len(vectors) == len(set(vectors))
    assert {f"{1 + 2 * turn}" for turn in range(TURNS - 1)} <= {first for (first,) in vectors}
