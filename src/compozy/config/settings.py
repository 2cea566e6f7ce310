"""The sections of compozy.yaml that set up the program itself; one class per section."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, field_validator

from compozy.config.addresses import PostgresAddress, ReplicaAddress
from compozy.config.auth_sections import AuthSettings
from compozy.config.duration import DurationS, TimeLimitS
from compozy.config.fingerprint import MEMORY, database_file
from compozy.config.section import Section
from compozy.config.sqlitepath import check_sqlite_path

_MIN_KEY = 16
_TOOL_HOST = re.compile(r"^(?:(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$")
_TOOL_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\*?$")
_PUBLIC_URL = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(?::\d{1,5})?")


def check_header_key(key: SecretStr | None) -> SecretStr | None:
    """Refuse a key that no HTTP header can hold; the message does not show it.

    Raises:
        ValueError: it has a line break, a blank, or a letter that is not ASCII.
    """
    text = "" if key is None else key.get_secret_value()
    if not text.strip():
        return key
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected a key of ASCII letters, digits and signs, without blanks and line breaks")
    return key


class DatabaseSettings(Section):
    """`database:`, where every step is stored."""

    driver: Literal["postgres", "sqlite"] = Field(default="postgres", description="Which database holds the runs.")
    path: str | None = Field(default=None, min_length=1, description="SQLite: a file, or `:memory:`.")
    busy_timeout: DurationS = Field(default=5.0, description="SQLite: how long to wait for another program's lock.")
    synchronous: Literal["full", "normal"] = Field(
        default="full", description="SQLite: `full` survives a power cut, `normal` only a killed process."
    )
    auto_migrate: bool = Field(default=True, description="Bring the tables up to date on start.")
    conn_string: PostgresAddress | None = Field(
        default=None, description="PostgreSQL: the whole address; wins over its parts."
    )
    read_url: ReplicaAddress | None = Field(
        default=None,
        description="PostgreSQL: the address of a replica, from which servers read lists and sums of costs. They can "
        "lag behind.",
    )
    host: str | None = Field(
        default=None,
        min_length=1,
        description="PostgreSQL: the server's name, or its socket's folder; several as `db1,db2`.",
    )
    port: int = Field(default=5432, ge=1, le=65535, description="PostgreSQL: the server's port.")
    user: str | None = Field(default=None, min_length=1, description="PostgreSQL: who connects.")
    password: SecretStr | None = Field(
        default=None, description="PostgreSQL: the user's password, best as `${DB_PASSWORD}`."
    )
    dbname: str | None = Field(
        default=None,
        min_length=1,
        validation_alias=AliasChoices("dbname", "name"),
        description="PostgreSQL: the database. `name` is a synonym.",
    )
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] | None = Field(
        default=None,
        validation_alias=AliasChoices("sslmode", "ssl_mode"),
        description="PostgreSQL: how the connection is encrypted. Default: encrypted if the server can. "
        "`ssl_mode` is a synonym.",
    )
    sslrootcert: str | None = Field(
        default=None, min_length=1, description="PostgreSQL: file of the trusted authorities."
    )
    sslcert: str | None = Field(default=None, min_length=1, description="PostgreSQL: file of the client's certificate.")
    sslkey: str | None = Field(default=None, min_length=1, description="PostgreSQL: file of the client's key.")
    max_open_conns: int = Field(default=25, ge=1, le=10_000, description="PostgreSQL: largest number of connections.")
    max_idle_conns: int = Field(default=5, ge=0, le=10_000, description="PostgreSQL: connections kept open when idle.")
    conn_max_lifetime: DurationS = Field(
        default=1800.0, description="PostgreSQL: age at which a connection is replaced."
    )
    conn_max_idle_time: DurationS = Field(default=300.0, description="PostgreSQL: idle time after which one is closed.")

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a database in memory or on a server."""
        return database_file(self.driver, self.path)

    @property
    def is_in_memory(self) -> bool:
        """Whether the database ends with its process."""
        return self.driver == "sqlite" and self.path == MEMORY

    @property
    def has_one_writer(self) -> bool:
        """Whether all transactions that write wait for one another."""
        return self.driver == "sqlite"

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        """Refuse the ways of other programs to name a file, which would create files of odd names."""
        problem = None if path is None else check_sqlite_path(path)
        if problem is not None:
            raise ValueError(problem)
        return path


class RateSettings(Section):
    """A limit of requests: `limit` of them immediately, and as many in each `period`."""

    limit: int = Field(ge=1, le=1_000_000, description="Number of requests.")
    period: TimeLimitS = Field(default=60.0, description="Time in which as many requests are allowed again.")


