"""Prints the OpenAPI document of the API, from which the web page gets its types: `make schema` writes it."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any, cast

from compozy.server.http import make_api
from compozy.server.service import Service


@cache
def make_document() -> dict[str, Any]:
    """Return the OpenAPI document without the version of Compozy."""
    # Descriptions of routes need no running service.
    document = make_api(cast("Service", None)).openapi()
    return {**document, "info": {"title": document["info"]["title"], "version": "0"}}


def write_document() -> str:
    """Return the text of `web/openapi.json`."""
    return json.dumps(make_document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(write_document())
