"""Explains PostgreSQL errors to users: by SQLSTATE, or by their text before there is a session."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from compozy.errors import DatabaseError


@dataclass(frozen=True, kw_only=True)
class _Meaning:
    """Errors with one meaning. `states` may be prefixes; `signs` are searched in the text if the error has no state."""

    message: str
    hint: str
    states: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()


# The first match counts. Certificate errors come before connection errors, which they also mention.
_MEANINGS = (
    _Meaning(
        signs=("server does not support ssl", "does not support ssl, but ssl was required"),
        message="the server of {location} does not support TLS",
        hint="enable `ssl` on the server, or set database.sslmode to `disable` if the network is trusted",
    ),
    _Meaning(
        signs=("does not match host name",),
        message="the server certificate of {location} is for another host name",
        hint="set database.host to the name in the certificate, or set database.sslmode to `verify-ca`",
    ),
    _Meaning(
        signs=("certificate verify failed", "root certificate file", "root certificate store"),
        message="the server certificate of {location} cannot be verified: {cause}",
        hint="set database.sslrootcert to the certificate of the authority that signed it",
    ),
    _Meaning(
        signs=("certificate file", "private key file", "could not load", "could not read certificate"),
        message="the client certificate for {location} cannot be used: {cause}",
        hint="check database.sslcert and database.sslkey; only you may read the key (chmod 600)",
    ),
    _Meaning(
        signs=("tlsv1 alert", "tlsv13 alert", "ssl error", "requires a valid client certificate", "ssl syscall"),
        message="failed to establish a TLS connection to {location}: {cause}",
        hint="compare database.sslmode, sslrootcert, sslcert and sslkey with what the server requires",
    ),
    _Meaning(
        states=("53300",),
        signs=("too many clients", "remaining connection slots", "too many connections"),
        message="the server of {location} has no free connection",
        hint="lower database.max_open_conns, which applies per process, or raise max_connections on the server",
    ),
    _Meaning(
        states=("28P01",),
        signs=("password authentication failed", "no password supplied"),
        message="the server of {location} rejected the password",
        hint="set database.password, preferably to `${DB_PASSWORD}`, or add a line to ~/.pgpass",
    ),
    _Meaning(
        states=("28000",),
        signs=("no pg_hba.conf entry", "authentication failed", 'role "', "rejects connection", "is not permitted to"),
        message="the server of {location} rejected this user: {cause}",
        hint="check database.user and database.sslmode, and the server's pg_hba.conf",
    ),
    _Meaning(
        states=("3D000",),
        signs=("does not exist",),
        message="the database {location} does not exist",
        hint="create it with `createdb`, or correct database.dbname; Compozy creates tables, not databases",
    ),
    _Meaning(
        states=("25006",),
        signs=("session is read-only", "server is in hot standby", "session is not read-only"),
        message="the database {location} is read-only; it may be a standby",
        hint="set database.host to the primary server, or to all servers: `db1,db2`; unfinished runs resume when one "
        "accepts writes",
    ),
    _Meaning(
        states=("42501",),
        signs=("permission denied",),
        message="this user lacks a privilege on {location}: {cause}",
        hint="make it the owner of the database, or grant the privilege",
    ),
    _Meaning(
        states=("53100",),
        message="no space left for the database {location}",
        hint="free disk space on the server; unfinished runs resume where they were",
    ),
    _Meaning(
        states=("XX001", "XX002"),
        message="the database {location} is damaged: {cause}",
        hint="restore it from a backup",
    ),
    _Meaning(
        states=("42P01", "42703", "3F000"),
        message="the database {location} is missing a table or column: {cause}",
        hint="another program changed it; restore it from a backup",
    ),
    _Meaning(
        states=("25P03", "25P04"),
        message="the server of {location} ended a transaction in which this process was idle for too long",
        hint="nothing of it was stored; unfinished runs resume where they were",
    ),
    _Meaning(
        states=("40P01", "40001", "55P03"),
        message="the database {location} is busy: {cause}",
        hint="try again; nothing was stored",
    ),
    _Meaning(
        states=("57P01", "57P02", "57P03", "08"),
        signs=("",),
        message="cannot connect to the database {location}: {cause}",
        hint="check that the server is running, database.host and database.port; unfinished runs resume afterwards",
    ),
)

# The privileges that Compozy needs on what a server denied.
_DENIED = re.compile(r"permission denied for (database|schema|table|sequence) (.+)")
_NEEDED = {
    "database": "CONNECT, CREATE",
    "schema": "USAGE, CREATE",
    "table": "SELECT, INSERT, UPDATE, DELETE",
    "sequence": "USAGE, SELECT",
}

# The text between the address and the reason.
_FAILED = "failed: "


def explain_postgres(error: Any, location: str) -> DatabaseError:
    """Return the DatabaseError for a driver's exception."""
    state = str(getattr(error, "sqlstate", None) or "")
    cause = _cause(error)
    meaning = _by_state(state) if state else _by_text(error, str(error).lower())
    if meaning is None:
        return DatabaseError(f"the database {location} failed: {cause}", details={"cause": cause, "sqlstate": state})
    message = meaning.message.format(location=location, cause=cause)
    return DatabaseError(message, hint=meaning.hint + _grant(cause), details={"cause": cause})


def _grant(cause: str) -> str:
    """Return the statement that grants what the server denied, to append to a hint; "" for another cause."""
    denied = _DENIED.fullmatch(cause)
    if denied is None:
        return ""
    kind, name = denied.groups()
    quoted = name if re.fullmatch("[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
    return f": GRANT {_NEEDED[kind]} ON {kind.upper()} {quoted} TO ..."


def _by_state(state: str) -> _Meaning | None:
    return next((meaning for meaning in _MEANINGS if state.startswith(meaning.states)), None)


def _by_text(error: Any, text: str) -> _Meaning | None:
    if type(error).__name__ not in {"OperationalError", "ConnectionTimeout"}:
        return None
    return next((meaning for meaning in _MEANINGS if any(sign in text for sign in meaning.signs)), None)


def _cause(error: Any) -> str:
    """Return the server's or driver's message, on one line and without the values of a row."""
    said = getattr(getattr(error, "diag", None), "message_primary", None)
    if said:
        return str(said)
    # The driver reports each address that it tried, with advice on separate lines. Show the last failure.
    lines = [line.strip(" -\t") for line in str(error).splitlines() if line.strip(" -\t")]
    failures = [line for line in lines if _FAILED in line] or lines[:1] or [type(error).__name__]
    return failures[-1].rpartition(_FAILED)[2].removeprefix("FATAL:").strip()
