"""Modules as syntax trees, parsed once for all tests of the source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree_of(file: Path) -> ast.Module:
    """Return the syntax tree of a module, of the program or of tests."""
    return ast.parse(file.read_text(encoding="utf-8"))
