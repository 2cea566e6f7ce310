"""Connections to PostgreSQL that succeed or are refused."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database, open_for_reading
from compozy.errors import DatabaseError
from tests.harness.postgres import GUARDED


def changed(settings: DatabaseSettings, **parts: Any) -> DatabaseSettings:
    return DatabaseSettings.model_validate({**settings.model_dump(exclude_none=True), **parts})


def refusal(settings: DatabaseSettings) -> DatabaseError:
    """Return the message of both ways of opening, in one line and without the password."""
    found: list[DatabaseError] = []
    for opening in (open_database, open_for_reading):
        with pytest.raises(DatabaseError) as caught:
            opening(settings)
        found.append(caught.value)
    assert found[0].message == found[1].message
    for text in (found[0].message, found[0].hint, str(found[0].details)):
        assert "\n" not in text
        assert GUARDED[1] not in text
    assert found[0].hint
    return found[0]


def opens(settings: DatabaseSettings) -> None:
    database = open_database(settings)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT current_database(), current_setting('application_name')").one()
    database.close()
    assert found[1] == "compozy"
    if settings.dbname:
        assert found[0] == settings.dbname
