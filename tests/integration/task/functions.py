"""A project with Python functions as tools, and workflows that call them."""

from __future__ import annotations

import json
from typing import Any

from compozy.tool.kind import ToolHome
from tests.harness.runs import Ran

FUNCTIONS = '''
import time
from pathlib import Path


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def slow(n: int) -> int:
    time.sleep(0.05 * (3 - n))
    return n


def broken(text: str) -> str:
    raise ValueError(f"no {text}")


def big(size: int) -> str:
    return "x" * size


def pay(amount: float, ctx) -> str:
    with open(Path(__file__).parent / "paid.txt", "a") as file:
        file.write(f"{ctx.idempotency_key} {amount}\\n")
    while ctx.config.get("rests") and not (Path(__file__).parent / "released").exists():
        time.sleep(0.01)
    return f"paid {amount}"


def status(amount: float, ctx) -> str:
    paid = Path(__file__).parent / "paid.txt"
    return "paid" if paid.exists() and ctx.idempotency_key in paid.read_text() else "not paid"
'''
IN_PROCESS = "runtime: python-inprocess"


def tool(name: str, *more: str) -> str:
    """Return a tool of this file's functions, as a flow mapping."""
    return "{" + ", ".join([f"id: {name}", f"run: 'functions.py:{name}'", IN_PROCESS, *more]) + "}"


def workflow(*tools: str, more: str = "") -> str:
    """Return a workflow with one task, whose prompt is its input."""
    return f"""
        tasks:
          - id: ask
            prompt: "{{{{ .input.prompt }}}}"
            tools: [{", ".join(tools)}]
            {more}
        output: {{said: "{{{{ .tasks.ask.output.text }}}}"}}
    """


def rounds(*calls: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the input that lets the model make these calls, one list for each answer."""
    return {"prompt": "tools: " + json.dumps([[{"tool": t, "arguments": a} for t, a in each] for each in calls])}


def said(ran: Ran) -> Any:
    """Return the results that the model got, from its last answer."""
    return json.loads(ran.output["said"])


def paid_lines(home: ToolHome) -> list[str]:
    """Return the lines that `pay` wrote outside of any database."""
    file = home.root / "paid.txt"
    return file.read_text().splitlines() if file.exists() else []
