"""Reference pages that are generated from the program. Each module writes one page; `make pages` writes all."""

from __future__ import annotations

from collections.abc import Callable

from tests.generated.pages.built_in_tools import write_built_in_tools
from tests.generated.pages.commands import write_commands
from tests.generated.pages.configuration import write_configuration
from tests.generated.pages.errors import write_errors
from tests.generated.pages.workflow import write_workflow

PAGES: dict[str, Callable[[], str]] = {
    "agents/built-in-tools": write_built_in_tools,
    "reference/cli": write_commands,
    "reference/configuration": write_configuration,
    "reference/errors": write_errors,
    "reference/workflow": write_workflow,
}
"""Page -> the function that writes it."""
