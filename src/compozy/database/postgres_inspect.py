"""Version, clock and dangerous settings of a PostgreSQL server."""

from __future__ import annotations

import sqlalchemy as sa

from compozy.database.driver import Inspection

_FACTS = (
    "SELECT current_setting('server_version'), (extract(epoch from clock_timestamp()) * 1000)::bigint, "
    "current_setting('fsync'), current_setting('synchronous_commit'), current_setting('max_connections')::int, "
    "current_setting('superuser_reserved_connections')::int, current_setting('synchronous_standby_names')"
)


def inspect_server(connection: sa.Connection, *, is_several: bool) -> Inspection:
    """Return the version, the clock and the dangerous settings of the server.

    Args:
        connection: to the server.
        is_several: whether the address names several servers.
    """
    version, clock_ms, fsync, commit, connections, reserved, standbys = connection.exec_driver_sql(_FACTS).one()
    dangers: list[tuple[str, str]] = []
    if fsync == "off":
        dangers.append(
            ("fsync is off: a crash of the server can damage the database", "set fsync = on in postgresql.conf")
        )
    if commit == "off":
        dangers.append(
            (
                "synchronous_commit is off: a crash of the server can lose recorded steps, which are then repeated",
                "set synchronous_commit = on for this database",
            )
        )
    if is_several and (commit == "local" or not standbys):
        what = "synchronous_commit is local" if standbys else "synchronous_standby_names is empty"
        dangers.append(
            (
                f"the address names several servers, and {what}: a failover can lose the last commits",
                "let each commit wait for a standby: set synchronous_standby_names, and synchronous_commit = on",
            )
        )
    return Inspection(
        version=f"PostgreSQL {str(version).split()[0]}",
        clock_ms=int(clock_ms),
        dangers=tuple(dangers),
        max_connections=connections - reserved,
    )
