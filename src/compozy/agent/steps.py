"""Names of the steps in which an agent records its model requests. Loads no model library."""

from __future__ import annotations

_SUFFIX = ".model.request"


def request_step(path: str) -> str:
    """Return the name of the steps that record the model requests of the task at `path`."""
    return f"{path}{_SUFFIX}"


def path_of_request(name: str) -> str | None:
    """Return the path of the task whose model requests the step `name` records, None for any other step."""
    return name.removesuffix(_SUFFIX) if name.endswith(_SUFFIX) else None
