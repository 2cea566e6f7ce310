"""`on_failure:`, the receiver of notifications."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from compozy.errors import UsageError
from compozy.trigger.notification import OnFailure, receiver_of

URL = "https://alerts.example.com/hook"
SECRET = "whsec_" + base64.b64encode(b"x" * 16).decode()
SHORT = "whsec_" + base64.b64encode(b"x" * 15).decode()


@pytest.mark.parametrize(
    "section",
    [
        {"webhook": "alerts.example.com", "secret": SECRET},
        {"webhook": "ftp://alerts.example.com", "secret": SECRET},
        {"webhook": URL},
        {"webhook": URL, "secret": []},
        {"webhook": URL, "secret": SHORT},
        {"webhook": URL, "secret": "whsec_%%%"},
        {"webhook": URL, "secret": [SECRET, ""]},
    ],
)
def test_an_invalid_receiver(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OnFailure.model_validate(section)


def test_variables_are_read_from_the_environment() -> None:
    config = OnFailure(webhook="${ALERT_URL}", secret=("${ALERT_SECRET}", SECRET))
    receiver = receiver_of(config, {"ALERT_URL": URL, "ALERT_SECRET": SECRET}, "it")
    assert (receiver.url, receiver.secrets) == (URL, (SECRET, SECRET))
    assert SECRET not in repr(receiver)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ALERT_URL": URL}, "ALERT_SECRET"),
        ({"ALERT_URL": "alerts", "ALERT_SECRET": SECRET}, "is not a URL"),
        ({"ALERT_URL": URL, "ALERT_SECRET": SHORT}, "cannot be used"),
    ],
)
def test_values_that_cannot_be_used(environ: dict[str, str], message: str) -> None:
    config = OnFailure(webhook="${ALERT_URL}", secret="${ALERT_SECRET}")
    with pytest.raises(UsageError, match=message):
        receiver_of(config, environ, "it")
