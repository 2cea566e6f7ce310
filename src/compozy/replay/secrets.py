"""Secrets of a project: masked in everything that tests write, and refused in files that tests read."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from compozy.project.loaded import LoadedProject

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|PASSPHRASE)(?:_|$)", re.IGNORECASE
)
# Shorter values would hide ordinary words.
_SHORTEST = 6


class Secrets:
    """The values that must not be written.

    Args:
        values: the name of each secret by its value.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        forms: dict[str, str] = {}
        for value, name in values.items():
            forms.update(dict.fromkeys(_forms(value), f"[masked {name}]"))
        self._forms = forms
        # The longest first: one secret may be the start of another.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    @classmethod
    def of_project(cls, project: LoadedProject) -> Secrets:
        """Return the secrets of a project: its settings, and variables of the environment that look like secrets."""
        values: dict[str, str] = {}
        for name, value in project.environ.items():
            if _SECRET_NAME.search(name) and len(value) >= _SHORTEST and not value.startswith("/"):
                values.setdefault(value, name)
        for provider in project.providers:
            for value in _secrets_in(provider):
                values.setdefault(value, f"api_key of {provider.id}")
        for section in (project.database, project.server, project.knowledge):
            for value in _secrets_in(section):
                values.setdefault(value, "secret of compozy.yaml")
        return cls({value: name for value, name in values.items() if len(value) >= _SHORTEST})

    def mask(self, value: Any) -> Any:
        """Return a JSON value with every secret in its texts and keys replaced."""
        if isinstance(value, str):
            return self._mask_text(value)
        if isinstance(value, dict):
            return {self._mask_text(key): self.mask(below) for key, below in cast("dict[str, Any]", value).items()}
        if isinstance(value, (list, tuple)):
            return [self.mask(item) for item in cast("list[Any]", value)]
        return value

    def find(self, text: str) -> tuple[int, str] | None:
        """Return where the first secret stands in a text, and its mask; None if it holds none."""
        found = self._pattern.search(text) if self._pattern is not None else None
        return (found.start(), self._forms[found[0]]) if found else None

    def _mask_text(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._forms[found[0]], text) if self._pattern is not None else text


def _forms(value: str) -> set[str]:
    """Return the forms in which a secret can stand in a text."""
    encoded = base64.b64encode(value.encode()).decode().rstrip("=")
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe=""), encoded}


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for below in cast("Mapping[str, Any]", value).values():
            yield from _secrets_in(below)
    elif isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from _secrets_in(item)
