"""Retries: the length of the pauses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from compozy.task.options import MAX_ATTEMPTS, RetryPolicy


def test_pauses_double_up_to_a_minute() -> None:
    assert [RetryPolicy().pause_s(attempts) for attempts in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(
    first=st.floats(0.001, 3600),
    growth=st.floats(1, 10),
    longest=st.floats(0.001, 3600),
    attempts=st.integers(1, MAX_ATTEMPTS),
)
def test_pauses_grow_and_never_pass_the_longest(first: float, growth: float, longest: float, attempts: int) -> None:
    policy = RetryPolicy(initial_interval=first, backoff_coefficient=growth, maximum_interval=longest)
    pause_s = policy.pause_s(attempts)
    assert 0 < pause_s <= longest
    assert policy.pause_s(attempts + 1) >= pause_s
    assert policy.pause_s(1) == min(first, longest)


@pytest.mark.parametrize(
    "policy",
    [{"maximum_attempts": 0}, {"maximum_attempts": MAX_ATTEMPTS + 1}, {"backoff_coefficient": 0.5}, {"attempts": 3}],
)
def test_invalid_policies_are_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate(policy)
