"""Text columns for names, IDs and states, the same on every driver."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.exc import DontWrapMixin

from compozy.errors import UsageError

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class UnstorableTextError(UsageError, DontWrapMixin):
    """A name or ID that a database cannot store. SQLAlchemy does not wrap it."""


class PlainText(sa.types.TypeDecorator[str]):
    """A text column. Characters that PostgreSQL cannot store are refused on both drivers: NUL, unpaired surrogates."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - its signature
        """Return `value`.

        Raises:
            UnstorableTextError: it contains a character that cannot be stored.
        """
        if value is None or (value.isascii() and "\0" not in value):
            return value
        if _UNSTORABLE.search(value):
            raise UnstorableTextError(
                f"{value!r} cannot be stored: names and ids must not contain NUL or half of a surrogate pair",
                hint="remove that character; it is allowed in JSON, such as inputs and outputs",
            )
        return value


def escape_unstorable(text: str) -> str:
    r"""Return `text` with escapes such as `\x00` in place of the characters that `PlainText` refuses."""
    return _UNSTORABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
