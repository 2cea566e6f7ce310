"""The record of a model provider type, found by its `type`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compozy.config.nodes import MappingNode
from compozy.errors import Diagnostic
from compozy.model.params import COMMON_PARAMS

SERVER_KEYS = frozenset({"base_url", "api_key"})
"""Keys of a provider that is reached over HTTP."""
DEFAULT_WINDOW = 32_768
"""Tokens that every model of today accepts."""


@dataclass(frozen=True, kw_only=True)
class WrittenProvider:
    """One entry of `llm.providers`, as the checks read it.

    Attributes:
        node: the entry.
        root: the project folder.
        path: its `path`, absolute; None if it has none.
        task_ids: IDs of all tasks of the project, None if they are not known.
    """

    node: MappingNode
    root: Path
    path: str | None
    task_ids: frozenset[str] | None


def _as_bearer(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass(frozen=True, kw_only=True)
class ModelListing:
    """The request that lists the models of a provider. It is free, and shows whether the API key is accepted.

    Attributes:
        path: path below the address of the provider.
        base_url: address that the package of the provider uses by default; None for `ProviderKind.base_url`.
        headers: return the headers that carry a key.
    """

    path: str = "/models"
    base_url: str | None = None
    headers: Callable[[str], Mapping[str, str]] = _as_bearer


def _find_nothing(_: WrittenProvider) -> Iterable[Diagnostic]:
    return ()


@dataclass(frozen=True, kw_only=True)
class ProviderKind:
    """A kind of model provider. Only `name`, `builder` and `default_model` are required.

    Attributes:
        name: value of `type`.
        builder: module with `build_model`, a function from a `compozy.model.provider.ModelSpec` to a `BuiltModel`. It
            is imported when a model of the kind is first used, so that commands do not load the libraries of providers.
        default_model: model of a provider that names none; `compozy config show` prints it.
        keys: keys of the entry that it accepts, of those that not every kind accepts.
        key_variable: environment variable that people keep the API key in, "" if it needs no key. With a `base_url`
            of the kind, a provider at another address needs no key.
        base_url: address of its server, None if its own package knows the address or there is no server.
        base_url_variable: environment variable that replaces `base_url`.
        extra: extra of this package that installs what it needs, "" if that is always installed.
        packages: packages of `extra` that it imports.
        window: tokens of prompt and answer together that its models accept.
        params: parameters that its models accept.
        compatible_params: those that servers accept besides, which are reached at another `base_url`.
        files: kinds of attachments that some of its models accept: `image`, `audio`, `video`, `pdf`. The content of
            other documents is sent as text.
        thinking_tokens: returns the settings for `thinking` as a number of tokens; None if its models take levels only.
        is_free: whether its models run on the user's own machine, where tokens cost nothing.
        is_serial: whether it answers one request at a time.
        is_repeatable: whether it answers equal requests equally, so that a failed request is not tried again.
        listing: the request that lists its models; None if it has none.
        check: yields what is wrong with an entry besides the types of its values.
    """

    name: str
    builder: str
    default_model: str
    keys: frozenset[str] = frozenset()
    key_variable: str = ""
    base_url: str | None = None
    base_url_variable: str = ""
    extra: str = ""
    packages: tuple[str, ...] = ()
    window: int = DEFAULT_WINDOW
    params: frozenset[str] = COMMON_PARAMS
    compatible_params: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    thinking_tokens: Callable[[int], dict[str, Any]] | None = None
    is_free: bool = False
    is_serial: bool = False
    is_repeatable: bool = False
    listing: ModelListing | None = None
    check: Callable[[WrittenProvider], Iterable[Diagnostic]] = _find_nothing


PROVIDERS: dict[str, ProviderKind] = {}
"""The registered kinds by name. Import them from `compozy.model.registry`, which registers the built-in ones."""


def register(*kinds: ProviderKind) -> None:
    """Add kinds of model providers."""
    PROVIDERS.update({kind.name: kind for kind in kinds})


def kinds_accepting(key: str) -> Iterator[str]:
    """Yield the names of the kinds whose entries accept `key`; none if it is a key of all kinds."""
    return (kind.name for kind in PROVIDERS.values() if key in kind.keys)
