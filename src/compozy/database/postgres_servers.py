"""Connections to the primary of the servers that an address names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.abc import Params, Query

from compozy.clock import monotonic_s
from compozy.errors import DatabaseError

LOOK_S = 2.0
"""How often a connection that does not write asks whether its server was demoted."""
_LOOK = "SELECT current_setting('transaction_read_only')"
# In place of an empty one.
_PORT = "5432"


@dataclass(frozen=True, kw_only=True)
class _Server:
    """One server of an address. `hostaddr` is empty if the address has none."""

    host: str
    port: str
    hostaddr: str

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        # A socket folder keeps its slashes; the port is then part of the file name.
        return f"{shown}:{self.port}"


class _Cursor(psycopg.Cursor[Any]):
    """Sends each statement of several alone, and not as a batch.

    The server does not count a session as idle while it waits for the rest of a batch. A process that stops within one
    (SIGSTOP, a frozen machine) would keep its locks until it continues.
    """

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """Execute a statement with each of the parameters; `rowcount` is the sum.

        Raises:
            psycopg.NotSupportedError: `returning` asks for the rows of several results.
        """
        if returning:
            raise psycopg.NotSupportedError("rows of several results are not returned")
        changed = 0
        for parameters in params_seq:
            # SQLAlchemy passes complete statements, never parts that need to be quoted.
            self.execute(query, parameters)  # pyright: ignore[reportArgumentType, reportCallIssue]
            changed += max(self.rowcount, 0)
        self._rowcount = changed


class Connector:
    """Opens connections with the parameters of an address, each of which commits by itself.

    The server that accepted the last connection is tried first. Otherwise one that does not answer would delay each
    connection to the server after it.

    Args:
        parameters: of the driver.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._servers = _list_servers(parameters)

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the first server that accepts the connection."""
        servers = self._servers
        tried = {key: ",".join(getattr(server, key) for server in servers) for key in ("host", "port")}
        addresses = [server.hostaddr for server in servers]
        tried["hostaddr"] = ",".join(addresses) if any(addresses) else ""
        connection = psycopg.connect(**{**self._parameters, **tried}, autocommit=True, cursor_factory=_Cursor)
        if len(servers) > 1:
            last = (connection.info.host, str(connection.info.port))
            self._servers = sorted(servers, key=lambda server: (server.host, server.port) != last)
        return connection


class DemotionCheck:
    """Notices that the server of a connection was demoted.

    Such a server may keep its connections open while other processes use the new primary. It refuses to write, but it
    still sends and delivers notifications.
    """

    def __init__(self) -> None:
        self._asked_s = monotonic_s()

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Ask the server, at most once in `LOOK_S`.

        Raises:
            psycopg.errors.ReadOnlySqlTransaction: it was demoted.
        """
        if monotonic_s() - self._asked_s < LOOK_S:
            return
        self._asked_s = monotonic_s()
        if connection.execute(_LOOK).fetchone() == ("on",):
            raise psycopg.errors.ReadOnlySqlTransaction("the server does not accept writes any more")


def names_several(parameters: Mapping[str, Any]) -> bool:
    """Return whether an address names several servers."""
    return "," in str(parameters["host"])


def describe_servers(parameters: Mapping[str, Any]) -> str:
    """Return the servers of an address as shown in messages, such as `db1:5432,db2:5432`."""
    return ",".join(map(str, _list_servers(parameters)))


def _list_servers(parameters: Mapping[str, Any]) -> list[_Server]:
    hosts = str(parameters["host"]).split(",")
    ports = [port or _PORT for port in str(parameters["port"]).split(",")]
    # One port is for all servers.
    ports = ports if len(ports) > 1 else ports * len(hosts)
    addresses = str(parameters["hostaddr"]).split(",") if parameters["hostaddr"] else [""] * len(hosts)
    if not len(hosts) == len(ports) == len(addresses):
        raise DatabaseError(
            "the database address has another number of ports or hostaddr values than of hosts",
            hint="write one for each host",
        )
    return [
        _Server(host=host, port=port, hostaddr=address)
        for host, port, address in zip(hosts, ports, addresses, strict=True)
    ]
