"""The base of the models that are read from files."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of everything that is read from a file: unknown keys are errors, values don't change afterwards."""

    # Most models are validated only as a part of others: built at first use, they save a tenth of a second and 7 MB.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True, defer_build=True
    )
