"""A knowledge base, put together from what compozy.yaml says and what it leaves out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compozy.config.settings import DatabaseSettings
from compozy.database.jsontext import dump_json
from compozy.errors import NotFoundError, UsageError
from compozy.knowledge.chunk import DEFAULT_SIZE, RESERVED_TOKENS
from compozy.knowledge.config import KnowledgeBaseSettings, KnowledgeSettings, VectorDBSettings
from compozy.knowledge.embed.spec import EmbedderSpec, default_specs, spec_of
from compozy.knowledge.paths import Reach
from compozy.knowledge.read.document import READING
from compozy.knowledge.store.registry import STORES
from compozy.model.config import ProviderConfig
from compozy.nearest import suggest

_FOREIGN = re.compile(r"[^a-z0-9]+")
_MAX_NAME = 55


@dataclass(frozen=True, kw_only=True)
class KnowledgeBase:
    """One knowledge base with everything that it uses.

    Attributes:
        collection: the name of its collection, table or index in the store.
        embedder: the one that the project names, or its default.
        alternatives: other embedders that it may keep, because the project names none.
        owner: project and knowledge base, as collections record to whom they belong.
        is_inside_project: whether the store is a folder of the project, which no other project uses.
    """

    settings: KnowledgeBaseSettings
    store: VectorDBSettings
    embedder: EmbedderSpec
    collection: str
    owner: str
    is_inside_project: bool
    alternatives: tuple[EmbedderSpec, ...] = ()

    @property
    def id(self) -> str:
        """Its name."""
        return self.settings.id

    @property
    def chunk_size(self) -> int:
        """The largest chunk, in tokens of its embedder."""
        return min(self.settings.chunking.size or DEFAULT_SIZE, self.embedder.window - RESERVED_TOKENS)

    def with_embedder(self, name: str) -> KnowledgeBase:
        """Return it with the embedder of this name, if it may keep that one; else unchanged."""
        kept = next((spec for spec in self.alternatives if spec.name == name), self.embedder)
        return replace(self, embedder=kept) if name != self.embedder.name else self

    @property
    def recipe(self) -> str:
        """A hash of what the chunks of a document depend on besides the document."""
        parts = {
            "reading": READING,
            "embedder": self.embedder.name,
            "size": self.chunk_size,
            "chunking": self.settings.chunking.model_dump(mode="json"),
            "preprocess": self.settings.preprocess.model_dump(mode="json"),
            "metadata": self.settings.metadata,
        }
        return hashlib.sha256(dump_json(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class KnowledgeProject:
    """The settings of a project that knowledge bases need."""

    name: str
    root: Path
    settings: KnowledgeSettings
    providers: tuple[ProviderConfig, ...]
    environ: Mapping[str, str]
    database: DatabaseSettings

    @property
    def reach(self) -> Reach:
        """The folders that documents may lie in."""
        return Reach.of(self.root, self.settings.access.folders)

    def bases(self) -> dict[str, KnowledgeBase]:
        """Return the knowledge bases by id; where none is written, each store is one."""
        written = self.settings.knowledge_bases or tuple(
            KnowledgeBaseSettings(id=store.id, vector_db=store.id) for store in self.settings.vector_dbs
        )
        return {settings.id: self._base(settings) for settings in written} if self.settings.vector_dbs else {}

    def base(self, base_id: str | None) -> KnowledgeBase:
        """Return a knowledge base; without an id, the only one.

        Raises:
            NotFoundError: there is none of this id.
            UsageError: there are none, or several and no id.
        """
        bases = self.bases()
        if not bases:
            raise UsageError("the project has no knowledge base", hint="add a store to `knowledge.vector_dbs`")
        if base_id is None:
            if len(bases) > 1:
                listed = ", ".join(bases)
                raise UsageError(
                    "the project has several knowledge bases",
                    hint=f"add --kb: {listed}",
                    http_hint=f"name one in the path: {listed}",
                )
            return next(iter(bases.values()))
        if base_id not in bases:
            hint = suggest(base_id, bases) or f"this project has: {', '.join(bases)}"
            raise NotFoundError(f"no knowledge base {base_id!r} in project {self.name!r}", hint=hint)
        return bases[base_id]

    def _base(self, settings: KnowledgeBaseSettings) -> KnowledgeBase:
        stores = {store.id: store for store in reversed(self.settings.vector_dbs)}
        store = stores[settings.vector_db] if settings.vector_db else self.settings.vector_dbs[0]
        spec, *others = self._embedders(settings.embedder)
        return KnowledgeBase(
            settings=settings,
            store=store,
            embedder=spec,
            collection=self._collection(settings.id, store),
            alternatives=tuple(others),
            owner=f"{self.name}/{settings.id}",
            is_inside_project=self._is_inside(store),
        )

    def _is_inside(self, store: VectorDBSettings) -> bool:
        if STORES[store.provider].is_shared:
            return False
        return store.path is None or (self.root / store.path).resolve().is_relative_to(self.root.resolve())

    def _embedders(self, embedder_id: str | None) -> tuple[EmbedderSpec, ...]:
        """Return the embedder that the project names; if it names none, the default and its alternatives."""
        written = {settings.id: settings for settings in reversed(self.settings.embedders)}
        if embedder_id is not None:
            return (spec_of(written[embedder_id], self.environ),)
        if self.settings.embedders:
            return (spec_of(self.settings.embedders[0], self.environ),)
        return default_specs(self.providers, self.environ)

    def _collection(self, base_id: str, store: VectorDBSettings) -> str:
        if not STORES[store.provider].is_shared:
            return base_id
        if store.collection and len(self._bases_of(store)) <= 1:
            return store.collection
        # A store may be shared: what belongs to whom is seen from the name.
        parts = ("compozy", store.collection or self.name, base_id)
        return "_".join(_FOREIGN.sub("_", part.lower()).strip("_") for part in parts)[:_MAX_NAME]

    def _bases_of(self, store: VectorDBSettings) -> Sequence[KnowledgeBaseSettings]:
        first = self.settings.vector_dbs[0].id
        return [base for base in self.settings.knowledge_bases if (base.vector_db or first) == store.id]
