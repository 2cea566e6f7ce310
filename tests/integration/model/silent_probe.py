"""Asks the local model for text and for a value, and counts the TCP ports that this process listens on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import JsonValue

from compozy.agent.run import AgentRequest, run_agent
from compozy.model.catalog import ModelCatalog
from compozy.model.config import ProviderConfig

LISTEN = "0A"
# llama.cpp does not support this pattern, and would report it on stderr; every string matches it.
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "string", "pattern": "^[\\s\\S]*$", "maxLength": 5}},
    "required": ["n"],
}


async def main() -> None:
    config = ProviderConfig.model_validate({"id": "local", "type": "local", "max_tokens": 40})
    models = ModelCatalog([config], missing_keys={}, environ={}, base_dir=Path())

    async def checkpoint(name: str, call: Callable[[], Awaitable[JsonValue]], /) -> JsonValue:
        return await call()

    request = AgentRequest(execution_id="e", task_id="t", path="t", first_run_index=0, config=None, prompt="Say hi.")
    result = await run_agent(request, models, checkpoint=checkpoint)
    structured = AgentRequest(
        execution_id="e", task_id="u", path="u", first_run_index=1, config=None, prompt="Say hi.", output_schema=SCHEMA
    )
    await run_agent(structured, models, checkpoint=checkpoint)
    print("answered," if result.text else "silent,", len(own_listeners()), "listening")


def own_listeners() -> set[str]:
    """Return the listening TCP sockets among the descriptors of this process."""
    own = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {row[9] for row in rows if row[3] == LISTEN and f"socket:[{row[9]}]" in own}


asyncio.run(main())
