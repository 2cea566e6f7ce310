"""CEL, the Common Expression Language, over JSON data: bounded in time and size, without access to Python objects."""

from compozy.expression.expression import (
    Expression,
    Problem,
    check,
    check_condition,
    compile,  # noqa: A004 - as re.compile
    evaluate,
    evaluate_condition,
    names_in,
)
from compozy.expression.limits import Limits
from compozy.expression.references import Reference

__all__ = [
    "Expression",
    "Limits",
    "Problem",
    "Reference",
    "check",
    "check_condition",
    "compile",
    "evaluate",
    "evaluate_condition",
    "names_in",
]
