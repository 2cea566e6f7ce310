"""Settings from flags and the environment laid over the nodes of compozy.yaml: flag > environment > file > default.

A value from outside becomes a scalar node like any other, whose place names the flag or the variable. So the same
checks and the same messages hold for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, YamlPath, child
from compozy.config.scalars import Scalar
from compozy.errors import SourceLocation


class Layer(StrEnum):
    """Where a setting can come from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one setting came from; `text` is for people: `flag --db-path`, `compozy.yaml:4:3`."""

    layer: Layer
    text: str

    def __str__(self) -> str:
        """Return the text."""
        return self.text


DEFAULT = Source(layer=Layer.DEFAULT, text="default")

# Dotted key -> the variables that set it, the first one set wins.
VARIABLES: dict[str, tuple[str, ...]] = {
    "database.driver": ("DB_DRIVER",),
    "database.path": ("DB_PATH",),
    "database.busy_timeout": ("DB_BUSY_TIMEOUT",),
    "database.synchronous": ("DB_SYNCHRONOUS",),
    "database.auto_migrate": ("DB_AUTO_MIGRATE",),
    "database.conn_string": ("DB_CONN_STRING",),
    "database.read_url": ("DB_READ_URL",),
    "database.host": ("DB_HOST",),
    "database.port": ("DB_PORT",),
    "database.user": ("DB_USER",),
    "database.password": ("DB_PASSWORD",),
    "database.dbname": ("DB_NAME",),
    "database.sslmode": ("DB_SSLMODE", "DB_SSL_MODE"),
    "database.sslrootcert": ("DB_SSLROOTCERT",),
    "database.sslcert": ("DB_SSLCERT",),
    "database.sslkey": ("DB_SSLKEY",),
    "database.max_open_conns": ("DB_MAX_OPEN_CONNS",),
    "database.max_idle_conns": ("DB_MAX_IDLE_CONNS",),
    "database.conn_max_lifetime": ("DB_CONN_MAX_LIFETIME",),
    "database.conn_max_idle_time": ("DB_CONN_MAX_IDLE_TIME",),
    "server.host": ("SERVER_HOST",),
    "server.port": ("SERVER_PORT",),
    "server.processes": ("SERVER_PROCESSES",),
    "server.api_key": ("SERVER_API_KEY",),
    "server.public_url": ("SERVER_PUBLIC_URL",),
    "server.auth.enabled": ("SERVER_AUTH_ENABLED",),
    "runtime.log_level": ("RUNTIME_LOG_LEVEL",),
    "runtime.max_concurrent_workflows": ("RUNTIME_MAX_CONCURRENT_WORKFLOWS",),
}

_SYNONYMS = {"database.dbname": "name", "database.sslmode": "ssl_mode"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Layered:
    """The nodes with every layer in them, and where each value came from: dotted key -> source."""

    node: MappingNode
    sources: Mapping[str, Source]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outside:
    """Sources of settings besides the file: flags by dotted key, the environment, the lines of the `.env` file."""

    flags: Mapping[str, tuple[Any, str]] = field(default_factory=dict[str, tuple[Any, str]])
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    env_file: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    env_file_places: Mapping[str, SourceLocation] = field(default_factory=dict[str, SourceLocation])


def lay_over(node: MappingNode, outside: Outside) -> Layered:
    """Return `node` with the settings of `outside` in it."""
    sources = {_dotted(path): Source(layer=Layer.FILE, text=str(place)) for path, place in _key_places(node, ())}
    settings = {**_from_variables(outside), **_from_flags(outside)}
    for dotted, (scalar, source) in settings.items():
        node = _without_synonym(node, dotted)
        node = _with_value(node, tuple(dotted.split(".")), scalar)
        sources[dotted] = source
    for dotted, synonym in _SYNONYMS.items():
        section = dotted.rpartition(".")[0]
        sources.setdefault(dotted, sources.pop(f"{section}.{synonym}", DEFAULT))
    return Layered(node=node, sources=sources)


_Setting = tuple[ScalarNode | SequenceNode, Source]


def _from_flags(outside: Outside) -> dict[str, _Setting]:
    found: dict[str, _Setting] = {}
    for dotted, (value, flag) in outside.flags.items():
        if value is not None:
            text = f"{Layer.FLAG} {flag}"
            found[dotted] = _node(value, SourceLocation(file=text)), Source(layer=Layer.FLAG, text=text)
    return found


def _from_variables(outside: Outside) -> dict[str, _Setting]:
    found: dict[str, _Setting] = {}
    for dotted, names in VARIABLES.items():
        settings = (_from_variable(name, outside) for name in names)
        setting = next((each for each in settings if each), None)
        if setting:
            found[dotted] = setting
    return found


def _from_variable(name: str, outside: Outside) -> _Setting | None:
    """Return the setting in the variable `name`; one that is set, if only to nothing, hides that of `.env`."""
    if name in outside.environ:
        value, place = outside.environ[name], SourceLocation(file=f"{Layer.ENVIRONMENT} {name}")
        source = Source(layer=Layer.ENVIRONMENT, text=str(place))
    elif name in outside.env_file:
        value, place = outside.env_file[name], outside.env_file_places[name]
        source = Source(layer=Layer.ENV_FILE, text=f"{place.file} {name}")
    else:
        return None
    return (ScalarNode(value=value, text=value, place=place, variables=(name,)), source) if value else None


def _node(value: Any, place: SourceLocation) -> ScalarNode | SequenceNode:
    if isinstance(value, list):
        items = (_scalar(item, place) for item in cast("list[Scalar]", value))
        return SequenceNode(items=tuple(items), place=place)
    return _scalar(value, place)


def _scalar(value: Scalar, place: SourceLocation) -> ScalarNode:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return ScalarNode(value=value, text=text, place=place)


def _with_value(node: MappingNode, path: tuple[str, ...], value: Node) -> MappingNode:
    key, *rest = path
    if rest:
        below = child(node, key)
        if not isinstance(below, MappingNode):
            if below is not None and not (isinstance(below, ScalarNode) and below.value is None):
                return node  # the whole section has the wrong type, which is reported as an error of the file
            below = MappingNode(entries=(), place=value.place)
        value = _with_value(below, tuple(rest), value)
    entry = Entry(key=key, key_place=value.place, value=value)
    others = tuple(entry for entry in node.entries if entry.key != key)
    return MappingNode(entries=(*others, entry), place=node.place)


def _without_synonym(node: MappingNode, dotted: str) -> MappingNode:
    section, _, _ = dotted.rpartition(".")
    below = child(node, section)
    if dotted not in _SYNONYMS or not isinstance(below, MappingNode):
        return node
    kept = tuple(entry for entry in below.entries if entry.key != _SYNONYMS[dotted])
    return _with_value(node, (section,), MappingNode(entries=kept, place=below.place))


def _key_places(node: Node, path: YamlPath) -> list[tuple[YamlPath, SourceLocation]]:
    if isinstance(node, MappingNode):
        places: list[tuple[YamlPath, SourceLocation]] = []
        for entry in node.entries:
            below = (*path, entry.key)
            is_leaf = isinstance(entry.value, ScalarNode)
            places += [(below, entry.key_place)] if is_leaf else _key_places(entry.value, below)
        return places
    if isinstance(node, SequenceNode):
        return [place for index, item in enumerate(node.items) for place in _key_places(item, (*path, index))]
    return [(path, node.place)]


def _dotted(path: YamlPath) -> str:
    return ".".join(map(str, path))