class RateLimitSettings(Section):
    """`ratelimit:`, limits of requests, for each process. Requests over a limit get status 429."""

    global_rate: RateSettings | None = Field(
        default=None, description="Limit of requests per client address. Default: none."
    )
    api_key_rate: RateSettings | None = Field(default=None, description="Limit of requests per API key. Default: none.")


class ServerSettings(Section):
    """`server:`, the address of `compozy start`."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Number of processes of `compozy start` that serve and execute runs. More than one needs "
        "PostgreSQL. Limits of a process, such as `runtime.max_concurrent_workflows`, apply to each of them.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Key of an administrator, best as `${SERVER_API_KEY}`. Where `host` lets other machines "
        "in, it is needed unless users have keys.",
    )
    auth: AuthSettings = Field(default=AuthSettings(), description="Authentication of requests.")
    public_url: str | None = Field(
        default=None,
        description="URL that clients use if it is that of a proxy, such as `https://compozy.example.com`. Requests "
        "then need a key on loopback, too.",
    )

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        """Refuse a URL with a path: the server does not know paths of a proxy."""
        if url is None:
            return None
        plain = url.lower().rstrip("/")
        if not _PUBLIC_URL.fullmatch(plain):
            raise ValueError("expected a URL without a path, such as https://compozy.example.com")
        return plain

    @field_validator("api_key")
    @classmethod
    def _check_api_key(cls, key: SecretStr | None) -> SecretStr | None:
        """Refuse a key that could be guessed, or that no HTTP header can hold."""
        if key is not None and len(key.get_secret_value()) < _MIN_KEY:
            raise ValueError(f"expected at least {_MIN_KEY} letters, digits and signs without blanks")
        return check_header_key(key)


# Default number of concurrent runs; on SQLite they share one writer.
DEFAULT_CONCURRENCY = {"sqlite": 10, "postgres": 100}
DEFAULT_QUEUE = "default"
QueueName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")]


class ExecSettings(Section):
    """`runtime.native_tools.exec:`, the commands that `cp__exec` can run."""

    commands: tuple[str, ...] = Field(default=(), description="Programs, by name or absolute path. Default: none.")

    @field_validator("commands")
    @classmethod
    def _check_commands(cls, commands: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what would be searched for in the folder that Compozy was started in, or holds arguments."""
        for command in commands:
            if not command or " " in command or ("/" in command and not command.startswith("/")):
                raise ValueError(f"{command!r} is neither the name nor the absolute path of a program")
        return commands


class NativeToolSettings(Section):
    """`runtime.native_tools:`, access of the built-in tools `cp__*` to files, commands and hosts."""

    root_dir: str = Field(
        default=".", min_length=1, description="Root folder of the file tools, relative to the project folder."
    )
    exec: ExecSettings = Field(default=ExecSettings(), description="Commands of `cp__exec`.")
    private_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts of tools whose addresses can be private, such as `localhost`."
    )


class AttachmentSettings(Section):
    """`runtime.attachments:`, access of attachments to files and hosts."""

    folders: tuple[str, ...] = Field(
        default=(), description="Further folders with files that can be attached. Default: only the project folder."
    )
    private_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts of URLs whose addresses can be private, such as `localhost`."
    )


Approval = Literal["never", "ask", "deny"]
"""`never`: calls start immediately. `ask`: a person approves each call. `deny`: calls are refused."""


class ApprovalRule(Section):
    """`approve:` as a map, the calls that a person has to approve, and the time limit of the answer."""

    when: str | None = Field(
        default=None,
        min_length=1,
        description="CEL on `input`; calls for which it is true wait for an approval. Default: all calls.",
    )
    timeout: TimeLimitS | None = Field(default=None, description="Time limit of an approval. Default: none.")
    on_timeout: Literal["deny", "fail"] = Field(
        default="deny", description="Effect of the time limit: report to the model that the call is denied, or fail."
    )
    approver: Literal["not_starter"] | None = Field(
        default=None, description="`not_starter` accepts no answer of the user who started the run."
    )


def _read_reach(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list | tuple):
        items = tuple(cast("Iterable[Any]", value))
        if all(isinstance(item, str) for item in items):
            return items
    raise ValueError("expected true, false, or a list of texts")


Reach = Annotated[bool | tuple[str, ...], BeforeValidator(_read_reach)]
"""`true` for everything, `false` for nothing, or what it is limited to."""


