"""The few functions that take null in dialect compozy, where Go refuses it or prints `<no value>`."""

from __future__ import annotations

from typing import Any, NoReturn

from compozy.template.functions.registry import PARAMS, REGISTRY, Function
from compozy.template.values import GoError

LENIENT: dict[str, Function] = {}
