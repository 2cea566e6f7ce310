"""Signing in with an OpenID Connect provider: two redirects, and the session that a password gives as well."""

from __future__ import annotations

import base64
import hmac
import json
import re
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse

from compozy.auth.accounts import sign_in_person
from compozy.config.loopback import is_loopback
from compozy.database.audit import AuditEntry, append_audit
from compozy.errors import AuthenticationError, CompozyError, NotFoundError, UsageError
from compozy.ids import new_secret_token
from compozy.installation import extra_hint
from compozy.project.loaded import LoadedProject
from compozy.server.gate import GuardSettings, address_of, gate_of
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of
from compozy.server.sessions import open_session

if TYPE_CHECKING:
    from compozy.auth.oidc import Attempt, OidcProvider

CALLBACK = f"{PREFIX}/auth/oidc/callback"
# A sign-in that was started is valid so long.
_ATTEMPT_S = 600
_MAX_COOKIE = 2048
# A path of this server; two slashes would be another host.
_OWN_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\]*")

# Not a `ParsedRoute`: providers add their own parameters to the callback.
router = APIRouter(
    prefix=f"{PREFIX}/auth",
    default_response_class=JsonResponse,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 500, 502, 503),
    tags=["users and keys"],
)


class SignInMethods(BaseModel):
    """How people can sign in to this server."""

    password: bool = Field(description="With POST /auth/login.")
    oidc: str | None = Field(description="Path that leads to the OpenID Connect provider; null for none.")


def check_oidc(project: LoadedProject) -> None:
    """Refuse to serve a project whose provider could not be used.

    Raises:
        UsageError: the package is missing, or the server does not know its own URL.
    """
    if project.server.auth.oidc is None:
        return
    if find_spec("joserfc") is None:
        raise UsageError("server.auth.oidc needs joserfc, which is not installed", hint=extra_hint("oidc"))
    if project.server.public_url is None and not is_loopback(project.server.host):
        raise UsageError(
            "server.auth.oidc needs server.public_url, to which the provider sends people back",
            hint="set it to the URL that browsers use, such as https://compozy.example.com",
        )


@router.get("/methods", response_model=SignInMethods)
async def list_sign_in_methods(request: Request) -> JsonResponse:
    """The ways to sign in."""
    has_oidc = service_of(request).app.project.server.auth.oidc is not None
    return JsonResponse({"password": True, "oidc": f"{PREFIX}/auth/oidc/login" if has_oidc else None})


@router.get("/oidc/login", status_code=302, response_class=RedirectResponse, responses=problems(404))
async def start_oidc_login(
    request: Request,
    next_path: Annotated[str, Query(alias="next", description="Path to return to.", max_length=512)] = "/",
) -> RedirectResponse:
    """Go to the OpenID Connect provider to sign in."""
    from compozy.auth.oidc import Attempt

    provider, gate = _provider(request), gate_of(request)
    gate.logins_of_address.take(address_of(request.scope) or "")
    attempt = Attempt(state=new_secret_token(), nonce=new_secret_token(), verifier=new_secret_token())
    url = await provider.login_url(attempt, _redirect_uri(request))
    gate.logins_of_address.give_back(address_of(request.scope) or "")
    answer = RedirectResponse(url, status_code=302, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        _cookie(gate.settings),
        _encode(attempt, next_path if _OWN_PATH.fullmatch(next_path) else "/"),
        max_age=_ATTEMPT_S,
        path="/",
        secure=gate.settings.is_secure,
        httponly=True,
        # The provider sends the browser back with a GET.
        samesite="lax",
    )
    return answer


