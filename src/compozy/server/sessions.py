"""Signing in with a password: a session in a cookie, of which the database contains only a hash."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from compozy.auth.keys import hash_secret
from compozy.auth.passwords import MAX_LENGTH, is_password
from compozy.clock import now_ms
from compozy.database.audit import AuditEntry, append_audit
from compozy.database.sessions import delete_session, insert_session
from compozy.database.users import User, find_user
from compozy.errors import AuthenticationError
from compozy.ids import new_secret_token
from compozy.server.auth import Me, me_document
from compozy.server.body import ParsedRoute
from compozy.server.gate import address_of, gate_of, identity_of_session, session_token
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of

# A session ends this long after the sign-in.
SESSION_S = 12 * 3600

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 500, 503),
    tags=["users and keys"],
)


class LoginBody(BaseModel):
    """A user and their password."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    email: str = Field(min_length=3, max_length=255, description="Email address of the user.")
    password: SecretStr = Field(max_length=MAX_LENGTH, description="Password of the user.")


class LoggedOut(BaseModel):
    """The end of a session."""

    status: str = Field(description="signed_out.")


@router.post("/auth/login", response_model=Me)
async def login(request: Request, body: LoginBody) -> JsonResponse:
    """Sign in with a password. The session is in a cookie; changes also need the header `X-Compozy-Request`."""
    gate = gate_of(request)
    email = body.email.lower()
    address = address_of(request.scope)
    gate.logins_of_address.take(address or "")
    gate.logins_of_user.take(email)
    database = service_of(request).app.database
    user = await database.read_async(partial(find_user, text=email))
    # Each check needs 32 MiB.
    async with gate.password_checks:
        is_right = await asyncio.to_thread(
            is_password, body.password.get_secret_value(), None if user is None else user.password
        )
    status = 200 if user is not None and is_right else 401
    entry = AuditEntry(actor=email, credential="password", action="login", status=status, address=address)
    await database.write_async(partial(append_audit, entry=entry))
    if user is None or not is_right:
        raise AuthenticationError("the email address or the password is wrong")
    # Only failures count.
    gate.logins_of_address.give_back(address or "")
    gate.logins_of_user.give_back(email)
    answer = JsonResponse(me_document(identity_of_session(user)))
    await open_session(request, user, answer)
    return answer


async def open_session(request: Request, user: User, answer: Response) -> None:
    """Start a session of a user, and set its cookie with the answer."""
    gate, token, now = gate_of(request), new_secret_token(), now_ms()
    store = partial(insert_session, user_id=user.user_id, now_ms=now, expires_ms=now + SESSION_S * 1000)
    await service_of(request).app.database.write_async(partial(store, token_hash=hash_secret(token)))
    answer.set_cookie(
        gate.settings.cookie,
        token,
        max_age=SESSION_S,
        path="/",
        secure=gate.settings.is_secure,
        httponly=True,
        samesite="lax",
    )


@router.post("/auth/logout", response_model=LoggedOut)
async def logout(request: Request) -> JsonResponse:
    """End the session of this request."""
    gate = gate_of(request)
    token = session_token(request.headers, gate.settings)
    if token is not None:
        await service_of(request).app.database.write_async(partial(delete_session, token_hash=hash_secret(token)))
    answer = JsonResponse({"status": "signed_out"})
    answer.delete_cookie(gate.settings.cookie, path="/", secure=gate.settings.is_secure, httponly=True, samesite="lax")
    return answer
