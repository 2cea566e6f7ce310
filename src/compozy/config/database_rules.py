"""Rules between the keys of `database:` that no single key shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from compozy.config.layers import DEFAULT, Layer, Layered, Source
from compozy.config.nodes import MappingNode, ScalarNode, child, key_place_at, node_at, text_at
from compozy.errors import Diagnostic, SourceLocation

SQLITE_KEYS = ("path", "busy_timeout", "synchronous")
POSTGRES_KEYS = (
    *("conn_string", "read_url", "host", "port", "user", "password", "dbname", "name", "sslmode", "ssl_mode"),
    *("sslrootcert", "sslcert", "sslkey"),
    *("max_open_conns", "max_idle_conns", "conn_max_lifetime", "conn_max_idle_time"),
)
TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
"""The kinds of database as people write them."""
_OWNER = {**dict.fromkeys(SQLITE_KEYS, "sqlite"), **dict.fromkeys(POSTGRES_KEYS, "postgres")}


def check_database(node: MappingNode, sources: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """Yield what is wrong with the database as a whole; `node` is the layered compozy.yaml."""
    driver = text_at(node, "database", "driver") or "postgres"
    if driver not in TITLES:
        return  # said already where its value was checked
    foreign = list(_check_foreign_keys(node, driver, sources))
    yield from foreign or _check_needed(node, driver)


def excludes_postgres_stores(node: MappingNode) -> bool:
    """Return whether vector stores that need PostgreSQL cannot be used, because the database is SQLite."""
    return text_at(node, "database", "driver") == "sqlite"


def drop_foreign_variables(layered: Layered) -> Layered:
    """Take out values of environment variables that are for the other driver: they are set for another project."""
    node, sources = layered.node, dict(layered.sources)
    driver = text_at(node, "database", "driver") or "postgres"
    section = child(node, "database")
    if not isinstance(section, MappingNode):
        return layered
    foreign = {
        key
        for key, owner in _OWNER.items()
        if owner != driver and sources.get(f"database.{key}", DEFAULT).layer in {Layer.ENVIRONMENT, Layer.ENV_FILE}
    }
    for key in foreign:
        del sources[f"database.{key}"]
    kept = tuple(entry for entry in section.entries if entry.key not in foreign)
    database = MappingNode(entries=kept, place=section.place)
    entries = (replace(entry, value=database) if entry.key == "database" else entry for entry in node.entries)
    return Layered(node=MappingNode(entries=tuple(entries), place=node.place), sources=sources)


def _check_needed(node: MappingNode, driver: str) -> Iterator[Diagnostic]:
    place = key_place_at(node, ("database",)) if child(node, "database") else node.place
    if not place.line or not child(node, "database"):
        place = SourceLocation(file=node.place.file)  # the section is from outside: what it lacks, the whole file lacks
    if driver == "sqlite" and _is_absent(node, "path"):
        hint = "set `path` under `database`, such as `path: ./data/compozy.db`, or `:memory:`"
        yield Diagnostic(location=place, message="sqlite driver requires path", hint=hint, code="database")
    if driver == "postgres" and _is_absent(node, "host") and _is_absent(node, "conn_string"):
        hint = "set one under `database`, or write `driver: sqlite` and a `path`"
        yield Diagnostic(
            location=place, message="postgres driver requires host or conn_string", hint=hint, code="database"
        )


def _is_absent(node: MappingNode, key: str) -> bool:
    value = node_at(node, ("database", key))
    return value is None or (isinstance(value, ScalarNode) and value.value is None)


def _check_foreign_keys(node: MappingNode, driver: str, sources: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """Report keys of the other driver: flags always, keys of the file unless a flag or variable chose the driver."""
    chosen = node_at(node, ("database", "driver"))
    # `driver: ${DRIVER:-sqlite}`: the file is written for both.
    is_open = isinstance(chosen, ScalarNode) and bool(chosen.variables)
    chosen_by = sources.get("database.driver", DEFAULT).layer
    section = child(node, "database")
    for entry in section.entries if isinstance(section, MappingNode) else ():
        owner = _OWNER.get(entry.key, driver)
        written_by = sources.get(f"database.{entry.key}", DEFAULT).layer
        is_overruled = written_by is Layer.FILE and (is_open or chosen_by not in {Layer.FILE, Layer.DEFAULT})
        if owner == driver or is_overruled:
            continue
        switch = f"--db-driver={owner}" if written_by is Layer.FLAG else f"`driver: {owner}`"
        message = f"{entry.key!r} is for {TITLES[owner]}, but the driver is {driver}"
        yield Diagnostic(
            location=entry.key_place, message=message, hint=f"take it out, or write {switch}", code="database"
        )
