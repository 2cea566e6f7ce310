"""Database and vector store disagree: one of them is new, was restored, or was replaced for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.embeddings import Embeddings, serve_embeddings
from tests.harness.knowledge import write_documents, write_knowledge_project
from tests.harness.processes import Commands
from tests.harness.servers import start_server
from tests.harness.stores import Store, open_store
from tests.harness.vectorstores import section_of

PAIRS = [("sqlite", "filesystem"), ("sqlite", "qdrant"), ("sqlite", "redis"), ("postgres", "filesystem")]
PAIRS.append(("postgres", "pgvector"))
APPLES, BREAD, CARS = "knowledge/apples.md", "knowledge/bread.md", "knowledge/deep/cars.txt"


@pytest.fixture
def embeddings() -> Iterator[tuple[str, Embeddings]]:
    with serve_embeddings() as found:
        yield found


@pytest.fixture(params=PAIRS, ids="-".join)
def places(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, dict[str, Any]]]:
    """Return a database and an entry of `vector_dbs`."""
    driver, kind = request.param
    with open_store(driver, tmp_path) as database, section_of(kind, tmp_path_factory.mktemp("store")) as section:
        # An index may miss a neighbor. These tests search for all of them.
        exact = {} if kind in {"filesystem", "pgvector"} else {"index": {"type": "exact"}}
        yield database, {**section, **exact}


def found_texts(cli: RunCli, *flags: str) -> dict[str, str]:
    done = cli(*("knowledge", "query", "anything", "--top-k", "50", "--min-score", "-1", "--format", "json", *flags))
    assert done.status == 0, done.err
    return {match["document"]: match["text"] for match in json.loads(done.out)["matches"]}


def ingest(cli: RunCli, *flags: str) -> dict[str, Any]:
    done = cli("knowledge", "ingest", *(flags or ("knowledge",)), "--format", "json")
    assert done.status == 0, done.err + done.out
    return json.loads(done.out)["output"]


def check(cli: RunCli, *flags: str) -> tuple[int, dict[str, Any]]:
    done = cli("knowledge", "check", *flags, "--format", "json")
    (base,) = json.loads(done.out)["knowledge_bases"]
    return done.status, base


def differences(base: dict[str, Any]) -> dict[str, list[str]]:
    return {kind: base[kind]["documents"] for kind in ("unlisted", "missing", "outdated") if base[kind]["count"]}


def test_a_new_database_next_to_an_older_store(
    places: tuple[Store, dict[str, Any]], tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    database, store = places
    write_knowledge_project(tmp_path, embeddings[0], store=store, database=database.section)
    ingest(cli)
    bought = embeddings[1].texts.total()
    database.change("DELETE FROM knowledge_documents")
    (tmp_path / APPLES).unlink()
    status, base = check(cli)
    assert (status, base["owner"], differences(base)) == (1, "demo/main", {"unlisted": [APPLES, BREAD, CARS]})
    output = ingest(cli)
    assert (output["documents"], output["unlisted"], output["deleted"]) == (2, 1, 0)
    # The dimension is not requested again, and vectors in the store are not requested again.
    assert embeddings[1].texts.total() == bought
    assert set(found_texts(cli)) == {BREAD, CARS}
    assert check(cli)[0] == 0


def test_a_new_database_file(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    write_knowledge_project(tmp_path, embeddings[0])
    ingest(cli)
    for file in (tmp_path / "data").glob("compozy.db*"):
        file.unlink()
    (tmp_path / APPLES).unlink()
    done = cli("knowledge", "ingest", "knowledge")
    assert (done.status, done.out.splitlines()[1]) == (0, "✓ Processed 2 documents")
    assert "note: deleted 1 document from the store that the database does not list\n" in done.err
    assert set(found_texts(cli)) == {BREAD, CARS}


def test_a_restored_database_and_restored_documents(
    places: tuple[Store, dict[str, Any]], tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    database, store = places
    write_knowledge_project(tmp_path, embeddings[0], store=store, database=database.section)
    ingest(cli)
    apples = (tmp_path / APPLES).read_text()
    database.change("CREATE TABLE backup AS SELECT * FROM knowledge_documents")
    write_documents(tmp_path, {APPLES: "# Pears\n\nPears are yellow.\n", "knowledge/new.md": "# New\n"})
    (tmp_path / CARS).unlink()
    ingest(cli)
    assert "Pears" in found_texts(cli)[APPLES]
    # Documents and database have their old state; the store does not.
    database.change("DELETE FROM knowledge_documents", "INSERT INTO knowledge_documents SELECT * FROM backup")
    write_documents(tmp_path, {APPLES: apples, CARS: "Cars have four wheels and an engine."})
    (tmp_path / "knowledge/new.md").unlink()
    status, base = check(cli)
    expected = {"unlisted": ["knowledge/new.md"], "missing": [CARS], "outdated": [APPLES]}
    assert (status, differences(base)) == (1, expected)
    output = ingest(cli)
    assert (output["documents"], output["unchanged"], output["unlisted"]) == (2, 1, 1)
    texts = found_texts(cli)
    assert set(texts) == {APPLES, BREAD, CARS}
    assert "Apples" in texts[APPLES]
    assert check(cli)[0] == 0


def write_with_path(folder: Path, url: str, path: str) -> None:
    write_knowledge_project(folder, url, store={"provider": "filesystem", "path": path})


def test_a_store_that_was_switched_and_switched_back(
    tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    url = embeddings[0]
    write_with_path(tmp_path, url, "./data/first")
    ingest(cli)
    write_with_path(tmp_path, url, "./data/second")
    write_documents(tmp_path, {BREAD: "# Cake\n\nCake is sweet.\n"})
    (tmp_path / APPLES).unlink()
    ingest(cli)
    section = json.loads((tmp_path / "compozy.yaml").read_text())
    section["knowledge"]["vector_dbs"][0]["path"] = "./data/first"
    (tmp_path / "compozy.yaml").write_text(json.dumps(section))
    assert set(found_texts(cli)) == {APPLES, BREAD, CARS}
    output = ingest(cli)
    assert (output["documents"], output["unchanged"], output["unlisted"]) == (1, 1, 1)
    texts = found_texts(cli)
    assert set(texts) == {BREAD, CARS}
    assert "Cake" in texts[BREAD]


def write_sources(folder: Path, url: str, path: str) -> None:
    section = json.loads((folder / "compozy.yaml").read_text())
    section["knowledge"]["knowledge_bases"] = [{"id": "main", "sources": [{"path": path}]}]
    (folder / "compozy.yaml").write_text(json.dumps(section))


def test_a_source_that_was_switched_and_switched_back(
    tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    write_knowledge_project(tmp_path, embeddings[0])
    write_documents(tmp_path, {"other/one.md": "# One\n"})
    write_sources(tmp_path, embeddings[0], "knowledge")
    ingest(cli, "--retry")
    write_sources(tmp_path, embeddings[0], "other")
    (tmp_path / APPLES).unlink()
    ingest(cli, "--retry")
    write_sources(tmp_path, embeddings[0], "knowledge")
    assert ingest(cli, "--retry")["deleted"] == 1
    assert set(found_texts(cli)) == {BREAD, CARS, "other/one.md"}
    assert check(cli)[0] == 0


def disagree(database: Store, folder: Path, cli: RunCli) -> None:
    """Remove apples from the list, make cars outdated, and list a document that the store does not contain."""
    ingest(cli)
    write_documents(folder, {"knowledge/new.md": "# New\n"})
    database.change(
        f"DELETE FROM knowledge_documents WHERE document = '{APPLES}'",
        f"UPDATE knowledge_documents SET chunks = 7 WHERE document = '{CARS}'",
        "INSERT INTO knowledge_documents SELECT knowledge_base_id, 'knowledge/new.md', status, hash, recipe, title, "
        f"size, chunks, error, workflow_exec_id, created_ms, updated_ms FROM knowledge_documents "
        f"WHERE document = '{BREAD}'",
    )


@pytest.mark.parametrize("is_served", [False, True], ids=["here", "server"])
def test_check_reports_and_repairs(
    tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli, commands: Commands, *, is_served: bool
) -> None:
    write_knowledge_project(tmp_path, embeddings[0])
    with open_store("sqlite", tmp_path) as database:
        disagree(database, tmp_path, cli)
    if is_served:
        start_server(commands, tmp_path)
        cli = partial(commands.run, tmp_path)
    found = cli("knowledge", "check")
    assert (found.status, found.err) == (1, "Run `compozy knowledge check main --repair`.\n")
    assert found.out == (
        "✗ main: database and store disagree\n"
        f"  1 document in the store, not listed in the database:\n    {APPLES}\n"
        "  1 document listed in the database, not in the store:\n    knowledge/new.md\n"
        f"  1 document in the store with other chunks than the database recorded:\n    {CARS}\n"
    )
    repaired = cli("knowledge", "check", "main", "--repair", "--quiet")
    assert repaired.status == 0
    assert repaired.out == (
        "Repairing knowledge base 'main'...\n✓ Processed 2 documents\n✓ Created 2 chunks\n"
        "✓ Embeddings stored in the filesystem\n✓ main: database and store agree, 3 documents\n"
    )
    assert repaired.err == "note: deleted 1 document from the store that the database does not list\n"
    assert set(found_texts(cli)) == {BREAD, CARS, "knowledge/new.md"}
    again = cli("knowledge", "check", "--repair")
    assert (again.status, again.out) == (0, "✓ main: database and store agree, 3 documents\n")
    unknown = cli("knowledge", "check", "mian")
    assert (unknown.status, "did you mean 'main'?" in unknown.err) == (2, True)


def test_a_lost_store_is_repaired(tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli) -> None:
    write_knowledge_project(tmp_path, embeddings[0])
    ingest(cli)
    for file in (tmp_path / "data/vectors/main").iterdir():
        file.unlink()
    status, base = check(cli)
    assert (status, differences(base)) == (1, {"missing": [APPLES, BREAD, CARS]})
    assert check(cli, "--repair")[0] == 0
    assert set(found_texts(cli)) == {APPLES, BREAD, CARS}


def test_a_document_that_only_the_store_knows_is_deleted(
    places: tuple[Store, dict[str, Any]], tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli
) -> None:
    database, store = places
    write_knowledge_project(tmp_path, embeddings[0], store=store, database=database.section)
    ingest(cli)
    database.change(f"DELETE FROM knowledge_documents WHERE document = '{APPLES}'")
    done = cli("knowledge", "delete", "main", "--document", APPLES, "--yes")
    assert (done.status, done.out) == (0, "Deleted 1 document from 'main'\n")
    assert set(found_texts(cli)) == {BREAD, CARS}
    again = cli("knowledge", "delete", "main", "--document", APPLES, "--yes")
    assert (again.status, f"has no document '{APPLES}'" in again.err) == (2, True)


def test_the_collection_of_another_project_is_not_changed(
    places: tuple[Store, dict[str, Any]],
    tmp_path: Path,
    embeddings: tuple[str, Embeddings],
    cli: RunCli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database, store = places
    named = store if store["provider"] == "filesystem" else {**store, "collection": "shared"}
    write_knowledge_project(tmp_path, embeddings[0], store=named, database=database.section)
    ingest(cli)
    other = tmp_path / "other"
    other.mkdir()
    kind = "postgres" if store["provider"] == "pgvector" else "sqlite"
    with open_store(kind, other) as elsewhere:
        write_knowledge_project(other, embeddings[0], store=named, name="other", database=elsewhere.section)
        monkeypatch.chdir(other)
        check_refusals(cli)
    monkeypatch.chdir(tmp_path)
    assert ingest(cli)["unchanged"] == 3


def check_refusals(cli: RunCli) -> None:
    for command in (
        ("ingest", "knowledge"),
        ("ingest", "knowledge", "--reindex"),
        ("delete", "main", "--yes"),
        ("delete", "main", "--document", APPLES, "--yes"),
    ):
        refused = cli("knowledge", *command)
        assert refused.status != 0, command
        assert "belongs to knowledge base 'main' of project 'demo', not to knowledge base" in refused.err
    status, base = check(cli, "--repair")
    assert (status, base["error"]["code"], base["repairable"]) == (1, "vector_store", False)
    # Reading is allowed.
    assert set(found_texts(cli)) == {APPLES, BREAD, CARS}


def test_a_collection_without_an_owner_keeps_unlisted_documents(
    tmp_path: Path, embeddings: tuple[str, Embeddings], cli: RunCli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write_knowledge_project(tmp_path, embeddings[0], store={"provider": "filesystem", "path": str(outside)})
    ingest(cli)
    forget_owner(outside / "main")
    with open_store("sqlite", tmp_path) as database:
        database.change(f"DELETE FROM knowledge_documents WHERE document = '{APPLES}'")
    (tmp_path / APPLES).unlink()
    assert ingest(cli)["unlisted"] == 0
    assert APPLES in found_texts(cli)
    found = cli("knowledge", "check", "--repair", "--quiet")
    assert found.status == 1
    assert "collection 'main' does not record its owner, so documents that are not listed are kept" in found.err
    assert APPLES in found_texts(cli)
    assert cli("knowledge", "delete", "main", "--document", APPLES, "--yes").status == 0
    assert check(cli)[0] == 0


def forget_owner(folder: Path) -> None:
    """Make a collection look as before owners were recorded."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(folder / "index.db", isolation_level=None)) as connection:
        (text,) = connection.execute("SELECT value FROM facts WHERE name = 'facts'").fetchone()
        facts = json.loads(text)
        assert facts.pop("owner") == "demo/main"
        connection.execute("UPDATE facts SET value = ? WHERE name = 'facts'", (json.dumps(facts),))
