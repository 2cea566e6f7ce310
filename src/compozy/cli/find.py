"""Which server a command asks: the one that is named, or that of the project, or none.

A server is used only when it runs the project of the folder, on the database that the command would use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compozy.cli.options import ProjectOptions
from compozy.cli.output import print_note
from compozy.client import Client, Document
from compozy.database.owner import read_server_url
from compozy.errors import AuthenticationError, CompozyError, NotFoundError, ServerError, UsageError
from compozy.project.address import DEFAULT_HOST, DEFAULT_PORT, ProjectAddress, read_address
from compozy.project.sources import CONFIG_NAME, ConfigFiles, find_config_file, search_upwards

# A port on this machine answers immediately, or it is the wrong one.
_GLANCE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search for a server, as the options of a command describe it.

    Args:
        server: URL from `--server`; None looks for one.
        config: what `--config` says.
        overrides: settings from flags, see `project.load`.
        quiet: print nothing.
        files: the files of settings that the command has read.
        knows: asks a server for what it has to have to be asked without a project; None for nothing.
    """

    server: str | None
    config: Path | None
    overrides: Mapping[str, tuple[Any, str]] = field(default_factory=dict[str, tuple[Any, str]])
    quiet: bool = False
    files: ConfigFiles = field(default_factory=ConfigFiles)
    knows: Callable[[Client], object] | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """A server to ask, and what it says of its project. `where` is its database in the words of the user."""

    client: Client
    project: Document
    where: str


def search_for(options: ProjectOptions, knows: Callable[[Client], object] | None = None) -> Search:
    """Return what a command says about the server that it wants; see `Search` for `knows`."""
    return Search(
        server=options.server,
        config=options.config_file,
        overrides=options.overrides,
        quiet=options.quiet,
        files=options.files,
        knows=knows,
    )


def look(search: Search) -> Found | None:
    """Return the server to ask, as the environment of this process says; None to open the database itself.

    Raises:
        UsageError: there is neither a project nor a server; see `find_server`.
    """
    cwd, environ = current_folder(), os.environ
    named = search.server or environ.get("COMPOZY_BASE_URL")
    if not named and not has_project(search.config, cwd=cwd, environ=environ):
        return find_without_project(search, cwd=cwd, environ=environ)
    return find_server(search, cwd=cwd, environ=environ)


def find_server(search: Search, *, cwd: Path, environ: Mapping[str, str]) -> Found | None:
    """Return the server to ask; None when the command is to open the database itself.

    Raises:
        UsageError: there is neither a project nor a server, or the named one runs another project.
        ServerError: the named one does not answer.
        AuthenticationError: it wants a key.
    """
    named = search.server or environ.get("COMPOZY_BASE_URL") or None
    address = _read_address(search, cwd, environ, required=named is None)
    key = environ.get("COMPOZY_API_KEY") or (address.api_key if address else None)
    if named is not None:
        return _named(search, named.rstrip("/"), address, key)
    if address is None:
        return None
    return _owner_of_file(address, key) or _configured(search, address, key)


def find_without_project(search: Search, *, cwd: Path, environ: Mapping[str, str]) -> Found:
    """Return the server at the default address, which has to know what the command asks for.

    Raises:
        UsageError: there is none, or it does not.
    """
    url = f"http://{DEFAULT_HOST}:{environ.get('SERVER_PORT') or DEFAULT_PORT}"
    client = Client(url=url, api_key=environ.get("COMPOZY_API_KEY") or environ.get("SERVER_API_KEY"))
    with _closing_on_error(client):
        try:
            project = client.project()
        except ServerError as error:
            hint = (
                "create a project with `compozy init`, or specify its file with `--config` or a server with `--server`"
            )
            raise UsageError(f"no {CONFIG_NAME} in {cwd} and no server at {url}", hint=hint) from error
        try:
            if search.knows is not None:
                search.knows(client)
        except NotFoundError as error:
            runs = f"the server at {url} runs the project {project['name']!r}"
            raise UsageError(f"no {CONFIG_NAME} in {cwd}, and {runs}: {error.message}", hint=error.hint) from error
    if not search.quiet:
        print_note(f"note: using the server at {url} (project {project['name']!r})")
    return Found(client=client, project=project, where=url)


