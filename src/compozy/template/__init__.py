"""Go's text/template with Sprig's functions over JSON data: exact, bounded, and without access to Python objects."""

from compozy.template.functions import FUNCTION_NAMES
from compozy.template.limits import Limits
from compozy.template.machine import Dialect, Escape, MissingKey
from compozy.template.references import Reference
from compozy.template.template import Template, compile, has_actions  # noqa: A004 - as re.compile

__all__ = [
    "FUNCTION_NAMES",
    "Dialect",
    "Escape",
    "Limits",
    "MissingKey",
    "Reference",
    "Template",
    "compile",
    "has_actions",
]
