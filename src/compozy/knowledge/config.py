"""`knowledge:` of compozy.yaml, and the bindings of agents, as they are written."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator

from compozy.config.addresses import DocumentAddress, WebAddress
from compozy.config.choices import OneOf
from compozy.config.settings import Section, check_header_key
from compozy.knowledge.embed.registry import EMBEDDERS
from compozy.knowledge.store.registry import STORES

ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$"
MAX_TOP_K = 50

StoreProvider = Annotated[str, OneOf(STORES)]
"""The name of a kind of vector store."""
EmbedderProvider = Annotated[str, OneOf(EMBEDDERS)]
"""The name of a kind of embedder."""
Mode = Literal["vector", "text", "hybrid"]
Metric = Literal["cosine", "ip", "l2"]

# Candidates of an hnsw search for each passage that it shall find, and the most that pgvector takes.
_CANDIDATES = 4
_MAX_CANDIDATES = 1000
# With 40 of 100 lists 0.96 of the ten nearest are found for questions that lie far from all documents; with 10, 0.73.
_PROBED = 0.4


class IndexSettings(Section):
    """`index:`, the vector index of a store."""

    type: Literal["exact", "hnsw", "ivfflat"] | None = Field(
        default=None, description="`exact` compares with every vector; `ivfflat` is for pgvector."
    )
    m: int = Field(default=16, ge=2, le=100, description="hnsw: links of a vector.")
    ef_construction: int = Field(default=128, ge=4, le=1000, description="hnsw: candidates while it is built.")
    ef_search: int = Field(default=200, ge=1, le=1000, description="hnsw: candidates while it is searched.")
    lists: int = Field(default=100, ge=1, le=32_768, description="ivfflat: number of lists.")
    probes: int | None = Field(
        default=None, ge=1, le=32_768, description="ivfflat: lists that a query searches. Default: 40 %."
    )

    def candidates(self, limit: int) -> int:
        """Return how many candidates an hnsw search for `limit` looks at: more than it shall find."""
        return min(max(self.ef_search, _CANDIDATES * limit), _MAX_CANDIDATES)

    @property
    def probed_lists(self) -> int:
        """Return how many lists an ivfflat search looks into."""
        return self.probes or math.ceil(self.lists * _PROBED)


class VectorDBSettings(Section):
    """One entry of `knowledge.vector_dbs`."""

    id: str = Field(min_length=1, pattern=ID_PATTERN, description="The name that knowledge bases use.")
    provider: StoreProvider = Field(
        validation_alias=AliasChoices("provider", "type"), description="Kind of vector store. `type` is a synonym."
    )
    url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("url", "dsn"),
        description="Address of the store. pgvector: default is the main database. `dsn` is a synonym.",
    )
    path: str | None = Field(
        default=None, min_length=1, description="filesystem: its folder. qdrant: a folder for the embedded mode."
    )
    api_key: SecretStr | None = Field(default=None, description="qdrant: its key, best as `${VAR}`.")
    dimension: int | None = Field(default=None, ge=1, le=16_384, description="Length of the vectors, to be checked.")
    metric: Metric = Field(default="cosine", description="How vectors are compared.")
    collection: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        validation_alias=AliasChoices("collection", "table"),
        description="Name of the collection, table or index. `table` is a synonym.",
    )
    index: IndexSettings = Field(default=IndexSettings(), description="How vectors are searched.")

    _check_api_key = field_validator("api_key")(check_header_key)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Refuse an address that the kind of store cannot use; the message does not show it."""
        text = "" if url is None else url.get_secret_value()
        kind = STORES.get(info.data.get("provider", ""))
        problem = kind.check_address(text) if text and kind is not None else None
        if problem is not None:
            raise ValueError(problem)
        return url


class EmbedderSettings(Section):
    """One entry of `knowledge.embedders`."""

    id: str = Field(min_length=1, pattern=ID_PATTERN, description="The name that knowledge bases use.")
    provider: EmbedderProvider = Field(
        validation_alias=AliasChoices("provider", "type"), description="Kind of embedder. `type` is a synonym."
    )
    model: str | None = Field(
        default=None, min_length=1, description="Name of the model. Default: that of the provider."
    )
    api_key: SecretStr | None = Field(default=None, description="Key of the provider, best as `${VAR}`.")
    base_url: WebAddress | None = Field(
        default=None, min_length=1, description="Address of an OpenAI-compatible server."
    )
    dimension: int | None = Field(default=None, ge=1, le=16_384, description="Length of its vectors.")
    batch_size: int = Field(default=64, ge=1, le=2048, description="Texts in one request.")
    window: int | None = Field(default=None, ge=32, le=1_000_000, description="Tokens that it can take in one text.")

    _check_api_key = field_validator("api_key")(check_header_key)


