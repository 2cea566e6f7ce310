"""The process of a Python tool: loads one function and calls it. Runs under any Python 3.10 or later, without Compozy.

The first line of standard input is the request. The result is written to the file descriptor that it names. What the
function prints goes to standard error. If standard input ends, Compozy has ended, and so does this process group.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import logging
import os
import re
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CONTEXT = "ctx"
_ARGS = re.compile(r"^\s*(?:Args|Arguments|Parameters):\s*$")
_ARG = re.compile(r"^\s+(\*{0,2}\w+)(?:\s*\([^)]*\))?\s*:\s*(.*)$")
_NO_PYDANTIC = "the arguments are described by type hints, which needs `pydantic`; install it, or write `input`"


class Context:
    """The argument `ctx` of tools that have a parameter of this name.

    Attributes:
        idempotency_key: the same for each repetition of a call; pass it on to services that accept one.
        execution_id: ID of the run.
        task: path of the task in the run.
        config: `config` of the tool.
        logger: writes to the log of Compozy.
        cancelled: set shortly before the process is ended.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.idempotency_key: str = request.get("idempotency_key", "")
        self.execution_id: str = request.get("execution_id", "")
        self.task: str = request.get("task", "")
        self.config: dict[str, Any] = request.get("config") or {}
        self.logger = logging.getLogger("compozy.tool")
        self.cancelled = threading.Event()


class ToolFaultError(Exception):
    """The function cannot be loaded or described."""


def load_function(file: str, name: str) -> Callable[..., Any]:
    """Return the function `name` of a file."""
    folder = str(Path(file).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise ToolFaultError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        known = sorted(key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_")
        raise ToolFaultError(f"{Path(file).name} has no function {name!r}; it has {', '.join(known) or 'none'}")
    return function


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """Return `{"description", "schema"}` of a function, by its docstring and its type hints."""
    text = inspect.getdoc(function) or ""
    model = _model_of(function)
    return {"description": _summary(text), "schema": model.model_json_schema() if model is not None else None}


def invoke(function: Callable[..., Any], given: dict[str, Any], context: Context, *, is_typed: bool) -> Any:
    """Call a function with arguments that are converted to the types of its parameters; it may be a coroutine."""
    arguments = _converted(function, given) if is_typed else dict(given)
    if _CONTEXT in inspect.signature(function).parameters:
        arguments[_CONTEXT] = context
    result = function(**arguments)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def to_json(value: Any) -> str:
    """Return a result as JSON; models, dataclasses, dates and the like are converted where Pydantic is installed."""
    try:
        from pydantic_core import to_jsonable_python
    except ImportError:
        return json.dumps(value, allow_nan=False)
    return json.dumps(to_jsonable_python(value), allow_nan=False)


def _converted(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    model = _model_of(function)
    if model is None:
        return dict(given)
    read = model.model_validate(given)
    names = {name: field.alias for name, field in model.model_fields.items()}
    # A parameter that is left out keeps the default of the function.
    return {names[name]: getattr(read, name) for name in read.model_fields_set}


def _model_of(function: Callable[..., Any]) -> Any | None:
    """Return a Pydantic model of the parameters; None if Pydantic is not installed."""
    try:
        from pydantic import ConfigDict, Field, create_model
    except ImportError:
        return None
    described = _arguments(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    for index, (name, parameter) in enumerate(inspect.signature(function, eval_str=True).parameters.items()):
        if name == _CONTEXT:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolFaultError(f"the parameter {name!r} cannot be given by name")
        hint = Any if parameter.annotation is parameter.empty else parameter.annotation
        default = ... if parameter.default is parameter.empty else parameter.default
        # Names of parameters can be names that Pydantic uses itself, so they become aliases.
        fields[f"field_{index}"] = (hint, Field(default, alias=name, title=None, description=described.get(name)))
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    return create_model(function.__name__, __config__=config, **fields)


def _summary(text: str) -> str:
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if _ARGS.match(line) or line.rstrip() == "Returns:"), None)
    return "\n".join(lines[:end]).strip()


def _arguments(text: str) -> dict[str, str]:
    """Return what a docstring in Google's style says about the parameters."""
    found: dict[str, str] = {}
    inside, last = False, ""
    for line in text.splitlines():
        if _ARGS.match(line):
            inside = True
        elif inside and line.strip() and not line.startswith((" ", "\t")):
            break
        elif inside and (match := _ARG.match(line)):
            last = match[1]
            found[last] = match[2].strip()
        elif inside and last and line.strip():
            found[last] += " " + line.strip()
    return found


def answer(request: dict[str, Any], context: Context, *, prints_traces: bool) -> str:
    """Return the JSON text that answers a request: `{"ok": value}` or `{"error": text}`."""
    try:
        function = load_function(request["file"], request["function"])
        if request["verb"] == "describe":
            return to_json({"ok": describe(function)})
        return to_json({"ok": invoke(function, request["input"], context, is_typed=request["is_typed"])})
    except ToolFaultError as error:
        return json.dumps({"error": str(error)})
    except MemoryError:
        return json.dumps({"error": "the tool needs more memory than `limits.memory` allows"})
    except BaseException as error:  # noqa: BLE001 - whatever a tool raises is an answer to the model
        if prints_traces:
            traceback.print_exc()
        return json.dumps({"error": f"{type(error).__name__}: {error}"[:4000]})


def _limit(request: dict[str, Any]) -> None:
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, request["memory"]), (resource.RLIMIT_CPU, request["cpu"])]
    for which, value in limits:
        _, hard = resource.getrlimit(which)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (lowest, lowest))


def _take_input() -> tuple[dict[str, Any], int]:
    """Return the request, and the descriptor that ends with Compozy; the tool and its children get no input."""
    line = sys.stdin.buffer.readline()
    kept = os.dup(0)
    os.set_inheritable(kept, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return json.loads(line), kept


def _end_with_parent(kept: int) -> None:
    while os.read(kept, 65536):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Answer the request on standard input."""
    request, kept = _take_input()
    os.set_inheritable(request["fd"], False)
    os.dup2(2, 1)
    _limit(request)
    for folder in reversed(request["path"]):
        sys.path.insert(0, folder)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    context = Context(request)

    def cancel(*_: object) -> None:
        context.cancelled.set()

    signal.signal(signal.SIGTERM, cancel)
    threading.Thread(target=_end_with_parent, args=(kept,), daemon=True).start()
    text = answer(request, context, prints_traces=True)
    with os.fdopen(request["fd"], "wb") as out:
        out.write(text.encode() + b"\n")
    sys.stderr.flush()
    # Threads of the tool that are still running do not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
