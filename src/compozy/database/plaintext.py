"""Text columns that are no JSON: names, ids and states, the same on every driver."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import DontWrapMixin

from compozy.errors import UsageError


class UnstorableTextError(UsageError, DontWrapMixin):
    """A name or an id that no database can hold. SQLAlchemy lets it pass as it is."""


class PlainText(sa.types.TypeDecorator[str]):
    """A column of text. What PostgreSQL cannot hold is refused everywhere: NUL, and halves of surrogate pairs."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - its signature
        """Return `value`.

        Raises:
            UnstorableTextError: it holds a character that cannot be stored.
        """
        if value is None or (value.isascii() and "\0" not in value):
            return value
        if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
            raise UnstorableTextError(
                f"{value!r} cannot be stored: names and ids may hold neither NUL nor half of a character",
                hint="take that character out; in JSON, such as inputs and outputs, it is allowed",
            )
        return value
