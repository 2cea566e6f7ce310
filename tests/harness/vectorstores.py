"""Every type of vector store, real, for tests that apply to all of them."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any

from compozy.config.settings import DatabaseSettings
from compozy.knowledge.config import VectorDBSettings
from compozy.knowledge.store.build import build_store
from compozy.knowledge.store.protocol import VectorStore
from compozy.knowledge.store.spec import StoreSpec
from tests.harness.postgres import new_database, running_server
from tests.harness.qdrant import serve_qdrant
from tests.harness.redis import serve_redis

KINDS = (
    "filesystem",
    "pgvector",
    "qdrant",
    "qdrant-folder",
    "redis",
    *(("qdrant-server",) if os.environ.get("QDRANT_URL") else ()),
)
NO_DATABASE = DatabaseSettings(driver="sqlite", path=":memory:")


@contextlib.contextmanager
def section_of(kind: str, folder: Path) -> Generator[dict[str, Any]]:
    """Return an entry of `vector_dbs` for this type of store, with its server if it needs one."""
    if kind == "filesystem":
        yield {"provider": "filesystem", "path": str(folder / "vectors")}
    elif kind == "qdrant-folder":
        yield {"provider": "qdrant", "path": str(folder / "qdrant")}
    elif kind == "qdrant-server":
        yield {"provider": "qdrant", "url": os.environ["QDRANT_URL"]}
    elif kind == "qdrant":
        with serve_qdrant(folder / "shim") as (url, _):
            yield {"provider": "qdrant", "url": url}
    elif kind == "redis":
        place = folder / "redis"
        place.mkdir()
        with serve_redis(place) as url:
            yield {"provider": "redis", "url": url}
    else:
        with new_database(migrated=False) as database:
            # The role is not a superuser, as usual in production.
            with running_server().connect(str(database.dbname)) as admin:
                admin.execute("CREATE EXTENSION vector")
            url = f"postgresql://{database.user}@{database.host}:{database.port}/{database.dbname}"
            yield {"provider": "pgvector", "url": url}


def build(section: dict[str, Any], *, name: str | None = None, **more: Any) -> VectorStore:
    """Return a store for an entry from `section_of`."""
    settings = VectorDBSettings.model_validate({"id": "main", **section, **more})
    collection = name or f"t_{secrets.token_hex(4)}"
    return build_store(
        StoreSpec(settings=settings, collection=collection, root=Path(), database=NO_DATABASE, main=None)
    )
