"""Addresses that may hold credentials: what is wrong with one, said without any part of it.

A message about an address never repeats it. Where the credentials end depends on how it is parsed, and an address that
needs a message is one that was written by mistake: `postgres://app:a/b@host/db` has the port `a` for one parser and the
password `a/b` for its author.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, SecretStr

from compozy.nearest import suggest

ENCODE = "write @ : / ? # % in a user or a password as %40 %3A %2F %3F %23 %25"
"""The way out for credentials that are not percent-encoded."""

_NOT_ENCODED = "the user or the password has a character that needs percent-encoding"
_POSTGRES_SHAPE = "write postgres://user:password@host:5432/dbname"
_POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})
_MAX_PORT = 65535
# Characters that credentials must encode, and a percent sign that encodes nothing.
_UNSAFE = re.compile(r"[/?#@\[\]\s]|%(?![0-9A-Fa-f]{2})")
# A part of a path with the beginning of a key; names of software such as sk-learn have no digits.
_KEY_IN_PATH = re.compile(r"/(?:(?:sk|gsk|pk|rk|xai)[-_](?=[^/]*\d)[\w-]{8,}|AIza[\w-]{20,})(?:/|$)")
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_WORD = re.compile(r"([A-Za-z_]+)\s*=")
_WORD_AND_VALUE = re.compile(r"([A-Za-z_]+)\s*=\s*((?:[^\s\\]|\\.)*)")
_WORDS = re.compile(rf"\s*(?:{_WORD_AND_VALUE.pattern}\s*)*")
_WRITABLE = ("read-write", "primary")
_READABLE = ("any", "read-only", "standby", "prefer-standby")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

# Parameters of libpq, see postgresql.org/docs/current/libpq-connect.html.
_PARAMETERS = (
    "application_name channel_binding client_encoding connect_timeout dbname fallback_application_name "
    "gssdelegation gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle "
    "keepalives_interval krbsrvname load_balance_hosts max_protocol_version min_protocol_version oauth_client_id "
    "oauth_client_secret oauth_issuer oauth_scope options passfile password port replication require_auth "
    "requirepeer scram_client_key scram_server_key service ssl_max_protocol_version ssl_min_protocol_version "
    "sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode sslnegotiation sslpassword "
    "sslrootcert sslsni target_session_attrs tcp_user_timeout user"
)
POSTGRES_PARAMETERS = frozenset(_PARAMETERS.split())
_SCHEMA = "write options=-c%20search_path%3DNAME for the schema NAME"
# Parameters of other libraries, and what to do with them.
_FOREIGN_PARAMETERS = {
    "schema": _SCHEMA,
    "search_path": _SCHEMA,
    "pgbouncer": "remove it; it is a parameter of Prisma",
    "connection_limit": "remove it, and set database.max_open_conns",
    "pool_timeout": "remove it; it is a parameter of Prisma",
    "currentschema": _SCHEMA,
    "ssl": "write sslmode=require",
    "database": "write dbname",
    "username": "write user",
}


def check_postgres_address(text: str, *, is_read_only: bool = False) -> str | None:
    """Return what is wrong with a PostgreSQL address or a list of `key=value` words, None when nothing is.

    `is_read_only` is set for an address that is only read from.
    """
    if not text.strip():
        return None
    scheme, found, rest = text.partition("://")
    if not found:
        return _check_words(text, is_read_only=is_read_only)
    # SQLAlchemy's spelling names its driver behind a plus sign.
    if scheme.partition("+")[0].lower() not in _POSTGRES_SCHEMES:
        return f"is not a PostgreSQL address; {_POSTGRES_SHAPE}"
    head, _, query = rest.partition("?")
    if "@" in query and "@" not in head:
        return f"{_NOT_ENCODED}; {ENCODE}"
    credentials, _, place = head.rpartition("@")
    if _UNSAFE.search(credentials):
        return f"{_NOT_ENCODED}; {ENCODE}"
    ports = (part.rpartition("]")[2].partition(":")[2] for part in place.partition("/")[0].split(","))
    if not all(_is_port(port) for port in ports):
        return f"the port is not a number; {_POSTGRES_SHAPE}, and {ENCODE}"
    return _check_parameters(parse_qsl(query, keep_blank_values=True), is_read_only=is_read_only)


def check_web_address(text: str) -> str | None:
    """Return what is wrong with the address of an HTTP server, None when nothing is.

    It may hold neither credentials nor a query: addresses are shown in logs and errors, and stored with runs.
    """
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return f"is not an address, or {_NOT_ENCODED}; write one such as https://host/v1"
    if parts.username is not None or parts.password is not None or (port is not None and "@" in parts.path):
        return "must not hold a user or a password; a key goes into `api_key`"
    if parts.query or parts.fragment:
        return "must not hold a query; a key goes into `api_key`"
    if _KEY_IN_PATH.search(parts.path):
        return "must not hold a key in its path; a key goes into `api_key`"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "expected an address such as https://host/v1"
    return None


def check_document_address(text: str) -> str | None:
    """Return what is wrong with the address of a document, None when nothing is; it is shown and stored as its name."""
    try:
        parts = urlsplit(text)
        has_user = "@" in parts.netloc or (parts.port is not None and re.search("[^/]@", parts.path) is not None)
    except ValueError:
        has_user = "@" in text
    return "must not hold a user or a password" if has_user else None


def check_store_address(text: str, schemes: Collection[str]) -> str | None:
    """Return what is wrong with the address of a store that may hold credentials, None when nothing is."""
    scheme, found, rest = text.partition("://")
    if not found or scheme.lower() not in schemes:
        return f"expected an address that starts with {' or '.join(f'{name}://' for name in sorted(schemes))}"
    head, _, query = rest.partition("?")
    credentials, _, place = head.rpartition("@")
    if _UNSAFE.search(credentials) or ("@" in query and "@" not in head) or "#" in head:
        return f"{_NOT_ENCODED}; {ENCODE}"
    if not _is_port(place.partition("/")[0].rpartition("]")[2].partition(":")[2]):
        return f"the port is not a number; {ENCODE}"
    return None


def show_address(text: str) -> str:
    """Return scheme, host, port and path of an address, "" if the end of its credentials is ambiguous."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not parts.scheme or not host or (port is not None and "@" in parts.path):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port is not None else ''}{parts.path}"


