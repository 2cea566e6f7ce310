"""Generated files are up to date, and the code follows the house rules that a machine can check."""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from compozy.cli.project import SchemaKind
from compozy.database.migrate import REVISIONS
from tests.conftest import RunCli
from tests.generated.sources import nodes_of, text_of, tree_of
from tests.generated.walls import find_circles, find_dialect_tests, find_foreign_imports, find_sql

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/compozy"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES, MAX_FUNCTION_LINES = 400, 50
# Sources of time and randomness. Templates have functions of that name, which get them from outside.
CLOCK_AND_CHANCE = {"clock.py", "ids.py"}
CHANCE_MODULES = {"random", "secrets", "uuid"}
CLOCK_CALLS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.urandom"),
}
# Never called: each kind of value defines how it is shown, and the compiler builds `and` and `or` itself.
ABSTRACT = {("template/values.py", "show"), ("template/functions/builtins.py", "decide")}


def source_name(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def in_all_files(find: Callable[[Path], Iterator[str]]) -> list[str]:
    """Return the findings of all modules: one test for all, since a test for each would take most of the time."""
    return [f"{source_name(file)}: {found}" for file in FILES for found in find(file)]


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from nodes_of(file, ast.FunctionDef)
    yield from nodes_of(file, ast.AsyncFunctionDef)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value).rpartition('.')[2]}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


# Generated files.