class ToolPermissions(Section):
    """`permissions:`, permissions of a TypeScript tool besides the files in its folder."""

    read: Reach | None = Field(
        default=None,
        description="Files and folders to read, from the project's folder; `true` for all. The tool's folder is always "
        "readable.",
    )
    write: Reach | None = Field(
        default=None, description="Files and folders to write, from the project's folder; `true` for all."
    )
    net: Reach | None = Field(
        default=None, description="Hosts to connect to, such as `api.example.com` or `localhost:8080`; `true` for all."
    )
    env: Reach | None = Field(
        default=None, description="Variables to read besides those in `env`; `true` for all that the process has."
    )

    @field_validator("read", "write")
    @classmethod
    def _check_paths(cls, value: Reach | None) -> Reach | None:
        """Refuse texts that name no file, and those that Deno would split."""
        for path in _listed(value):
            if not path or "\0" in path or "," in path:
                raise ValueError(f"{path!r} is not a path without commas")
        return value

    @field_validator("net")
    @classmethod
    def _check_hosts(cls, value: Reach | None) -> Reach | None:
        """Refuse URLs, which would allow nothing."""
        for host in _listed(value):
            if not _TOOL_HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not a host; write `api.example.com` or `localhost:8080`")
        return value

    @field_validator("env")
    @classmethod
    def _check_variables(cls, value: Reach | None) -> Reach | None:
        """Refuse texts that name no variable."""
        for name in _listed(value):
            if not _TOOL_VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a variable")
        return value

    def over(self, other: ToolPermissions) -> ToolPermissions:
        """Return these permissions, with those of `other` for each kind that these do not mention."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        return other.model_copy(update=values)


def _listed(value: Reach | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


class RuntimeSettings(Section):
    """`runtime:`, how runs are executed."""

    max_concurrent_workflows: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Largest number of concurrent runs; others wait. Default 10 on SQLite, 100 on PostgreSQL.",
    )
    queues: tuple[QueueName, ...] = Field(
        default=(),
        description="Queues whose runs servers and workers execute. Default: all.",
    )
    log_level: Literal["debug", "info", "warn", "error"] = Field(
        default="warn", description="Least severe log line shown."
    )
    tool_execution_timeout: DurationS = Field(default=60.0, description="Time limit of a tool call without its own.")
    type: Literal["deno", "node", "bun"] = Field(
        default="deno", description="Runtime of TypeScript tools; only `deno` enforces their permissions."
    )
    entrypoint: str | None = Field(
        default=None,
        min_length=1,
        description="TypeScript file whose exports are tools: those that are defined without `run` or `http`.",
    )
    permissions: ToolPermissions = Field(
        default=ToolPermissions(), description="Default permissions of TypeScript tools."
    )
    python: str | None = Field(
        default=None, min_length=1, description="Interpreter of Python tools. Default: the one that runs Compozy."
    )
    allow_inprocess: bool = Field(
        default=False, description="Whether Python tools can run inside the process of Compozy."
    )
    approve: Approval | ApprovalRule | None = Field(
        default=None, description="Approval of tool calls for which neither the tool nor the agent has an `approve`."
    )
    deny_tools: tuple[str, ...] = Field(
        default=(), description="Tools that are never called: IDs, or patterns such as `github__*`."
    )
    native_tools: NativeToolSettings = Field(
        default=NativeToolSettings(), description="Access of the built-in tools to files and hosts."
    )
    attachments: AttachmentSettings = Field(
        default=AttachmentSettings(), description="Access of attachments to files and hosts."
    )


_METRICS_PATH = re.compile(r"/[A-Za-z0-9._~/-]*[A-Za-z0-9_~-]")
# Paths of the server itself.
_TAKEN_PATHS = re.compile(r"/(api|docs|ui|mcp|healthz|readyz|openapi\.json)(/.*)?")


class MonitoringSettings(Section):
    """`monitoring:`, metrics for Prometheus."""

    enabled: bool = Field(default=False, description="Collect metrics and serve them.")
    path: str = Field(default="/metrics", max_length=200, description="Path of the metrics on servers and workers.")

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        """Refuse a path that no request could have, or that belongs to the server."""
        if not _METRICS_PATH.fullmatch(path) or "//" in path or "/." in path:
            raise ValueError(f"{path!r} is not a path such as `/metrics`")
        if _TAKEN_PATHS.fullmatch(path):
            raise ValueError(f"{path!r} is a path of the server; choose another one")
        return path


class LimitSettings(Section):
    """`limits:`, limits of workflows."""

    max_nesting_depth: int = Field(
        default=20, ge=1, le=30, description="Tasks inside one another; a workflow's own tasks are at depth 1."
    )


class AutoloadSettings(Section):
    """`autoload:`, further workflow files by pattern."""

    enabled: bool = Field(default=True, description="Read the files that `include` names.")
    include: tuple[str, ...] = Field(default=(), description="Patterns of files, from the project's folder.")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of files to leave out.")
