"""The web page at `/ui/`: the files that `make web` built, or a page that explains how to build them.

Names of files under `assets/` contain a hash of the content, so that browsers keep them. Every path that is not a file
is the page itself, which shows what the path names.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from compozy.errors import NotFoundError

FOLDER = Path(__file__).parent / "pages/ui"
"""Where `make web` places the page, which is not checked in."""

# The page loads its own files and asks this server; no text ever becomes a script, a style or HTML.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_ASSETS = "assets/"
_FOREVER = "public, max-age=31536000, immutable"
_MIN_GZIP = 1024
_INDEX = "index.html"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_root() -> Response:
    """Lead to the page."""
    return RedirectResponse("/ui/", status_code=307)


@router.get("/ui")
async def get_page_root() -> Response:
    """Lead to the page."""
    return RedirectResponse("/ui/", status_code=307)


@router.get("/ui/{path:path}")
async def get_page(request: Request, path: str) -> Response:
    """Return a file of the page, and the page itself for every other path."""
    return page_response(FOLDER, path, request.headers.get("accept-encoding", ""))


def page_response(folder: Path, path: str, accepted: str) -> Response:
    """Return the file at `path` of the page in `folder`.

    Args:
        folder: what the page was built into.
        path: the path after `/ui/`.
        accepted: the header `Accept-Encoding`.

    Raises:
        NotFoundError: it would be one of the page's assets, and does not exist.
    """
    files = _read_files(folder, _stamp(folder))
    name = path or _INDEX
    if name not in files and name.startswith(_ASSETS):
        raise NotFoundError(f"/ui/{escape(name)[:200]}: not found", hint="reload the page")
    if _INDEX not in files:
        return Response(_MISSING, media_type=_MEDIA_TYPES[".html"], headers=_headers(""))
    if name not in files:
        name = _INDEX
    found = files[name]
    headers = _headers(name)
    content = found.content
    if found.packed is not None:
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in accepted:
            headers["Content-Encoding"], content = "gzip", found.packed
    return Response(content, media_type=_MEDIA_TYPES[Path(name).suffix], headers=headers)


@dataclass(frozen=True, kw_only=True)
class _File:
    content: bytes
    packed: bytes | None


@cache
def _read_files(folder: Path, stamp: int) -> dict[str, _File]:
    """Return the files of the page by path; `stamp` changes when the page is built again."""
    del stamp
    paths = [path for path in folder.rglob("*") if path.suffix in _MEDIA_TYPES and path.is_file()]
    return {path.relative_to(folder).as_posix(): _read_file(path) for path in paths}


def _read_file(path: Path) -> _File:
    content = path.read_bytes()
    # Fonts are compressed already.
    is_packed = len(content) >= _MIN_GZIP and path.suffix != ".woff2"
    return _File(content=content, packed=gzip.compress(content, 9) if is_packed else None)


def _stamp(folder: Path) -> int:
    try:
        return (folder / _INDEX).stat().st_mtime_ns
    except OSError:
        return 0


def _headers(name: str) -> dict[str, str]:
    return {**_HEADERS, "Cache-Control": _FOREVER if name.startswith(_ASSETS) else "no-store"}


_MISSING = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Compozy</title>
<h1>The web page is not built</h1>
<p>This server runs from a checkout of the source code. Run <code>make web</code> there, which needs Node.js 20.19 or
newer, and reload this page. The server does not have to be restarted.</p>
<p>Wheels of releases contain the page. The HTTP API is described at <a href="/docs">/docs</a>.</p>
</html>
"""
