"""A GGUF model in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compozy.config.nodes import place_at, text_at
from compozy.errors import Diagnostic
from compozy.model.kind import ProviderKind, WrittenProvider
from compozy.model.params import PARAMS


def _check_path(written: WrittenProvider) -> Iterator[Diagnostic]:
    path = text_at(written.node, "path")
    if not path or written.path is None:
        return
    place = place_at(written.node, ("path",))
    if "\0" in path or not Path(written.path).is_file():
        message = f"path: file {path!r} not found"
        hint = f"a relative path counts from {written.root}; leave `path` out for the model that is installed"
        yield Diagnostic(location=place, message=message, hint=hint, code="reference")
    elif not path.lower().endswith(".gguf"):
        yield Diagnostic(location=place, message=f"path: {path!r} is not a GGUF file", code="provider")


KIND = ProviderKind(
    name="local",
    builder="compozy.model.local",
    default_model="smollm2-135m-instruct",
    keys=frozenset({"path"}),
    extra="local",
    packages=("xllamacpp",),
    # Settings that `local` gives every model.
    window=4096,
    params=frozenset(PARAMS) - {"thinking", "cache"},
    is_free=True,
    is_serial=True,
    is_repeatable=True,
    check=_check_path,
)
