"""JSON Schema 2020-12: checks schemas, fills in defaults, and validates values."""

from __future__ import annotations

from compozy.schema.check import check_schema
from compozy.schema.keys import find_unlisted, is_closed, listed_keys
from compozy.schema.problem import Problem
from compozy.schema.validate import apply_defaults, validate_value

__all__ = ["Problem", "apply_defaults", "check_schema", "find_unlisted", "is_closed", "listed_keys", "validate_value"]
