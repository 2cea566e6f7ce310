"""urlParse and urlJoin."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from compozy.template.functions.registry import function
from compozy.template.literals import from_bytes, to_bytes
from compozy.template.literals import quote as quote_text
from compozy.template.values import GoError, kind_name

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*):")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*\Z")
_PATH_SAFE = "$&+,/:;=@!'()*[]~-_."
_USER_SAFE = "$&+,;=~-_.!*'()"
_FRAGMENT_SAFE = "$&+,/:;=?@!()*~-_.'"
PARTS = ("scheme", "userinfo", "host", "hostname", "path", "query", "opaque", "fragment")


@function("urlParse", "text")
def parse(url: str) -> dict[str, Any]:
    """Return the parts of a URL: scheme, userinfo, host, hostname, path, query, opaque and fragment."""
    rest, _, fragment = url.partition("#")
    shown = rest
    try:
        parts = _parse(rest)
        shown = url
        parts["fragment"] = _decode(fragment)
    except GoError as error:
        raise GoError(f"unable to parse url: parse {quote_text(shown)}: {error.message}") from error
    return parts


def _parse(rest: str) -> dict[str, Any]:
    """Return the parts of a URL without its fragment."""
    parts: dict[str, Any] = dict.fromkeys(PARTS, "")
    if any(char < " " or char == "\x7f" for char in rest):
        raise GoError("net/url: invalid control character in URL")
    scheme = _SCHEME.match(rest)
    if scheme:
        parts["scheme"], rest = scheme.group(1).lower(), rest[scheme.end() :]
    elif rest.startswith(":"):
        raise GoError("missing protocol scheme")
    rest, _, parts["query"] = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            parts["opaque"] = rest
            return parts
        if ":" in rest.partition("/")[0]:
            raise GoError("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        _set_authority(parts, authority)
        rest = slash + path
    parts["path"] = _decode(rest)
    return parts


def _set_authority(parts: dict[str, Any], authority: str) -> None:
    user, at, host = authority.rpartition("@")
    if at:
        if not _USER.match(user):
            raise GoError("net/url: invalid userinfo")
        name, colon, password = user.partition(":")
        parts["userinfo"] = quote(to_bytes(_decode(name)), safe=_USER_SAFE.replace("!*'()", ""))
        parts["userinfo"] += colon + quote(to_bytes(_decode(password)), safe=_USER_SAFE.replace("!*'()", ""))
    if " " in host or any(char in host for char in '<>"{}|\\^`'):
        bad = next(char for char in host if char in ' <>"{}|\\^`')
        raise GoError(f"invalid character {quote_text(bad)} in host name")
    bare, port = _split_port(host)
    if port and not port[1:].isdigit() and port != ":":
        raise GoError(f"invalid port {quote_text(port)} after host")
    parts["host"] = _decode(host)
    parts["hostname"] = _decode(bare.strip("[]") if bare.startswith("[") else bare)


def _split_port(host: str) -> tuple[str, str]:
    if host.startswith("["):
        close = host.rfind("]")
        if close < 0:
            raise GoError("missing ']' in host")
        return host[: close + 1], host[close + 1 :]
    bare, colon, port = host.rpartition(":")
    return (bare, colon + port) if colon else (host, "")


def _decode(text: str) -> str:
    bad = _BAD_ESCAPE.search(text)
    if bad:
        raise GoError(f"invalid URL escape {quote_text(bad.group())}")
    return from_bytes(unquote_to_bytes(to_bytes(text))) if "%" in text else text


@function("urlJoin", "map")
def join(parts: dict[str, Any]) -> str:
    """Return the URL of its parts, as `urlParse` gives them."""
    text = {name: _text_of(parts, name) for name in PARTS if name != "hostname"}
    scheme = f"{text['scheme']}:" if text["scheme"] else ""
    tail = (f"?{text['query']}" if text["query"] else "") + _join_fragment(text["fragment"])
    if text["opaque"]:
        return scheme + text["opaque"] + tail
    user = f"{text['userinfo']}@" if text["userinfo"] else ""
    path = quote(to_bytes(text["path"]), safe=_PATH_SAFE)
    if text["scheme"] or text["host"] or user:
        authority = f"//{user}{text['host']}" if text["host"] or user or path else ""
        lead = "/" if path and not path.startswith("/") and text["host"] else ""
        return scheme + authority + lead + path + tail
    if ":" in path.partition("/")[0]:
        path = f"./{path}"
    return path + tail


def _join_fragment(fragment: str) -> str:
    return f"#{quote(to_bytes(fragment), safe=_FRAGMENT_SAFE)}" if fragment else ""


def _text_of(parts: dict[str, Any], name: str) -> str:
    value = parts.get(name, "")
    if not isinstance(value, str):
        raise GoError(f"unable to parse {name} key, must be of type string, but {kind_name(value)} found")
    return value
