"""The functions of the language, one module for each group, and the tables of them by dialect."""

from compozy.template.functions.catalog import FUNCTION_NAMES, FUNCTIONS, LEFT_OUT

__all__ = ["FUNCTIONS", "FUNCTION_NAMES", "LEFT_OUT"]
