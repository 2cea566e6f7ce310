"""Finds forbidden code by reading the source: imports, SQL, dialect tests, import circles.

Each function takes the folder of a package tree and returns its findings, one line each. A new package has no
permissions until it is listed here.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from tests.generated.sources import nodes_of

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
# Nodes that may import a module, and nodes that may compare a value with the name of a database.
_IMPORTING: tuple[type[ast.AST], ...] = (ast.ImportFrom, ast.Import, ast.Call)
_COMPARING: tuple[type[ast.AST], ...] = (ast.Compare, ast.MatchValue, ast.Subscript, ast.Call)


def find_foreign_imports(source: Path) -> list[str]:
    """Return each import of a library by a package that is not among its importers."""
    found: list[str] = []
    for name, file in _modules(source):
        package = name.split("/")[0].removesuffix(".py")
        for node in nodes_of(file, *_IMPORTING):
            for imported in _imported(node):
                library = imported.split(".")[0]
                if library in IMPORTERS and package not in IMPORTERS[library]:
                    found.append(f"{name}:{getattr(node, 'lineno', 0)} imports {library}")
    return found


def find_sql(source: Path) -> list[str]:
    """Return each SQL statement that is built outside the packages of SQL."""
    found: list[str] = []
    for name, file in _modules(source):
        if name.startswith(SQL):
            continue
        for node in nodes_of(file, ast.ImportFrom):
            is_sqlalchemy = (node.module or "").split(".")[0] == "sqlalchemy"
            if is_sqlalchemy and _BUILDERS.intersection(alias.name for alias in node.names):
                found.append(f"{name}:{node.lineno} imports builders of SQL")
        found += [f"{name}:{node.lineno} builds SQL" for node in nodes_of(file, ast.Call) if _builds_sql(node.func)]
    return found


def _builds_sql(called: ast.expr) -> bool:
    if not isinstance(called, ast.Attribute):
        return False
    owner = called.value.id if isinstance(called.value, ast.Name) else ""
    return called.attr == "exec_driver_sql" or (owner in _SQLALCHEMY and called.attr in _BUILDERS)


def find_dialect_tests(source: Path) -> list[str]:
    """Return each comparison with the name of a database outside the drivers."""
    found: list[str] = []
    for name, file in _modules(source):
        if name.startswith(DIALECTS):
            continue
        for node in nodes_of(file, *_COMPARING):
            if any(_names_database(part) for compared in _compared(node) for part in ast.walk(compared)):
                found.append(f"{name}:{getattr(node, 'lineno', 0)} asks which database it is")
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
    modules = {_module_name(name, package): file for name, file in _modules(source)}
    graph = {name: _project_imports(file, modules.keys() - {name}) for name, file in modules.items()}
    return [" -> ".join(sorted(circle)) for circle in _strong_components(graph) if len(circle) > 1]


def _modules(source: Path) -> list[tuple[str, Path]]:
    """Return the name and the file of each module."""
    return [(file.relative_to(source).as_posix(), file) for file in sorted(source.rglob("*.py"))]


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


def _project_imports(file: Path, known: set[str]) -> set[str]:
    found: set[str] = set()
    for node in nodes_of(file, *_IMPORTING):
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
