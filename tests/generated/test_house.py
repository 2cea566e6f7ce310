"""What is generated is up to date, and the rules of the house that a machine can check hold."""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.bench.result import bench_schema
from compozy.database.migrate import REVISIONS
from compozy.project.jsonschema import editor_schemas
from compozy.transfer.schema import export_schema
from tests.generated.walls import find_circles, find_dialect_tests, find_foreign_imports, find_sql

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/compozy"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES, MAX_FUNCTION_LINES = 400, 50
# Where the time of day and chance come from; templates have functions of that name, which take them from outside.
CLOCK_AND_CHANCE = {"clock.py", "ids.py"}
CHANCE_MODULES = {"random", "secrets", "uuid"}
CLOCK_CALLS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.urandom"),
}
# Never called: each kind of value says how it is shown, and the compiler builds `and` and `or` itself.
ABSTRACT = {("template/values.py", "show"), ("template/functions/builtins.py", "decide")}


def source_name(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value).rpartition('.')[2]}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


# Generated files.


@pytest.mark.parametrize("kind", ["project", "workflow", "agent", "task", "tool", "export", "bench"])
def test_the_schemas_are_what_the_command_prints(kind: str) -> None:
    name = "compozy" if kind == "project" else kind
    known = {f"{name}.schema.json": found for name, found in (("export", export_schema()), ("bench", bench_schema()))}
    schema = {**editor_schemas(), **known}[f"{name}.schema.json"]
    stored = (ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8")
    assert json.loads(stored) == schema, "run `make schema`"
    printed = subprocess.run(
        [sys.executable, "-c", "from compozy.cli.main import main; main()", "schema", kind],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == stored, "run `make schema`"


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


def test_the_walls_hold() -> None:
    assert find_foreign_imports(SOURCE) == []
    assert find_sql(SOURCE) == []
    assert find_dialect_tests(SOURCE) == []
    assert find_circles(SOURCE) == []


def test_each_wall_falls_where_it_is_broken(tmp_path: Path) -> None:
    files = {
        # A package that nobody has listed.
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
        # And what may do so.
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


@pytest.mark.parametrize("file", FILES, ids=source_name)
def test_sizes(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    for function in functions(tree_of(file)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MAX_FUNCTION_LINES, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("file", FILES, ids=source_name)
def test_time_and_chance_come_from_one_place(file: Path) -> None:
    # The template engine stands alone: it has its own place, which the writer of its reference page replaces.
    alone = {"template/functions/sources.py", "template/reference.py"}
    if source_name(file) in CLOCK_AND_CHANCE | alone:
        return
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in CLOCK_CALLS, f"line {node.lineno}"
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not CHANCE_MODULES & {name.split(".")[0] for name in names}, f"line {getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("file", FILES, ids=source_name)
def test_nothing_is_left_for_later(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for function in functions(tree_of(file)):
        raised = [dotted(exc.func if isinstance(exc, ast.Call) else exc) for exc in _raised(function)]
        assert "NotImplementedError" not in raised or (source_name(file), function.name) in ABSTRACT, function.name
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"type: ignore(?!\[)|pyright: ignore(?!\[)|noqa(?!: [A-Z])", text)


def _raised(function: ast.AST) -> Iterator[ast.expr]:
    yield from (node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None)


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=source_name)
def test_a_package_begins_with_its_purpose(file: Path) -> None:
    tree = tree_of(file)
    assert ast.get_docstring(tree)
    for node in tree.body[1:]:
        is_fact = isinstance(node, ast.Assign) and dotted(node.targets[0]) in {"__all__", "__version__"}
        assert is_fact or isinstance(node, (ast.Import, ast.ImportFrom)), f"line {node.lineno}"


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


@pytest.mark.parametrize("file", FILES, ids=source_name)
def test_errors_are_raised_from_the_tree(file: Path) -> None:
    if source_name(file) == "errors.py":
        return
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.ClassDef):
            bases = {dotted(base) for base in node.bases}
            if "DontWrapMixin" in bases:
                continue  # a UsageError that SQLAlchemy lets pass; errors.py knows nothing of SQLAlchemy
            assert not bases & {"CompozyError", "DatabaseError", "RunError", "UsageError"}, node.name


def test_every_dialect_has_the_same_revisions() -> None:
    folders = [path for path in (SOURCE / "database/migrations").iterdir() if (path / "versions").is_dir()]
    for folder in folders:
        found = sorted(file.stem.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py"))
        assert tuple(found) == REVISIONS, folder.name