def _check_words(text: str, *, is_read_only: bool) -> str | None:
    """Check `host=h dbname=d`; values in quotes may hold anything."""
    found = re.sub(r"'(?:[^'\\]|\\.)*'", "''", text)
    names = _WORD.findall(found)
    if not names:
        return f"is not a PostgreSQL address; {_POSTGRES_SHAPE}"
    if ";" in text and any(name not in POSTGRES_PARAMETERS for name in names):
        return f"separate the parameters with blanks, not with `;`, or {_POSTGRES_SHAPE}"
    problem = _check_parameters(_WORD_AND_VALUE.findall(found), is_read_only=is_read_only)
    if problem is None and _WORDS.fullmatch(found) is None:
        return "has a value with a blank or a quote; write it as password='a b', and a quote in it as \\'"
    return problem


def _check_parameters(parameters: list[tuple[str, str]], *, is_read_only: bool) -> str | None:
    allowed = _READABLE if is_read_only else _WRITABLE
    for name, value in parameters:
        if name == "sslmode" and value not in _SSL_MODES:
            return f"unknown sslmode; write {', '.join(_SSL_MODES[:-1])} or {_SSL_MODES[-1]}"
        if name == "target_session_attrs" and value not in allowed:
            why = "" if is_read_only else ": runs need a writable server"
            return f"target_session_attrs must be {' or '.join(allowed)}{why}"
        if name in POSTGRES_PARAMETERS and name != "service":
            continue
        if name == "service":
            return "`service` is not supported: the address must not depend on another file; write host and dbname"
        if not _NAME.fullmatch(name):
            return f"has a parameter that PostgreSQL does not know, or {_NOT_ENCODED}; {ENCODE}"
        hint = _FOREIGN_PARAMETERS.get(name.lower()) or suggest(name, POSTGRES_PARAMETERS) or "remove it"
        return f"unknown parameter {name!r}; {hint}"
    return None


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and int(text) <= _MAX_PORT)


def _web(value: str) -> str:
    problem = check_web_address(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def _document(value: str) -> str:
    problem = check_document_address(value)
    if problem is not None:
        raise ValueError(problem)
    return value


def _postgres(value: SecretStr, *, is_read_only: bool = False) -> SecretStr:
    problem = check_postgres_address(value.get_secret_value(), is_read_only=is_read_only)
    if problem is not None:
        raise ValueError(problem)
    return value


WebAddress = Annotated[str, AfterValidator(_web)]
"""The address of an HTTP server, without credentials."""
DocumentAddress = Annotated[str, AfterValidator(_document)]
"""The address of a document, without credentials."""
PostgresAddress = Annotated[SecretStr, AfterValidator(_postgres)]
"""The address of a PostgreSQL database, which may hold a password."""
ReplicaAddress = Annotated[SecretStr, AfterValidator(partial(_postgres, is_read_only=True))]
"""The address of a PostgreSQL database that is only read from, which may hold a password."""
