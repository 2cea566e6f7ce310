"""`compozy workflow graph`: the drawing of one workflow."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING

from compozy.cli.output import print_json, print_line

if TYPE_CHECKING:
    from compozy.client import Document


class GraphFormat(StrEnum):
    """How a drawing is written to stdout."""

    text = "text"
    mermaid = "mermaid"
    json = "json"


def print_graph(document: Document, kind: GraphFormat) -> None:
    """Print a drawing; `document` is `{"mermaid", "text", "ascii"}`."""
    if kind is GraphFormat.json:
        print_json(document)
        return
    key = "ascii" if kind is GraphFormat.text and os.environ.get("NO_UNICODE") else kind.value
    print_line(str(document[key]).rstrip("\n"))
