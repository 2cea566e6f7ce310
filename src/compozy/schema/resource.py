"""Shared JSON Schemas as they are written in a file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SchemaResource(BaseModel):
    """A shared JSON Schema: a file in `schemas/`, or an item of `schemas`. Its other keys are those of the schema."""

    model_config = ConfigDict(extra="allow", frozen=True)

    resource: Literal["schema"] = Field(default="schema", description="Kind of file, for files that `autoload` finds.")
    id: str = Field(min_length=1, max_length=128, description="Name of the schema, unique in the project.")
