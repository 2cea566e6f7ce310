"""Recall in several processes, which create the collection of its turns concurrently."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack
from pathlib import Path

import pytest

from compozy.database.memories import find_memory
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.memory.turn_index import base_of_turns, conversation_name
from tests.harness.databases import fresh, migrated
from tests.harness.embeddings import serve_embeddings
from tests.harness.processes import other_process
from tests.harness.recalling import TURNS, fill_conversation, index_in_rounds, knowledge_of, names_of_rounds
from tests.harness.vectorstores import KINDS, section_of

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