@router.get("/oidc/callback", status_code=302, response_class=RedirectResponse, responses=problems(404))
async def finish_oidc_login(
    request: Request,
    code: Annotated[str | None, Query(description="Code of the provider.", max_length=4096)] = None,
    state: Annotated[str | None, Query(description="Value of the attempt.", max_length=256)] = None,
    iss: Annotated[str | None, Query(description="Issuer.", max_length=2048)] = None,
    error: Annotated[str | None, Query(description="Error of the provider.", max_length=256)] = None,
) -> RedirectResponse:
    """Finish a sign-in with the OpenID Connect provider and start a session."""
    provider, gate = _provider(request), gate_of(request)
    address = address_of(request.scope) or ""
    gate.logins_of_address.take(address)
    attempt, next_path = _read_attempt(request, state)
    try:
        if iss is not None and iss != provider.settings.issuer:
            raise AuthenticationError("the sign-in failed: another provider answered", hint="sign in again")
        if error is not None or not code:
            reason = error if error is not None and re.fullmatch(r"[a-z_]{1,64}", error) else "no code"
            raise AuthenticationError(f"the sign-in failed: the provider answered {reason}", hint="sign in again")
        person = await provider.sign_in(attempt, code, _redirect_uri(request))
        default = provider.settings.default_role
        database = service_of(request).app.database
        user = await database.write_async(partial(sign_in_person, person=person, default_role=default))
    except CompozyError as refusal:
        await _record(request, "unknown", refusal.http_status)
        raise
    gate.logins_of_address.give_back(address)
    await _record(request, user.email, 302)
    answer = RedirectResponse(next_path, status_code=302, headers={"Cache-Control": "no-store"})
    await open_session(request, user, answer)
    answer.delete_cookie(_cookie(gate.settings), path="/", secure=gate.settings.is_secure, httponly=True)
    return answer


async def _record(request: Request, actor: str, status: int) -> None:
    entry = AuditEntry(actor=actor, credential="oidc", action="login", status=status, address=address_of(request.scope))
    await service_of(request).app.database.write_async(partial(append_audit, entry=entry))


def _provider(request: Request) -> OidcProvider:
    """Return the provider of the project, one for each process."""
    settings = service_of(request).app.project.server.auth.oidc
    if settings is None:
        raise NotFoundError("this server has no OpenID Connect provider", hint="set server.auth.oidc")
    from compozy.auth.oidc import OidcProvider

    state = request.app.state
    if getattr(state, "oidc", None) is None:
        state.oidc = OidcProvider(settings=settings)
    return cast("OidcProvider", state.oidc)


def _redirect_uri(request: Request) -> str:
    # Without a public URL the server is on loopback, where the guard has checked the header.
    base = gate_of(request).settings.public_url or f"http://{request.headers.get('host', '')}"
    return f"{base}{CALLBACK}"


def _cookie(settings: GuardSettings) -> str:
    return "__Host-compozy_oidc" if settings.is_secure else "compozy_oidc"


def _encode(attempt: Attempt, next_path: str) -> str:
    values = [attempt.state, attempt.nonce, attempt.verifier, next_path]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read_attempt(request: Request, state: str | None) -> tuple[Attempt, str]:
    """Return the attempt of this browser, and the path to return to.

    Raises:
        AuthenticationError: this browser has started none, or another one.
    """
    from compozy.auth.oidc import Attempt

    values = _decode(request.cookies.get(_cookie(gate_of(request).settings), ""))
    if values is None or state is None or not hmac.compare_digest(values[0].encode(), state.encode()):
        raise AuthenticationError(
            "the sign-in has expired, or was started in another browser", hint="start it again at /auth/oidc/login"
        )
    attempt = Attempt(state=values[0], nonce=values[1], verifier=values[2])
    return attempt, values[3] if _OWN_PATH.fullmatch(values[3]) else "/"


def _decode(text: str) -> list[str] | None:
    if len(text) > _MAX_COOKIE:
        return None
    try:
        values: Any = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    if not isinstance(values, list):
        return None
    texts = [value for value in cast("list[Any]", values) if isinstance(value, str)]
    return texts if len(texts) == 4 and len(texts) == len(cast("list[Any]", values)) else None
