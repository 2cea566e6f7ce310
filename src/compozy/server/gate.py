"""Recognizes the sender of each request, and decides by role, route and workflow whether it is permitted."""

from __future__ import annotations

import asyncio
import hmac
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import structlog
from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import Scope

from compozy.auth.identity import LOCAL, PUBLIC, Identity, Permission, Role, read_role, weaker
from compozy.auth.keys import hash_secret, is_key
from compozy.clock import format_time, monotonic_s, now_ms
from compozy.config.auth_sections import TrustedProxySettings
from compozy.config.loopback import is_loopback
from compozy.database.api_keys import ApiKey, find_key_by_hash, note_use
from compozy.database.database import Database
from compozy.database.executions import execution_not_found, get_workflow_id, is_execution_id
from compozy.database.sessions import find_session
from compozy.database.users import User, find_user
from compozy.errors import AuthenticationError, DatabaseError, ForbiddenError, NotFoundError
from compozy.server.limits import Rate, RateLimiter
from compozy.server.permissions import LIMITED, OPENED, Route, find_route
from compozy.server.proxied import proxied_email, proxied_identity

_log = structlog.get_logger(__name__)

# The place of the sender in the scope of a request.
IDENTITY = "compozy.identity"
# The same for code that has no request: tools of `/mcp`, whose SDK calls them in the context of the request.
SENDER: ContextVar[Identity] = ContextVar("compozy_sender", default=LOCAL)
SERVER_KEY = "server.api_key"
# Requests of a session that change something need this header.
OWN_HEADER = "X-Compozy-Request"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Orchestrator probes send no key and any host name; the answer only shows that the server runs.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
# A key that was looked up is believed this long; a key that another process revoked is refused after it.
_BELIEVED_S = 0.5
_MAX_BELIEVED = 1000
# Failed sign-ins, per client address and per user. A proxy has one address for all its clients.
_LOGINS = Rate(limit=20, period_s=900)
_USER_LOGINS = Rate(limit=5, period_s=900)
# The last use of a key is stored this often.
_NOTED_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Settings that requests are checked against.

    Args:
        host: the address that the server listens on.
        api_key: the key of `server.api_key`.
        auth: whether `server.auth.enabled` asks for a credential on loopback too.
        public_workflows: workflows that can be run without a credential.
        metrics_path: path of the metrics, None if there are none.
        public_url: the URL that clients use, such as that of a proxy, without a path.
        address_rate: limit of requests per client address.
        key_rate: limit of requests per API key.
        trusted_proxy: a proxy that names users in a header.
        has_oidc: whether users sign in with an OpenID Connect provider.
    """

    host: str
    api_key: str | None = field(repr=False)
    auth: bool = False
    public_workflows: frozenset[str] = frozenset()
    metrics_path: str | None = None
    public_url: str | None = None
    address_rate: Rate | None = None
    key_rate: Rate | None = None
    trusted_proxy: TrustedProxySettings | None = None
    has_oidc: bool = False

    @property
    def is_secure(self) -> bool:
        """Whether clients use TLS, so that cookies can require it."""
        return (self.public_url or "").startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the cookie of a session; with its prefix, browsers accept it from this host alone."""
        return "__Host-compozy_session" if self.is_secure else "compozy_session"

    @property
    def is_auth_required(self) -> bool:
        """Whether requests need a credential; otherwise all of them are sent by the administrator `local`."""
        has_users = self.auth or self.has_oidc or self.trusted_proxy is not None
        return has_users or bool(self.api_key or self.public_url) or not is_loopback(self.host)


