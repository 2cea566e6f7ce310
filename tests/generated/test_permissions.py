"""The table of permissions and the routes of the server contain the same requests."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import cast

from fastapi.routing import APIRoute
from starlette.routing import compile_path

from compozy.auth.identity import GRANTS, LOCAL, PUBLIC, Identity, Permission, Role
from compozy.server.http import ROUTERS
from compozy.server.permissions import LIMITED, OPENED, ROUTES, find_route
from compozy.trigger.registry import TRIGGER_KINDS, TriggerKind

_ELSEWHERE = {("GET", "/openapi.json")}


def _routes() -> set[tuple[str, str]]:
    routes = [cast("APIRoute", route) for router in ROUTERS for route in router.routes]
    return {(method, route.path) for route in routes for method in route.methods or ()}


def _entries() -> set[tuple[str, str]]:
    """The paths of triggers, which accept POST."""
    modules = [import_module(kind.entry) for kind in _kinds() if kind.entry]
    return {("POST", module.PATH) for module in modules}


def _kinds() -> Iterable[TriggerKind]:
    return TRIGGER_KINDS.values()


def test_every_route_has_a_permission() -> None:
    """A new route needs a line in `ROUTES` of server/permissions.py. Without it, only administrators can use it."""
    assert set(ROUTES) == _routes() | _entries() | _ELSEWHERE


def test_only_these_routes_are_public() -> None:
    public = {path for (_, path), permission in ROUTES.items() if permission is Permission.PUBLIC}
    assert public == {
        "/",
        "/ui",
        "/ui/{path:path}",
        "/docs",
        "/docs/docs.css",
        "/docs/docs.js",
        "/healthz",
        "/readyz",
        "/api/v0/hooks/{slug}",
        "/api/v0/auth/login",
        "/api/v0/auth/logout",
        "/api/v0/auth/methods",
        "/api/v0/auth/oidc/login",
        "/api/v0/auth/oidc/callback",
    }


def test_the_other_tables_name_routes() -> None:
    assert set(ROUTES) >= LIMITED | OPENED


def test_a_path_is_that_of_the_router() -> None:
    """The router uses the first route that matches, and the table must find the same one."""
    for method, path in sorted(_routes()):
        concrete = path.replace(":path}", "}").format(**dict.fromkeys(compile_path(path)[2], "x"))
        assert find_route(method, concrete).key == (method, path)


def test_unknown_routes_and_roles() -> None:
    assert find_route("GET", "/api/v0/nothing").permission is None
    assert find_route("PUT", "/api/v0/project").permission is None
    nobody = Identity(name="x", role=None, credential="none")
    assert [nobody.may(each) for each in Permission] == [each is Permission.PUBLIC for each in Permission]
    assert not PUBLIC.may(Permission.READ)
    assert all(LOCAL.may(each) for each in Permission)


def test_each_role_permits_what_the_weaker_one_does() -> None:
    assert GRANTS[Role.VIEWER] < GRANTS[Role.USER] < GRANTS[Role.ADMIN] == set(Permission)
