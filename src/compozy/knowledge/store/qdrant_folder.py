"""Qdrant's embedded mode: a folder whose points are pickles, which are read without running what they name."""

from __future__ import annotations

import io
import pickle
import traceback
from importlib import import_module
from typing import Any

from compozy.errors import VectorStoreError

# The classes that the client writes for a point; everything else in a pickle is plain values.
_POINT_CLASSES = frozenset(("qdrant_client.http.models.models", name) for name in ("PointStruct", "SparseVector"))


class _PointUnpickler(pickle.Unpickler):
    """Loads the two classes of a point and no others. A pickle can name any function of the machine to be called."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _POINT_CLASSES:
            raise pickle.UnpicklingError(f"a point refers to {module}.{name}, which Qdrant does not write")
        return super().find_class(module, name)


class _PointPickles:
    """Replaces the module `pickle` in the client."""

    dumps = staticmethod(pickle.dumps)

    @staticmethod
    def loads(data: bytes) -> Any:
        """Return a point.

        Raises:
            pickle.UnpicklingError: it is not a point.
        """
        return _PointUnpickler(io.BytesIO(data)).load()


def open_folder(package: Any, path: str) -> Any:
    """Return the client of a folder, which this process alone has open.

    Raises:
        VectorStoreError: the folder is damaged, or holds what Qdrant's client does not write.
        RuntimeError: another process has it open.
    """
    _confine_pickle()
    try:
        return package.AsyncQdrantClient(path=path, force_disable_check_same_thread=True)
    except (OSError, RuntimeError) as error:
        _close_files(error)
        raise
    except Exception as error:
        _close_files(error)
        # A folder can hold anything, and the client checks nothing of it: wrong keys, damaged files, foreign objects.
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        raise VectorStoreError(
            f"Failed to read the Qdrant folder {path}: {reason}",
            hint="restore the folder from a backup, or delete it and ingest the documents again",
        ) from error


def _close_files(error: Exception) -> None:
    """Close what the client had opened when it failed; only the frames of its functions still refer to it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        fields: dict[str, Any] = getattr(frame.f_locals.get("self"), "__dict__", {})
        files: list[Any] = [fields.get("storage"), *dict[str, Any](fields.get("collections") or {}).values()]
        for file in files:
            if file is not None:
                file.close()


def _confine_pickle() -> None:
    """Replace the unpickler of the client, which would run code that a folder names.

    Raises:
        VectorStoreError: this version of the client has no unpickler where it is expected.
    """
    persistence: Any = import_module("qdrant_client.local.persistence")
    if getattr(persistence, "pickle", None) not in (pickle, _PointPickles):
        raise VectorStoreError(
            "This version of qdrant-client reads folders in a way that Compozy has not checked",
            hint="run a Qdrant server and set its `url`, or install qdrant-client 1.20",
        )
    persistence.pickle = _PointPickles
