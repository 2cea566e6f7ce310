"""`compozy test --update`: expectations of failed tests become what the runs gave, with a shown difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

TESTS = """\
# Tests of both tasks.
workflow: two
tests:
  - name: greets # the first one
    input: { name: Ada }
    expect:
      status: FAILED
      output: { last: third } # the last answer
      tasks:
        one:
          status: SUCCESS
          output:
            # Only the text.
            text: other
        two: FAILED
  - name: passes
    expect:
      output: { last: second }
"""


@pytest.fixture(autouse=True)
def _recorded(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    write_project(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/two.test.yaml").write_text(TESTS, encoding="utf-8")
    assert cli("test", "--mode", "record").status == 1


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_only_wrong_values_change_and_the_difference_is_shown(cli: RunCli, tmp_path: Path, jobs: str) -> None:
    done = cli("test", "--update", "--jobs", jobs)
    assert done.status == 1
    assert done.out.endswith("1 test failed, 1 passed\nUpdated ./tests/two.test.yaml\n")
    changed = TESTS.replace("      status: FAILED", "      status: SUCCESS").replace(
        "{ last: third }", "{ last: second }"
    )
    changed = changed.replace("text: other", "text: first").replace("two: FAILED", "two: SUCCESS")
    assert (tmp_path / "tests/two.test.yaml").read_text() == changed
    assert "-      output: { last: third } # the last answer\n" in done.err
    assert "+      output: { last: second } # the last answer\n" in done.err
    done = cli("test", "--update")
    assert (done.status, done.err, done.out.endswith("2 tests passed\n")) == (0, "", True)


def test_nothing_is_updated_in_ci(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert cli("test", "--update").status == 2
    assert (tmp_path / "tests/two.test.yaml").read_text() == TESTS
