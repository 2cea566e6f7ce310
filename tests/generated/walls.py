"""Finds forbidden code by reading the source: imports, SQL, dialect tests, import circles.

Each function takes the folder of a package tree and returns its findings, one line each. A new package has no
permissions until it is listed here.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.generated.sources import tree_of

# Library -> the packages that may import it. Every other package may not.
IMPORTERS: Mapping[str, frozenset[str]] = {
    "dbos": frozenset({"durable"}),
    "pydantic_ai": frozenset({"agent", "model"}),
    "genai_prices": frozenset({"model"}),
    "typer": frozenset({"cli"}),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "fastapi": frozenset({"server"}),
    "starlette": frozenset({"server"}),
    "uvicorn": frozenset({"server"}),
    "mcp": frozenset({"tool", "server"}),
    "mcp_types": frozenset({"tool", "server"}),
    "joserfc": frozenset({"auth"}),
    "alembic": frozenset({"database"}),
    "prometheus_client": frozenset({"telemetry"}),
    "opentelemetry": frozenset({"telemetry"}),
    "psycopg": frozenset({"database"}),
    "sqlite3": frozenset({"database", "knowledge"}),
}
# Packages that may build statements: the queries, the journal, export documents, and the stores with their SQL.
SQL = ("database/", "durable/", "transfer/", "knowledge/store/")
# Packages that may check which database is in use: the drivers, and the rules of their settings.
DIALECTS = ("database/", "config/")
_BUILDERS = frozenset({"select", "insert", "update", "delete", "text", "union", "union_all"})
_SQLALCHEMY = frozenset({"sa", "sqlalchemy"})
_NAMES = frozenset({"sqlite", "postgres", "postgresql"})


def find_foreign_imports(source: Path) -> list[str]:
    """Return each import of a library by a package that is not among its importers."""
    found: list[str] = []
    for file, tree in _modules(source):
        package = file.split("/")[0].removesuffix(".py")
        for node in ast.walk(tree):
            for name in _imported(node):
                library = name.split(".")[0]
                if library in IMPORTERS and package not in IMPORTERS[library]:
                    found.append(f"{file}:{getattr(node, 'lineno', 0)} imports {library}")
    return found


def find_sql(source: Path) -> list[str]:
    """Return each SQL statement that is built outside the packages of SQL."""
    found: list[str] = []
    for file, tree in _modules(source):
        if file.startswith(SQL):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
                if _BUILDERS.intersection(alias.name for alias in node.names):
                    found.append(f"{file}:{node.lineno} imports builders of SQL")
                continue
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if node.func.attr == "exec_driver_sql" or (owner in _SQLALCHEMY and node.func.attr in _BUILDERS):
                found.append(f"{file}:{node.lineno} builds SQL")
    return found


def find_dialect_tests(source: Path) -> list[str]:
    """Return each comparison with the name of a database outside the drivers."""
    found: list[str] = []
    for file, tree in _modules(source):
        if file.startswith(DIALECTS):
            continue
        for node in ast.walk(tree):
            if any(_names_database(part) for compared in _compared(node) for part in ast.walk(compared)):
                found.append(f"{file}:{getattr(node, 'lineno', 0)} asks which database it is")
    return found


def _compared(node: ast.AST) -> list[ast.expr]:
    """Return the values that a node compares, looks up or matches."""
    match node:
        case ast.Compare():
            return [node.left, *node.comparators]
        case ast.MatchValue():
            return [node.value]
        case ast.Subscript(value=ast.Dict() as table) | ast.Call(func=ast.Attribute(value=ast.Dict() as table)):
            return [key for key in table.keys if key is not None]
        case ast.Call(func=ast.Attribute(attr="startswith" | "endswith" | "removeprefix"), args=args):
            return args
        case _:
            return []


def _names_database(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in _NAMES
    return isinstance(node, ast.Attribute) and node.attr.lower() in _NAMES


def find_circles(source: Path, package: str = "compozy") -> list[str]:
    """Return each circle of modules that import one another: at the top, in a function, or for types."""
    modules = {_module_name(file, package): tree for file, tree in _modules(source)}
    graph = {name: _project_imports(tree, modules.keys() - {name}) for name, tree in modules.items()}
    return [" -> ".join(sorted(circle)) for circle in _strong_components(graph) if len(circle) > 1]


@cache
def _modules(source: Path) -> tuple[tuple[str, ast.Module], ...]:
    files = sorted(source.rglob("*.py"))
    return tuple((file.relative_to(source).as_posix(), tree_of(file)) for file in files)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    return _imported_by_name(node)


def _imported_by_name(node: ast.AST) -> list[str]:
    """Return the module of `import_module("x")`, also if its name is composed: `import_module(f"x.{y}")`."""
    if not isinstance(node, ast.Call) or not node.args:
        return []
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in {"import_module", "__import__"}:
        return []
    name = node.args[0]
    start = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
    return [start.value] if isinstance(start, ast.Constant) and isinstance(start.value, str) else []


def _module_name(file: str, package: str) -> str:
    return f"{package}.{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"


def _project_imports(tree: ast.Module, known: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        found.update(name for name in _imported(node) if name in known)
        if isinstance(node, ast.ImportFrom) and node.module:
            # `from compozy.database import backup` imports the module below, not only the package.
            below = {f"{node.module}.{alias.name}" for alias in node.names} & known
            if below:
                found.discard(node.module)
            found.update(below)
    return found


def _strong_components(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach one another (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for below in sorted(graph[node]):
            if below not in index:
                visit(below)
                low[node] = min(low[node], low[below])
            elif below in stack:
                low[node] = min(low[node], index[below])
        if low[node] == index[node]:
            at = stack.index(node)
            groups.append(stack[at:])
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return groups
