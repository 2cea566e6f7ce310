"""Users and API keys over HTTP."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from compozy.auth.accounts import (
    DEFAULT_OVERLAP_S,
    MAX_NAME,
    KeyRequest,
    change_user,
    create_key,
    create_user,
    get_key,
    list_key_documents,
    list_user_documents,
    remove_user,
    revoke,
    rotate_key,
)
from compozy.auth.identity import Identity, Permission, Role
from compozy.auth.passwords import MAX_LENGTH, MIN_LENGTH, hash_password
from compozy.config.duration import TimeLimitS
from compozy.errors import ForbiddenError, UsageError
from compozy.server.body import ParsedRoute
from compozy.server.gate import gate_of, identity_of
from compozy.server.problems import JsonResponse
from compozy.server.routes import PREFIX, problems, service_of

RoleName = Literal["admin", "user", "viewer"]
KeyId = Annotated[str, Path(description="ID or prefix of the API key.", max_length=128)]
UserId = Annotated[str, Path(description="ID or email address of the user.", max_length=256)]

router = APIRouter(
    prefix=PREFIX,
    default_response_class=JsonResponse,
    route_class=ParsedRoute,
    responses=problems(400, 401, 403, 413, 415, 422, 500, 503),
    tags=["users and keys"],
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KeyBody(_Body):
    """An API key to create."""

    name: str = Field(min_length=1, max_length=MAX_NAME, description="Purpose of the key.")
    role: RoleName | None = Field(default=None, description="Role of the key, at most that of its user. Default: that.")
    workflows: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default=[], max_length=100, description="The only workflows that the key can be used for. Default: all."
    )
    expires_in: TimeLimitS | None = Field(default=None, description="Time until the key expires. Default: never.")
    user: str | None = Field(
        default=None, max_length=256, description="ID or email address of its user. Default: the caller."
    )


class RotateBody(_Body):
    """The replacement of a key."""

    overlap: float = Field(
        default=DEFAULT_OVERLAP_S, ge=0, le=30 * 86400, description="Seconds that the old key stays valid."
    )


class UserBody(_Body):
    """A user to create."""

    email: str = Field(min_length=3, max_length=255, description="Email address; upper and lower case are the same.")
    role: RoleName = Field(default="user", description="Role of the user.")


class UserChange(_Body):
    """Changes of a user."""

    role: RoleName | None = Field(default=None, description="New role of the user. Default: unchanged.")
    password: SecretStr | None = Field(
        default=None,
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        description="New password of the user; their sessions end. Default: unchanged.",
    )


class KeyInfo(BaseModel):
    """An API key without the key itself."""

    key_id: str
    name: str
    user: str = Field(description="Email address of its user.")
    role: str
    workflows: list[str] | None = Field(description="The only workflows that it can be used for; null for all.")
    prefix: str = Field(description="First characters of the key.")
    status: str = Field(description="active, expired or revoked.")
    created_at: str
    expires_at: str | None
    revoked_at: str | None = Field(description="Time from which the key is refused.")
    last_used_at: str | None = Field(description="Last use, accurate to a minute.")


class NewKey(KeyInfo):
    """A new API key."""

    api_key: str = Field(description="The key. It is shown only here.")


class RotatedKey(NewKey):
    """A new API key in place of another one."""

    replaces: KeyInfo


class KeyList(BaseModel):
    """API keys, the oldest first."""

    keys: list[KeyInfo]


class UserInfo(BaseModel):
    """A user."""

    user_id: str
    email: str
    role: str
    has_password: bool
    created_at: str
    updated_at: str


class UserList(BaseModel):
    """Users by email address."""

    users: list[UserInfo]


class Me(BaseModel):
    """The sender of the request."""

    name: str = Field(description="Email address, or `server.api_key`, or `local` if the server needs no credential.")
    role: str
    credential: str = Field(description="The proof, such as `key` and the prefix of an API key.")
    user_id: str | None
    workflows: list[str] | None
    permissions: list[str]


def me_document(who: Identity) -> dict[str, Any]:
    """Return the sender of a request as JSON."""
    return {
        "name": who.name,
        "role": None if who.role is None else who.role.value,
        "credential": who.credential,
        "user_id": who.user_id,
        "workflows": None if who.workflows is None else sorted(who.workflows),
        "permissions": [permission.value for permission in Permission if who.may(permission)],
    }


@router.get("/auth/me", response_model=Me)
async def get_me(request: Request) -> JsonResponse:
    """The user that this request is sent as, and their permissions."""
    return JsonResponse(me_document(identity_of(request)))


@router.get("/auth/keys", response_model=KeyList)
async def list_api_keys(request: Request) -> JsonResponse:
    """The API keys: those of the caller, or for administrators those of all users."""
    query = partial(list_key_documents, user_id=_limit(identity_of(request)))
    return JsonResponse({"keys": await service_of(request).app.database.read_async(query)})


@router.post("/auth/generate", status_code=201, response_model=NewKey, responses=problems(404, 409))
async def generate_api_key(request: Request, body: KeyBody) -> JsonResponse:
    """Create an API key. The answer is the only place where the key is shown."""
    who = identity_of(request)
    _refuse_keys(who)
    if body.user is None and who.user_id is None:
        raise UsageError(f"{who.name} has no API keys", hint="name the user of the key in `user`")
    user = body.user or str(who.user_id)
    if not who.may(Permission.MANAGE) and user not in {who.user_id, who.name}:
        raise ForbiddenError("only administrators can create keys for other users")
    service_of(request).app.project.require_workflows(body.workflows)
    wanted = KeyRequest(
        name=body.name, user=user, role=body.role, workflows=body.workflows, expires_in_s=body.expires_in
    )
    key = await service_of(request).app.database.write_async(partial(create_key, request=wanted))
    return JsonResponse(key, status_code=201)


@router.post("/auth/keys/{key_id}/rotate", status_code=201, response_model=RotatedKey, responses=problems(404, 409))
async def rotate_api_key(request: Request, key_id: KeyId, body: RotateBody | None = None) -> JsonResponse:
    """Create a key like another one, which stays valid for a while."""
    who = identity_of(request)
    _refuse_keys(who)
    database = service_of(request).app.database
    old = await database.read_async(partial(get_key, text=key_id))
    if old.user_id != (_limit(who) or old.user_id):
        raise ForbiddenError("this API key belongs to another user", hint="an administrator can rotate it")
    overlap_s = (body or RotateBody()).overlap
    key = await database.write_async(partial(rotate_key, text=old.key_id, overlap_s=overlap_s))
    gate_of(request).forget()
    return JsonResponse(key, status_code=201)


@router.delete("/auth/keys/{key_id}", response_model=KeyInfo, responses=problems(404))
async def revoke_api_key(request: Request, key_id: KeyId) -> JsonResponse:
    """Revoke an API key. Revoking it again changes nothing."""
    who = identity_of(request)
    database = service_of(request).app.database
    known = await database.read_async(partial(get_key, text=key_id))
    if who.key_id not in {None, known.key_id} and not who.may(Permission.MANAGE):
        raise ForbiddenError("an API key can revoke only itself", hint="an administrator can revoke the others")
    key = await database.write_async(partial(revoke, text=known.key_id, only_of=_limit(who)))
    gate_of(request).forget()
    return JsonResponse(key)


@router.get("/users", response_model=UserList)
async def list_users(request: Request) -> JsonResponse:
    """The users of this server."""
    return JsonResponse({"users": await service_of(request).app.database.read_async(list_user_documents)})


@router.post("/users", status_code=201, response_model=UserInfo, responses=problems(409))
async def add_user(request: Request, body: UserBody) -> JsonResponse:
    """Create a user."""
    change = partial(create_user, email=body.email, role=body.role)
    return JsonResponse(await service_of(request).app.database.write_async(change), status_code=201)


@router.patch("/users/{user_id}", response_model=UserInfo, responses=problems(404, 409))
async def update_user(request: Request, user_id: UserId, body: UserChange) -> JsonResponse:
    """Change the role or the password of a user. A role applies to their keys immediately."""
    hashed = None
    if body.password is not None:
        async with gate_of(request).password_checks:
            hashed = await asyncio.to_thread(hash_password, body.password.get_secret_value())
    change = partial(change_user, text=user_id, role=body.role, password=hashed)
    user = await service_of(request).app.database.write_async(change)
    gate_of(request).forget()
    return JsonResponse(user)


@router.delete("/users/{user_id}", response_model=UserInfo, responses=problems(404, 409))
async def delete_user(request: Request, user_id: UserId) -> JsonResponse:
    """Delete a user with all their API keys."""
    user = await service_of(request).app.database.write_async(partial(remove_user, text=user_id))
    gate_of(request).forget()
    return JsonResponse(user)


def _limit(who: Identity) -> str | None:
    """Return the only user whose keys are shown and changed; None for all."""
    return None if who.may(Permission.MANAGE) else who.user_id


def _refuse_keys(who: Identity) -> None:
    """Refuse to create a key for a key: a thief of one would keep access after it was revoked."""
    if who.key_id is not None and who.role is not Role.ADMIN:
        raise ForbiddenError(
            "an API key cannot create keys, except that of an administrator",
            hint="sign in, or ask an administrator for a key",
        )
