"""The ages of `retention:`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness.projects import write_project

from compozy.config.retention import RetentionSettings
from compozy.errors import ProjectError
from compozy.project.load import load_project


def test_ages() -> None:
    settings = RetentionSettings.model_validate({"succeeded": "30d", "events": 3600})
    assert (settings.succeeded, settings.failed, settings.events) == (2_592_000.0, None, 3600.0)
    assert settings.is_set
    assert not RetentionSettings().is_set


@pytest.mark.parametrize("age", ["59s", "0s", "soon", -1, "400d"])
def test_ages_that_are_refused(tmp_path: Path, age: object) -> None:
    write_project(tmp_path, retention={"failed": age})
    with pytest.raises(ProjectError, match=r"compozy\.yaml:1:\d+: failed: "):
        load_project(None, cwd=tmp_path, environ={})