def has_project(config: Path | None, *, cwd: Path, environ: Mapping[str, str]) -> bool:
    """Return whether there is a project here, or one is named, be it there or not."""
    if config is not None or environ.get("COMPOZY_CONFIG_FILE"):
        return True
    return search_upwards(cwd) is not None


def current_folder() -> Path:
    """Return the folder that the caller is in.

    Raises:
        UsageError: it is gone.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError("the current folder no longer exists", hint="change to an existing folder") from error


def _read_address(search: Search, cwd: Path, environ: Mapping[str, str], *, required: bool) -> ProjectAddress | None:
    if not required and not has_project(search.config, cwd=cwd, environ=environ):
        return None
    file = find_config_file(search.config, cwd=cwd, environ=environ)
    return read_address(file, cwd=cwd, overrides=search.overrides, environ=environ, files=search.files)


def _named(search: Search, url: str, address: ProjectAddress | None, key: str | None) -> Found:
    if search.overrides:
        flags = " and ".join(flag for _, flag in search.overrides.values())
        raise UsageError(f"a server has its own database: omit {flags} or the server")
    client = Client(url=url, api_key=key)
    with _closing_on_error(client):
        project = client.project()
        if address is not None and project["name"] != address.name:
            raise UsageError(
                f"the server at {url} runs the project {project['name']!r}, and this is {address.name!r}",
                hint="specify that project's server, or omit the server",
            )
    return Found(client=client, project=project, where=url)


def _owner_of_file(address: ProjectAddress, key: str | None) -> Found | None:
    """Return the server that executes runs on the project's SQLite file."""
    url = read_server_url(address.database_path) if address.database_path else None
    if url is None:
        return None
    client = Client(url=url, api_key=key)
    try:
        with _closing_on_error(client):
            project = client.project()
    except ServerError:
        # It ends, or it cannot be reached from here; opening the file then reports its owner.
        return None
    if project["name"] != address.name:
        client.close()
        return None
    return Found(client=client, project=project, where=address.location)


def _configured(search: Search, address: ProjectAddress, key: str | None) -> Found | None:
    """Return the server at `server.host:port`, if it is this project's."""
    shown = f"[{address.host}]" if ":" in address.host else address.host
    url = f"http://{_client_host(shown)}:{address.port}"
    project = _glance(url, address, key) if address.port else None
    if project is None:
        return None
    if project["name"] == address.name and project["database"]["fingerprint"] == address.fingerprint:
        return Found(client=Client(url=url, api_key=key), project=project, where=address.location)
    if not search.quiet:
        other = f"the project {project['name']!r}" if project["name"] != address.name else "on another database"
        print_note(f"note: the server at {url} runs {other}; this command opens {address.location} itself")
    return None


def _glance(url: str, address: ProjectAddress, key: str | None) -> Document | None:
    """Return a server's description of its project, without sending the API key."""

    def ask(given: str | None) -> Document:
        with closing(Client(url=url, api_key=given, timeout_s=_GLANCE_S)) as client:
            return client.project()

    try:
        return ask(None)
    except AuthenticationError:
        # A server of a SQLite file would have been found next to it.
        if key is None or address.database_path is not None:
            return None
    except CompozyError:
        return None
    try:
        return ask(key)
    except CompozyError:
        return None


@contextmanager
def _closing_on_error(client: Client) -> Generator[None]:
    """Close the client's connection if the block raises an error."""
    try:
        yield
    except BaseException:
        client.close()
        raise


def _client_host(host: str) -> str:
    return {"0.0.0.0": DEFAULT_HOST, "[::]": "[::1]"}.get(host, host)  # noqa: S104 - asked, not listened on
