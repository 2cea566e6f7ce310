"""A question becomes the passages that answer it: by meaning, by words, or by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compozy.errors import UsageError
from compozy.knowledge.base import KnowledgeBase
from compozy.knowledge.catalog import KnowledgeCatalog
from compozy.knowledge.config import KnowledgeBinding, Mode
from compozy.knowledge.ingest_batch import normalize
from compozy.knowledge.store.protocol import Match, Search
from compozy.knowledge.tokens import estimate_tokens

# How much the first places of a list are worth more than the others (Cormack, Clarke, Büttcher 2009).
_RRF = 60
# Candidates of each kind for each passage that is wanted in the end.
_CANDIDATES = 4
_MIN_CANDIDATES = 20
MAX_QUERY = 20_000


@dataclass(frozen=True, kw_only=True)
class Query:
    """A question to a knowledge base, nothing left open."""

    text: str
    mode: Mode
    top_k: int
    min_score: float
    max_tokens: int | None
    filters: Mapping[str, str]


def make_query(base: KnowledgeBase, text: str, binding: KnowledgeBinding | None = None) -> Query:
    """Return a question with what the binding says, and where it is silent, the knowledge base.

    Raises:
        UsageError: the question is empty.
    """
    if not text.strip():
        raise UsageError("a question to a knowledge base must not be empty")
    settings = base.settings.retrieval
    given = binding.model_dump(exclude_unset=True, exclude_none=True) if binding else {}
    return Query(
        # Text beyond the window of an embedder changes little.
        text=text[:MAX_QUERY],
        mode=given.get("mode", settings.mode),
        top_k=given.get("top_k", settings.top_k),
        min_score=given.get("min_score", settings.min_score),
        max_tokens=given.get("max_tokens", settings.max_tokens),
        filters={**settings.filters, **given.get("filters", {})},
    )


async def retrieve(catalog: KnowledgeCatalog, base: KnowledgeBase, query: Query) -> list[Match]:
    """Return the best passages, best first, as many as fit.

    With `hybrid`, scores are those of the fusion, of which 1 would be the first place in both lists; `min_score` then
    holds for the likeness of meaning.

    Raises:
        KnowledgeError: the store was made for another embedder, or embedder or store failed.
    """
    kept = await catalog.check(base)
    if kept is None:
        return []
    found = await _find(catalog, kept, query)
    return list(_fit(found[: query.top_k], query.max_tokens))


async def _find(catalog: KnowledgeCatalog, base: KnowledgeBase, query: Query) -> list[Match]:
    store = catalog.store(base)
    if query.mode == "text":
        return await store.search(Search(limit=query.top_k, text=query.text, filters=query.filters))
    (vector,) = await catalog.embedder(base).embed([query.text], is_query=True)
    if base.store.metric == "cosine":
        vector = normalize(vector)
    is_hybrid = query.mode == "hybrid"
    limit = max(query.top_k * _CANDIDATES, _MIN_CANDIDATES) if is_hybrid else query.top_k
    by_meaning = await store.search(Search(limit=limit, vector=vector, filters=query.filters))
    near = [match for match in by_meaning if not _is_below(match, query, base)]
    if not is_hybrid:
        return near
    by_words = await store.search(Search(limit=limit, text=query.text, filters=query.filters))
    return fuse([near, by_words])


def _is_below(match: Match, query: Query, base: KnowledgeBase) -> bool:
    # A distance has no least likeness that zero could stand for.
    return match.score < query.min_score if base.store.metric != "l2" or query.min_score < 0 else False


def fuse(lists: Sequence[Sequence[Match]]) -> list[Match]:
    """Return several rankings as one: reciprocal rank fusion, scaled so that first in all of them is 1."""
    scores: dict[str, float] = {}
    matches: dict[str, Match] = {}
    for ranking in lists:
        for place, match in enumerate(ranking, start=1):
            scores[match.id] = scores.get(match.id, 0.0) + 1 / (_RRF + place)
            matches.setdefault(match.id, match)
    most = len(lists) / (_RRF + 1)
    fused = (replace(match, score=scores[name] / most) for name, match in matches.items())
    return sorted(fused, key=lambda match: (-match.score, match.id))


def _fit(found: Sequence[Match], max_tokens: int | None) -> Sequence[Match]:
    """Return as many of the first matches as `max_tokens` has room for."""
    if max_tokens is None:
        return found
    kept: list[Match] = []
    room = max_tokens
    for match in found:
        room -= estimate_tokens(match.text)
        if room < 0:
            break
        kept.append(match)
    return kept