@dataclass(kw_only=True)
class Gate:
    """Recognizes the senders of requests, and refuses what their role or their key does not permit."""

    database: Database
    settings: GuardSettings
    _believed: dict[str, tuple[float, ApiKey, User]] = field(default_factory=dict[str, tuple[float, ApiKey, User]])
    # A check of a password needs 32 MiB.
    password_checks: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, 2))
    logins_of_address: RateLimiter = field(default_factory=partial(RateLimiter, rate=_LOGINS, what="address"))
    logins_of_user: RateLimiter = field(default_factory=partial(RateLimiter, rate=_USER_LOGINS, what="user"))
    _addresses: RateLimiter = field(init=False)
    _keys: RateLimiter = field(init=False)
    _noting: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def __post_init__(self) -> None:
        """Create the limiters."""
        self._addresses = RateLimiter(rate=self.settings.address_rate, what="address")
        self._keys = RateLimiter(rate=self.settings.key_rate, what="API key")

    async def admit(self, scope: Scope) -> Identity:
        """Return the sender of a request.

        Raises:
            AuthenticationError: it lacks a valid credential.
            RateLimitError: its client sent too many.
        """
        route = self._route(scope)
        if scope["path"] not in OPEN_PATHS:
            self._addresses.take(address_of(scope) or "")
        if route.permission is Permission.PUBLIC or not self.settings.is_auth_required:
            return PUBLIC if self.settings.is_auth_required else LOCAL
        headers = Headers(scope=scope)
        if self._is_opened(route) and "authorization" not in headers:
            return PUBLIC
        identity = await self._recognize(scope, headers)
        self._keys.take(identity.key_id or identity.name)
        return identity

    async def _recognize(self, scope: Scope, headers: Headers) -> Identity:
        """Return the sender by their key, by the header of a trusted proxy, or by their session."""
        if "authorization" in headers:
            return await self._identify(headers)
        proxy = self.settings.trusted_proxy
        email = proxied_email(proxy, address_of(scope), headers)
        if proxy is None or email is None:
            return await self._identify_session(scope["method"], headers)
        identity = proxied_identity(proxy, email, await self.database.read_async(partial(find_user, text=email)))
        _require_own_header(scope["method"], headers)
        return identity

    async def authorize(self, identity: Identity, scope: Scope) -> None:
        """Refuse a request that its sender may not send.

        Raises:
            ForbiddenError: the role or the key of its sender does not permit it.
            NotFoundError: it is for a path that does not exist, or for a run of a workflow that the key is not for.
        """
        route = self._route(scope)
        if identity.role is None and (route.permission is Permission.PUBLIC or self._is_opened(route)):
            return
        await self._authorize(identity, route)

    def _route(self, scope: Scope) -> Route:
        route = find_route(scope["method"], scope["path"])
        if route.permission is None and route.key == ("GET", self.settings.metrics_path):
            return replace(route, permission=Permission.READ)
        return route

    def forget(self) -> None:
        """Look up every key again, after one was changed by this process."""
        self._believed.clear()

    def _is_opened(self, route: Route) -> bool:
        return route.key in OPENED and route.parts["workflow_id"] in self.settings.public_workflows

    async def _identify(self, headers: Headers) -> Identity:
        given = headers.getlist("authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            raise _no_key()
        key = key.strip()
        own = self.settings.api_key
        # Compared as bytes, because header values need not be ASCII, and in constant time.
        if own is not None and hmac.compare_digest(key.encode(), own.encode()):
            return Identity(name=SERVER_KEY, role=Role.ADMIN, credential=SERVER_KEY)
        if not is_key(key):
            raise _no_key()
        return self._identity_of(*await self._find_key(hash_secret(key)))

    async def _identify_session(self, method: str, headers: Headers) -> Identity:
        token = session_token(headers, self.settings)
        if token is None:
            raise _no_key()
        query = partial(find_session, token_hash=hash_secret(token), now_ms=now_ms())
        user = await self.database.read_async(query)
        if user is None:
            raise AuthenticationError("the session has ended", hint="sign in again")
        _require_own_header(method, headers)
        return identity_of_session(user)

    async def _find_key(self, key_hash: str) -> tuple[ApiKey, User]:
        believed = self._believed.get(key_hash)
        if believed is not None and monotonic_s() - believed[0] < _BELIEVED_S:
            return believed[1:]
        found = await self.database.read_async(partial(find_key_by_hash, key_hash=key_hash))
        if found is None:
            raise _no_key()
        if len(self._believed) >= _MAX_BELIEVED:
            self._believed.clear()
        self._believed[key_hash] = (monotonic_s(), *found)
        return found

    def _identity_of(self, key: ApiKey, user: User) -> Identity:
        now = now_ms()
        match key.status(now):
            case "revoked":
                raise AuthenticationError(f"the API key {key.prefix} was revoked", hint="use another key")
            case "expired":
                expired = format_time(key.expires_ms)
                raise AuthenticationError(f"the API key {key.prefix} expired at {expired}", hint="use another key")
            case _:
                self._note_use(key, now)
        roles = read_role(key.role), read_role(user.role)
        return Identity(
            name=user.email,
            # A role that this version does not know permits nothing.
            role=None if roles[0] is None or roles[1] is None else weaker(roles[0], roles[1]),
            credential=f"key {key.prefix}",
            user_id=user.user_id,
            key_id=key.key_id,
            workflows=None if key.workflows is None else frozenset(key.workflows),
        )

    def _note_use(self, key: ApiKey, now: int) -> None:
        """Store the last use of a key, rarely and without delaying the request."""
        if key.last_used_ms is not None and now - key.last_used_ms < _NOTED_MS:
            return
        believed = self._believed.get(key.hash)
        if believed is not None:
            # So that concurrent requests store it once.
            self._believed[key.hash] = (believed[0], _used(key, now), believed[2])
        task = asyncio.create_task(self._store_use(key.key_id, now))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _store_use(self, key_id: str, now: int) -> None:
        try:
            await self.database.write_async(partial(note_use, key_id=key_id, at_ms=now))
        except DatabaseError as error:
            _log.warning("the last use of an API key was not stored", key_id=key_id, error=error.message)

    async def _authorize(self, identity: Identity, route: Route) -> None:
        if route.permission is None:
            if identity.role is Role.ADMIN and identity.workflows is None:
                return
            raise NotFoundError(f"{route.method} {route.path}: not found", hint="see /docs for the list of paths")
        if not identity.may(route.permission):
            raise _not_permitted(identity, f"{route.method} {route.path}")
        if identity.workflows is not None:
            await self._check_workflows(identity, identity.workflows, route)

    async def _check_workflows(self, identity: Identity, workflows: frozenset[str], route: Route) -> None:
        """Refuse a route about anything but the workflows that a key is limited to."""
        workflow_id = route.parts.get("workflow_id")
        execution_id = route.parts.get("execution_id")
        if execution_id is not None and "base_id" not in route.parts:
            query = partial(get_workflow_id, workflow_exec_id=execution_id)
            if not is_execution_id(execution_id) or await self.database.read_async(query) not in workflows:
                # Whether a run of another workflow exists is not shown.
                raise execution_not_found(execution_id)
            return
        if workflow_id in workflows or (workflow_id is None and route.key in LIMITED):
            return
        about = "is not about one of them" if workflow_id is None else f"is about {workflow_id!r}"
        names = ", ".join(sorted(workflows))
        raise ForbiddenError(
            f"this API key is limited to the workflows {names}; {route.method} {route.path} {about}",
            hint="use a key without this limit",
            details={"workflows": sorted(workflows), "credential": identity.credential},
        )


def _require_own_header(method: str, headers: Headers) -> None:
    if method not in _SAFE and OWN_HEADER not in headers:
        # A form of another web page can send the cookie, of this server or of its proxy, but not this header.
        raise ForbiddenError(f"the header {OWN_HEADER} is missing", hint=f"send `{OWN_HEADER}: 1`")


def session_token(headers: Headers, settings: GuardSettings) -> str | None:
    """Return the token in the cookie of a request; None if it has none, or several."""
    name = f"{settings.cookie}="
    pairs = [pair.strip() for value in headers.getlist("cookie") for pair in value.split(";")]
    tokens = [pair.removeprefix(name) for pair in pairs if pair.startswith(name)]
    return tokens[0] if len(tokens) == 1 and tokens[0] else None


def identity_of_session(user: User) -> Identity:
    """Return the identity of a user who signed in."""
    return Identity(name=user.email, role=read_role(user.role), credential="session", user_id=user.user_id)


def identity_of(request: Request) -> Identity:
    """Return the sender of a request."""
    return cast("Identity", request.scope[IDENTITY])


def may_see(request: Request, workflow_id: str) -> bool:
    """Return whether the sender may see what belongs to a workflow, which a key can be limited to."""
    limit = identity_of(request).workflows
    return limit is None or workflow_id in limit


def refuse_chosen_id(request: Request, execution_id: str | None) -> None:
    """Refuse an execution ID that someone without a credential chose: a run of this ID would be shown to them."""
    if execution_id is not None and identity_of(request).role is None:
        raise ForbiddenError("choosing an execution ID requires an API key", hint="leave out `execution_id`")


def address_of(scope: Scope) -> str | None:
    """Return the address of the client."""
    client: tuple[str, int] | None = scope.get("client")
    return None if client is None else client[0]


def gate_of(request: Request) -> Gate:
    """Return the gate of the application."""
    return cast("Gate", request.app.state.gate)


def _used(key: ApiKey, now: int) -> ApiKey:
    return replace(key, last_used_ms=now)


def _no_key() -> AuthenticationError:
    return AuthenticationError(
        "the API key is missing or wrong",
        hint="send `Authorization: Bearer KEY`; commands read it from COMPOZY_API_KEY",
    )


def _not_permitted(identity: Identity, what: str) -> ForbiddenError:
    role = "none" if identity.role is None else identity.role.value
    return ForbiddenError(
        f"the role {role!r} does not permit {what}",
        hint="ask an administrator for another role or key",
        details={"role": role, "credential": identity.credential},
    )
