"""Generated pages are up to date and complete."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from compozy import errors
from compozy.config.layers import VARIABLES
from compozy.config.shape import keys_of_field
from compozy.errors import CompozyError
from compozy.model.registry import PROVIDERS
from compozy.project.file import ProjectFile
from compozy.task.options import TaskBase
from compozy.task.registry import KINDS
from compozy.trigger.registry import TRIGGER_KINDS, TriggerBase
from compozy.workflow.config import WorkflowConfig
from tests.docs.pages import read_page
from tests.generated.pages import PAGES
from tests.generated.pages.commands import GUIDES, SHARED, all_commands
from tests.generated.pages.configuration import OTHER_VARIABLES, all_parts
from tests.generated.pages.errors import ABSTRACT, DIAGNOSTIC_CODES, EXIT_CODES, groups, shown_codes
from tests.generated.pages.markdown import DOCS, prose
from tests.generated.pages.models import models_in
from tests.generated.pages.workflow import PARTS
from tests.generated.sources import nodes_of, text_of
from tests.generated.test_house import FILES

# Variables of other programs, and variables that only the image sets.
_NOT_OURS = {"PATH", "TERM", "LC_ALL", "PYDANTIC_DISABLE_PLUGINS", "COMPOZY_RUN_AS", "COMPOZY_HAND_OVER"}


def _models_below(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    waiting = [model]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += [kind.model for kind in KINDS.values()] if each is TaskBase else []
            waiting += [kind.model for kind in TRIGGER_KINDS.values()] if each is TriggerBase else []
            waiting += [below for info in each.model_fields.values() for below in models_in(info.annotation)]
    return found


@pytest.mark.parametrize(("name", "write"), PAGES.items(), ids=PAGES)
def test_a_page_is_what_the_program_writes(name: str, write: Callable[[], str]) -> None:
    assert (DOCS / f"{name}.mdx").read_text(encoding="utf-8") == write(), "run `make pages`"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_suits_a_phone(name: str) -> None:
    tables = [text for _, text in read_page(DOCS / f"{name}.mdx").prose if text.startswith("|")]
    assert all(row.count("|") <= 4 for row in tables)


def test_prose_is_not_markup() -> None:
    assert prose("Write it to {driver}.json, <b>, `{a}`; --move, DB_PATH, database.path") == (
        "Write it to `{driver}`.json, &#60;b&#62;, `{a}`; `--move`, `DB_PATH`, `database.path`"
    )


# Errors.


def test_every_error_is_on_the_page() -> None:
    text = (DOCS / "reference/errors.mdx").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == shown_codes()
    assert {kind.__name__ for kind in CompozyError.__subclasses__() if kind.__module__ == errors.__name__} == groups()


def test_every_exit_code_is_on_one_page() -> None:
    ends = {
        int(node.value.value)
        for file in FILES
        for node in nodes_of(file, ast.Assign)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, int)
        if any(re.fullmatch(r"_?(?:INTERRUPTED|TERMINATED)", ast.unparse(target)) for target in node.targets)
    }
    assert ends == {130, 143}
    assert EXIT_CODES.keys() == {0, *ends} | {kind.exit_status for kind in _error_classes(CompozyError)}
    tables = [path for path in DOCS.rglob("*.mdx") if re.search(r"^\| 130\b", path.read_text(), re.MULTILINE)]
    assert tables == [DOCS / "reference/errors.mdx"], "other pages link to the table"


def _error_classes(kind: type[CompozyError]) -> Iterator[type[CompozyError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _error_classes(below) if below.__module__ == errors.__name__ else ()


def test_kinds_that_are_left_out_are_never_raised() -> None:
    raised = {node.func.id for node in _calls() if isinstance(node.func, ast.Name)}
    assert not raised & ABSTRACT
    assert "CompozyError" not in raised


def test_every_diagnostic_code_is_on_the_page() -> None:
    given: set[str] = set()
    for call in _calls(importing="Diagnostic"):
        if isinstance(call.func, ast.Name) and call.func.id == "Diagnostic":
            code = next((word.value for word in call.keywords if word.arg == "code"), ast.Constant("invalid"))
            # Codes that are not constants come from an error of a template or an expression.
            given |= {str(code.value)} if isinstance(code, ast.Constant) else {"template_syntax", "expression_syntax"}
    assert given == DIAGNOSTIC_CODES.keys()


# Commands.


def test_every_command_and_option_is_on_the_page() -> None:
    page = (DOCS / "reference/cli.mdx").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^###? (compozy [a-z ]+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    commands = {" ".join(("compozy", *path)): command for path, command in all_commands()}
    assert sections.keys() == commands.keys()
    assert {path[0] for path, _ in all_commands()} == GUIDES.keys()
    for name, command in commands.items():
        if not hasattr(command, "commands"):
            shown = [each for each in command.params if not getattr(each, "hidden", False)]
            missing = [each.opts[0] for each in shown if not _is_named(each, sections[name])]
            assert not missing, name
    assert all(f"\n- `{option}`" in page for option in SHARED)


def _is_named(parameter: object, section: str) -> bool:
    option, metavar = getattr(parameter, "opts", [""])[0], getattr(parameter, "metavar", None)
    return f"`{option}`" in section or f"`{metavar or option.upper()}`" in section


# Settings and workflows.


def test_every_key_of_the_project_file_is_on_the_page() -> None:
    assert {part.model for part in all_parts()} | {ProjectFile} == _models_below(ProjectFile)
    dotted = {f"{part.path}.{key}" for part in all_parts() for key in _keys(part.model)}
    assert VARIABLES.keys() <= dotted


def test_every_key_of_a_workflow_is_on_the_page() -> None:
    kinds = (*KINDS.values(), *TRIGGER_KINDS.values())
    assert {WorkflowConfig, TaskBase, TriggerBase, *(kind.model for kind in kinds), *PARTS.values()} == _models_below(
        WorkflowConfig
    )


@pytest.mark.parametrize("model", sorted(_models_below(ProjectFile) | _models_below(WorkflowConfig), key=str), ids=str)
def test_every_key_is_described(model: type[BaseModel]) -> None:
    assert inspect.getdoc(model)
    assert not [name for name, info in model.model_fields.items() if not info.description and name != "type"]


def test_every_variable_is_on_the_page() -> None:
    """Variables that are read by name: `environ.get("X")`, `environ["X"]` and `"X" in environ`."""
    read = {
        name for file in FILES for name in re.findall(r"environ(?:\.get\(|\[)[\"']([A-Z][A-Z0-9_]+)", text_of(file))
    }
    read |= {kind.base_url_variable for kind in PROVIDERS.values()} - {""}
    settings = {name for names in VARIABLES.values() for name in names}
    settings |= {kind.key_variable for kind in PROVIDERS.values()}
    assert read - settings - _NOT_OURS == OTHER_VARIABLES.keys()


def _keys(model: type[BaseModel]) -> list[str]:
    return [key for name, info in model.model_fields.items() for key in keys_of_field(name, info)]


def _calls(*, importing: str = "") -> Iterator[ast.Call]:
    """Yield the calls in the program. With `importing`, only those of files that import this name from `errors`."""
    for file in FILES:
        if importing in {"", *_imported(file)}:
            yield from nodes_of(file, ast.Call)


def _imported(file: Path) -> Iterator[str]:
    for node in nodes_of(file, ast.ImportFrom):
        if node.module == "compozy.errors":
            yield from (alias.name for alias in node.names)