class SourceSettings(Section):
    """`sources:`, files and folders of the project, or addresses."""

    path: str | None = Field(default=None, min_length=1, description="A file, a folder, or a pattern of files.")
    paths: tuple[str, ...] = Field(default=(), description="Several of them.")
    url: DocumentAddress | None = Field(default=None, min_length=1, description="An address.")
    urls: tuple[DocumentAddress, ...] = Field(default=(), description="Several addresses.")
    type: Literal["folder", "file", "markdown_glob", "url", "pdf_url"] | None = Field(
        default=None, description="Kind of source, in the words of earlier editions; it is seen from the key used."
    )


class ChunkingSettings(Section):
    """`chunking:`, the size of the chunks of a document, in tokens of the embedder."""

    strategy: Literal["recursive_text_splitter"] = Field(
        default="recursive_text_splitter", description="Along Markdown structure, paragraphs and sentences."
    )
    size: int | None = Field(
        default=None, ge=16, le=8192, description="Maximum chunk size. Default: 800, or the limit of the embedder."
    )
    overlap: int = Field(default=0, ge=0, le=4096, description="Overlap of a chunk with the one before it.")


class PreprocessSettings(Section):
    """`preprocess:`, changes to texts before they are embedded."""

    dedupe: bool = Field(
        default=True, description="Embed a text that several chunks share only once, also those of other documents."
    )
    remove_html: bool = Field(default=False, description="Take tags out of Markdown and text files.")


class RetrievalSettings(Section):
    """`retrieval:`, defaults of queries."""

    mode: Mode = Field(default="vector", description="Search by meaning, by words, or both.")
    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K, description="Most passages that a query gives.")
    min_score: float = Field(default=0.0, ge=-1, le=1, description="Least similarity of a passage.")
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000, description="Most tokens of all passages.")
    filters: dict[str, str] = Field(default_factory=dict, description="Metadata that passages must have.")
    fallback: str | None = Field(
        default=None, min_length=1, max_length=10_000, description="Text for agents if no passage is found."
    )
    tool_fallback: Literal["never"] = Field(
        default="never", description="Key of the 2025 edition; other values are errors."
    )

    @field_validator("tool_fallback", mode="before")
    @classmethod
    def _refuse_tools(cls, value: object) -> object:
        if value in {"escalate", "auto"}:
            raise ValueError("agents do not search again with tools in this version; leave it out, or write `never`")
        return value


class KnowledgeBaseSettings(Section):
    """One entry of `knowledge.knowledge_bases`."""

    id: str = Field(min_length=1, pattern=ID_PATTERN, description="The name that agents and commands use.")
    description: str | None = Field(default=None, description="For people.")
    vector_db: str | None = Field(default=None, description="Vector store for its vectors. Default: the first store.")
    embedder: str | None = Field(default=None, description="Embedder. The default is derived from the providers.")
    ingest: Literal["manual", "on_start"] = Field(default="manual", description="When its sources are read.")
    sources: tuple[SourceSettings, ...] = Field(default=(), description="Its documents.")
    chunking: ChunkingSettings = Field(default=ChunkingSettings(), description="How documents are cut.")
    preprocess: PreprocessSettings = Field(
        default=PreprocessSettings(), description="Preparation of texts before they are embedded."
    )
    retrieval: RetrievalSettings = Field(default=RetrievalSettings(), description="Default settings of queries.")
    metadata: dict[str, str] = Field(default_factory=dict, description="Metadata of all its passages, for filters.")


class KnowledgeBinding(Section):
    """`bindings:`, a knowledge base with search settings."""

    knowledge_base_id: str = Field(
        validation_alias=AliasChoices("knowledge_base_id", "id"),
        min_length=1,
        description="A knowledge base of the project. `id` is a synonym.",
    )
    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K, description="Most passages.")
    min_score: float | None = Field(default=None, ge=-1, le=1, description="Least similarity of a passage.")
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000, description="Most tokens of all passages.")
    mode: Mode | None = Field(default=None, description="Search by meaning, by words, or both.")
    filters: dict[str, str] | None = Field(default=None, description="Metadata that passages must have.")
    fallback: str | None = Field(
        default=None, min_length=1, max_length=10_000, description="Text for agents if no passage is found."
    )


class AccessSettings(Section):
    """`access:`, permission to read documents outside of the project folder."""

    folders: tuple[str, ...] = Field(default=(), description="Folders outside of the project.")
    private_hosts: tuple[str, ...] = Field(
        default=(), description="Names of hosts that may be asked although their addresses are private."
    )
    max_file_mb: int = Field(default=32, ge=1, le=2048, description="Largest document, in MiB.")


class KnowledgeSettings(Section):
    """`knowledge:`, documents for agents. With `vector_dbs` alone, each vector store is also a knowledge base."""

    vector_dbs: tuple[VectorDBSettings, ...] = Field(default=(), description="Vector stores, by id.")
    embedders: tuple[EmbedderSettings, ...] = Field(default=(), description="Embedders, by id.")
    knowledge_bases: tuple[KnowledgeBaseSettings, ...] = Field(default=(), description="Knowledge bases, by id.")
    bindings: tuple[KnowledgeBinding, ...] = Field(
        default=(), description="Knowledge bases of agents and workflows that name none."
    )
    access: AccessSettings = Field(
        default=AccessSettings(), description="Sources outside the project that may be read."
    )