@pytest.mark.parametrize("kind", SchemaKind)
def test_the_schemas_are_up_to_date(cli: RunCli, kind: SchemaKind) -> None:
    name = "compozy" if kind is SchemaKind.project else kind.value
    stored = (ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    assert cli("schema", kind.value).out == stored, "run `make schema`"


@pytest.mark.parametrize("name", ["compozy", "workflow"])
def test_the_schemas_follow_the_standard(name: str) -> None:
    stored = (ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    Draft202012Validator.check_schema(json.loads(stored))


# The walls.


def import_linter() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def top_level() -> set[str]:
    folders = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").exists()}
    return folders | {file.stem for file in SOURCE.glob("*.py") if file.stem not in {"__init__", "__main__"}}


def test_every_package_has_its_layer() -> None:
    layers = import_linter()["importlinter:contract:layers"]
    assert layers.getboolean("exhaustive")
    named = re.split(r"[\s|:]+", layers["layers"].strip())
    assert sorted(named) == sorted(top_level())
    assert len(named) == len(set(named))


def test_the_walls_are_respected() -> None:
    assert find_foreign_imports(SOURCE) == []
    assert find_sql(SOURCE) == []
    assert find_dialect_tests(SOURCE) == []
    assert find_circles(SOURCE) == []


def test_each_violation_of_a_wall_is_found(tmp_path: Path) -> None:
    files = {
        # A package that is not listed.
        "brand_new/engine.py": "def run():\n    from dbos import DBOS\n",
        "workflow/direct.py": "import psycopg.rows\n",
        "agent/named.py": "from importlib import import_module\nengine = import_module('dbos')\n",
        "agent/part.py": "import importlib\nengine = importlib.import_module(f'dbos.{part}')\n",
        "cli/query.py": "import sqlalchemy as sa\nquery = sa.select(1)\n",
        "cli/select.py": "from sqlalchemy import select\nquery = select(1)\n",
        "server/raw.py": "def ask(connection):\n    connection.exec_driver_sql('SELECT 1')\n",
        "upkeep/which.py": "def is_file(database):\n    return database.driver.name == 'sqlite'\n",
        "app.py": "def which(kind):\n    match kind:\n        case 'postgres':\n            return 1\n",
        "bench/listed.py": "def is_file(name):\n    return name in ('sqlite',)\n",
        "bench/member.py": "def is_file(driver):\n    return driver is Driver.SQLITE\n",
        "bench/table.py": "def port(name):\n    return {'postgres': 5432, 'sqlite': 0}[name]\n",
        "bench/url.py": "def is_server(url):\n    return url.startswith('postgresql')\n",
        "task/one.py": "from compozy.task import two\n",
        "task/two.py": "def later():\n    from compozy.task.one import run\n",
        # Code that is allowed.
        "durable/fine.py": "import dbos\nimport sqlalchemy as sa\nquery = sa.select(1)\n",
        "config/fine.py": "def is_file(driver):\n    return driver == 'sqlite'\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert find_foreign_imports(tmp_path) == [
        "agent/named.py:2 imports dbos",
        "agent/part.py:2 imports dbos",
        "brand_new/engine.py:2 imports dbos",
        "workflow/direct.py:1 imports psycopg",
    ]
    assert find_sql(tmp_path) == [
        "cli/query.py:2 builds SQL",
        "cli/select.py:1 imports builders of SQL",
        "server/raw.py:2 builds SQL",
    ]
    assert find_dialect_tests(tmp_path) == [
        "app.py:3 asks which database it is",
        *(f"bench/{name}.py:2 asks which database it is" for name in ("listed", "member", "table", "url")),
        "upkeep/which.py:2 asks which database it is",
    ]
    assert find_circles(tmp_path) == ["compozy.task.one -> compozy.task.two"]


def test_the_main_path_names_functions_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    lines = text.partition("### The main path")[2].split("```")[1].strip().splitlines()
    assert len(lines) > 10
    for line in lines:
        path, name = line.split()[:2]
        source = (SOURCE / path).read_text(encoding="utf-8")
        assert re.search(rf"^ *(async def|def|class) {name}\b", source, flags=re.MULTILINE), line


# The house rules.


def find_sizes(file: Path) -> Iterator[str]:
    if (length := len(text_of(file).splitlines())) > MAX_LINES:
        yield f"{length} lines"
    for function in functions(file):
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES:
            yield f"{function.name} has {length} lines"


def test_sizes() -> None:
    assert in_all_files(find_sizes) == []


def test_files_of_tests_are_not_longer() -> None:
    lengths = {file: len(text_of(file).splitlines()) for file in (ROOT / "tests").rglob("*.py")}
    assert len(lengths) > 100
    assert {file.name: length for file, length in lengths.items() if length > MAX_LINES} == {}


def find_time_and_chance(file: Path) -> Iterator[str]:
    # The template engine is independent: it has its own source, which the writer of its reference page replaces.
    alone = {"template/functions/sources.py", "template/reference.py"}
    if source_name(file) in CLOCK_AND_CHANCE | alone:
        return
    yield from (f"line {node.lineno}" for node in nodes_of(file, ast.Call) if dotted(node.func) in CLOCK_CALLS)
    imports = [(node.lineno, [alias.name for alias in node.names]) for node in nodes_of(file, ast.Import)]
    imports += [(node.lineno, [node.module or ""]) for node in nodes_of(file, ast.ImportFrom)]
    for line, names in imports:
        if CHANCE_MODULES & {name.split(".")[0] for name in names}:
            yield f"line {line}"


def test_time_and_chance_come_from_one_place() -> None:
    assert in_all_files(find_time_and_chance) == []


def find_unfinished(file: Path) -> Iterator[str]:
    text = text_of(file)
    for function in functions(file):
        raised = [dotted(exc.func if isinstance(exc, ast.Call) else exc) for exc in _raised(function)]
        if "NotImplementedError" in raised and (source_name(file), function.name) not in ABSTRACT:
            yield function.name
    yield from re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", text)
    yield from re.findall(r"type: ignore(?!\[)|pyright: ignore(?!\[)|noqa(?!: [A-Z])", text)


def test_nothing_is_left_unfinished() -> None:
    assert in_all_files(find_unfinished) == []


def _raised(function: ast.AST) -> Iterator[ast.expr]:
    yield from (node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None)


def find_code_in_packages(file: Path) -> Iterator[str]:
    if file.name != "__init__.py":
        return
    tree = tree_of(file)
    if not ast.get_docstring(tree):
        yield "no docstring"
    for node in tree.body[1:]:
        is_fact = isinstance(node, ast.Assign) and dotted(node.targets[0]) in {"__all__", "__version__"}
        if not is_fact and not isinstance(node, (ast.Import, ast.ImportFrom)):
            yield f"line {node.lineno}"


def test_a_package_starts_with_its_purpose() -> None:
    assert in_all_files(find_code_in_packages) == []


@pytest.mark.parametrize(
    ("find", "name", "text", "found"),
    [
        (find_sizes, "long.py", "x = 1\n" * (MAX_LINES + 1), f"{MAX_LINES + 1} lines"),
        (
            find_sizes,
            "f.py",
            "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES,
            f"f has {MAX_FUNCTION_LINES + 1} lines",
        ),
        (find_time_and_chance, "now.py", "import time\nx = time.time()\n", "line 2"),
        (find_time_and_chance, "chance.py", "from random import choice\n", "line 1"),
        (find_unfinished, "left.py", "def f():\n    raise NotImplementedError\n", "f"),
        (find_unfinished, "later.py", "x = 1  # TODO\n", "TODO"),
        (find_code_in_packages, "__init__.py", '"""A package."""\nx = 1\n', "line 2"),
    ],
)
def test_each_rule_finds_its_violation(
    find: Callable[[Path], Iterator[str]],
    name: str,
    text: str,
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.generated.test_house.SOURCE", tmp_path)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert list(find(tmp_path / name)) == [found]


def test_errors_are_in_one_file_and_each_has_its_codes() -> None:
    from compozy import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CompozyError)]
    tree = (errors.__doc__ or "").replace("─", "")
    for kind in kinds:
        line = next(line for line in tree.splitlines() if re.search(rf"\b{kind.__name__}\b", line))
        if kind is not errors.CompozyError:
            codes = [kind.code, str(kind.exit_status), str(kind.http_status)]
            assert line.split(kind.__name__)[1].split()[:3] == codes, kind.__name__
    assert len({kind.code for kind in kinds}) == len(kinds)


def find_errors_outside_the_tree(file: Path) -> Iterator[str]:
    if source_name(file) == "errors.py":
        return
    for node in nodes_of(file, ast.ClassDef):
        bases = {dotted(base) for base in node.bases}
        if "DontWrapMixin" in bases:
            continue  # a UsageError that SQLAlchemy lets pass; errors.py knows nothing of SQLAlchemy
        if bases & {"CompozyError", "DatabaseError", "RunError", "UsageError"}:
            yield node.name


def test_errors_are_raised_from_the_tree() -> None:
    assert in_all_files(find_errors_outside_the_tree) == []


def test_every_dialect_has_the_same_revisions() -> None:
    folders = [path for path in (SOURCE / "database/migrations").iterdir() if (path / "versions").is_dir()]
    for folder in folders:
        found = sorted(file.stem.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py"))
        assert tuple(found) == REVISIONS, folder.name
