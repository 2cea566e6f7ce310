"""Labels of runs: the names and values that are accepted."""

from __future__ import annotations

import pytest

from compozy.database.trigger import MAX_LABEL_VALUE, MAX_LABELS, check_labels, read_labels
from compozy.errors import UsageError


@pytest.mark.parametrize("name", ["a", "A1", "team.example.com/env", "a_b-c", "x" * 63])
@pytest.mark.parametrize("value", ["", "prod", "a=b, c", "größe 😀", "v" * MAX_LABEL_VALUE])
def test_labels_that_are_accepted(name: str, value: str) -> None:
    assert check_labels({name: value}) == {name: value}


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a=b", "a\n", "é", "x" * 64])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="invalid label name"):
        check_labels({name: "x"})


@pytest.mark.parametrize("value", ["a\nb", "\0", "\ud800", "\x1b[1m", "v" * (MAX_LABEL_VALUE + 1)])
def test_values_that_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="invalid value of label 'a'"):
        check_labels({"a": value})


def test_the_number_of_labels_of_a_run_is_limited() -> None:
    labels = {f"n{number}": "" for number in range(MAX_LABELS)}
    assert check_labels(labels) == labels
    with pytest.raises(UsageError, match="at most 32 labels, got 33"):
        check_labels({**labels, "one-more": ""})


def test_labels_are_read_back_sorted() -> None:
    assert read_labels("b=2\na=x=y\nc=") == {"a": "x=y", "b": "2", "c": ""}
    assert read_labels(None) == {}
