"""The permission that each route of the server requires, in one table.

A request to a route that is not listed is refused to everyone but administrators, who get the router's answer.
`tests/generated` compares the table with the routes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from starlette.routing import compile_path

from compozy.auth.identity import Permission

_API = "/api/v0"
_RUN = f"{_API}/executions/workflows/{{execution_id}}"
_BASE = f"{_API}/knowledge-bases/{{base_id}}"
_MEMORY = f"{_API}/memory/{{memory_id}}"
_SCHEDULE = f"{_API}/schedules/{{schedule_id}}"
_WORKFLOW = f"{_API}/workflows/{{workflow_id}}"
WEBHOOK = f"{_API}/hooks/{{slug}}"

ROUTES: Mapping[tuple[str, str], Permission] = {
    # Pages without anything of the project, and probes.
    ("GET", "/"): Permission.PUBLIC,
    ("GET", "/ui"): Permission.PUBLIC,
    ("GET", "/ui/{path:path}"): Permission.PUBLIC,
    ("GET", "/docs"): Permission.PUBLIC,
    ("GET", "/docs/docs.css"): Permission.PUBLIC,
    ("GET", "/docs/docs.js"): Permission.PUBLIC,
    ("GET", "/healthz"): Permission.PUBLIC,
    ("GET", "/readyz"): Permission.PUBLIC,
    # Other services: a webhook verifies its sender itself.
    ("POST", WEBHOOK): Permission.PUBLIC,
    # The project and its runs.
    ("GET", "/openapi.json"): Permission.READ,
    ("GET", f"{_API}/project"): Permission.READ,
    ("GET", f"{_API}/workflows"): Permission.READ,
    ("GET", _WORKFLOW): Permission.READ,
    ("GET", f"{_WORKFLOW}/graph"): Permission.READ,
    ("GET", f"{_WORKFLOW}/executions"): Permission.READ,
    ("GET", f"{_API}/executions/workflows"): Permission.READ,
    ("GET", _RUN): Permission.READ,
    ("GET", f"{_RUN}/requests"): Permission.READ,
    ("GET", f"{_RUN}/tasks/{{path:path}}"): Permission.READ,
    ("GET", f"{_RUN}/messages"): Permission.READ,
    ("GET", f"{_RUN}/definition"): Permission.READ,
    ("GET", f"{_RUN}/graph"): Permission.READ,
    ("GET", f"{_RUN}/events"): Permission.READ,
    ("GET", f"{_RUN}/stream"): Permission.READ,
    ("GET", f"{_API}/stream"): Permission.READ,
    ("GET", f"{_API}/costs"): Permission.READ,
    ("GET", f"{_API}/workers"): Permission.READ,
    # Starting and controlling runs.
    ("POST", f"{_WORKFLOW}/executions"): Permission.RUN,
    ("POST", f"{_WORKFLOW}/executions/sync"): Permission.RUN,
    # Deleting is checked by the route: it requires `MANAGE`.
    ("POST", f"{_API}/executions/workflows/batch"): Permission.RUN,
    ("POST", f"{_RUN}/cancel"): Permission.RUN,
    ("POST", f"{_RUN}/pause"): Permission.RUN,
    ("POST", f"{_RUN}/resume"): Permission.RUN,
    ("POST", f"{_RUN}/signals"): Permission.RUN,
    ("POST", f"{_RUN}/approve"): Permission.RUN,
    ("POST", f"{_RUN}/rerun"): Permission.RUN,
    ("POST", "/mcp"): Permission.RUN,
    # Knowledge bases. A query runs an embedder, which may cost money.
    ("GET", f"{_API}/knowledge-bases"): Permission.READ,
    ("GET", _BASE): Permission.READ,
    ("GET", f"{_BASE}/documents"): Permission.READ,
    ("GET", f"{_BASE}/check"): Permission.READ,
    ("GET", f"{_BASE}/ingestions/{{execution_id}}"): Permission.READ,
    ("POST", f"{_BASE}/query"): Permission.RUN,
    ("POST", f"{_BASE}/ingest"): Permission.RUN,
    ("POST", f"{_BASE}/retry"): Permission.RUN,
    ("POST", f"{_BASE}/repair"): Permission.RUN,
    ("DELETE", _BASE): Permission.MANAGE,
    # Conversations. Appending is what each run with a memory does.
    ("GET", f"{_API}/memory"): Permission.READ,
    ("GET", f"{_MEMORY}/read"): Permission.READ,
    ("GET", f"{_MEMORY}/stats"): Permission.READ,
    ("POST", f"{_MEMORY}/append"): Permission.RUN,
    ("POST", f"{_MEMORY}/flush"): Permission.RUN,
    ("POST", f"{_MEMORY}/write"): Permission.MANAGE,
    ("POST", f"{_MEMORY}/clear"): Permission.MANAGE,
    ("POST", f"{_MEMORY}/delete"): Permission.MANAGE,
    # Events and schedules.
    ("POST", f"{_API}/events"): Permission.RUN,
    ("GET", f"{_API}/schedules"): Permission.READ,
    ("GET", _SCHEDULE): Permission.READ,
    ("GET", f"{_SCHEDULE}/next"): Permission.READ,
    ("PATCH", _SCHEDULE): Permission.RUN,
    ("POST", f"{_SCHEDULE}/trigger"): Permission.RUN,
    ("POST", f"{_SCHEDULE}/backfill"): Permission.RUN,
    ("DELETE", _SCHEDULE): Permission.MANAGE,
    # Webhooks and their deliveries.
    ("GET", f"{_API}/hooks"): Permission.READ,
    ("GET", f"{WEBHOOK}/deliveries"): Permission.READ,
    ("GET", f"{WEBHOOK}/deliveries/{{delivery_id}}"): Permission.READ,
    ("POST", f"{WEBHOOK}/deliveries/{{delivery_id}}/replay"): Permission.RUN,
    # Users and keys.
    ("POST", f"{_API}/auth/login"): Permission.PUBLIC,
    ("POST", f"{_API}/auth/logout"): Permission.PUBLIC,
    ("GET", f"{_API}/auth/methods"): Permission.PUBLIC,
    ("GET", f"{_API}/auth/oidc/login"): Permission.PUBLIC,
    ("GET", f"{_API}/auth/oidc/callback"): Permission.PUBLIC,
    ("GET", f"{_API}/auth/me"): Permission.ACCOUNT,
    ("GET", f"{_API}/auth/keys"): Permission.ACCOUNT,
    ("POST", f"{_API}/auth/generate"): Permission.ACCOUNT,
    ("POST", f"{_API}/auth/keys/{{key_id}}/rotate"): Permission.ACCOUNT,
    ("DELETE", f"{_API}/auth/keys/{{key_id}}"): Permission.ACCOUNT,
    ("GET", f"{_API}/audit"): Permission.MANAGE,
    ("GET", f"{_API}/users"): Permission.MANAGE,
    ("POST", f"{_API}/users"): Permission.MANAGE,
    ("PATCH", f"{_API}/users/{{user_id}}"): Permission.MANAGE,
    ("DELETE", f"{_API}/users/{{user_id}}"): Permission.MANAGE,
}
"""(method, path) -> the permission that the route requires."""

# Routes without a workflow in their path that answer a caller who is limited to some workflows: they show only those.
LIMITED = frozenset(
    {
        ("GET", f"{_API}/project"),
        ("GET", f"{_API}/workflows"),
        ("GET", f"{_API}/executions/workflows"),
        ("GET", f"{_API}/costs"),
        ("GET", f"{_API}/schedules"),
        ("GET", f"{_API}/hooks"),
        ("GET", f"{_API}/auth/me"),
    }
)
# Routes that `server.auth.workflow_exceptions` opens.
OPENED = frozenset({("POST", f"{_WORKFLOW}/executions"), ("POST", f"{_WORKFLOW}/executions/sync")})


@dataclass(frozen=True, kw_only=True)
class Route:
    """The route of a request: its template, its permission (None if it is not listed), and the parts of its path."""

    method: str
    path: str
    permission: Permission | None
    parts: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """The key of the route in the tables."""
        return self.method, self.path


def find_route(method: str, path: str) -> Route:
    """Return the route of a request."""
    for pattern, template in _patterns():
        found = pattern.match(path)
        if found is not None and (method, template) in ROUTES:
            permission = ROUTES[method, template]
            return Route(method=method, path=template, permission=permission, parts=found.groupdict())
    return Route(method=method, path=path, permission=None, parts={})


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the patterns of all paths, those without parts first, as the router would find them."""
    templates = sorted({template for _, template in ROUTES}, key=lambda template: ("{" in template, template))
    return tuple((compile_path(template)[0], template) for template in templates)
