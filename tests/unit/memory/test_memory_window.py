"""Any trimming leaves whole turns that fit the limit, and the latest ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compozy.database.memories import Message
from compozy.knowledge.tokens import estimate_tokens
from compozy.memory.limits import Limits
from compozy.memory.session import cut_text
from compozy.memory.window import latest_turns, turns_newest_first

ROLES = st.sampled_from(["user", "assistant", "tool", "system"])
LIMIT = st.none() | st.integers(min_value=0, max_value=60)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Return messages of any roles in any order."""
    roles = draw(st.lists(ROLES, max_size=30))
    return [
        Message(role=role, content="x", tokens=draw(st.integers(min_value=1, max_value=9)), seq=number)
        for number, role in enumerate(roles, start=1)
    ]


@given(conversations(), LIMIT, LIMIT)
def test_whole_turns_that_fit(messages: list[Message], tokens: int | None, count: int | None) -> None:
    limits = Limits(tokens=tokens, messages=count)
    window = latest_turns(reversed(messages), limits)
    kept = list(window.messages)

    # The end of the conversation, which fits.
    assert kept == messages[len(messages) - len(kept) :]
    assert limits.allow(len(kept), sum(message.tokens for message in kept))
    assert window.is_all == (len(kept) == len(messages))
    # It begins where a turn begins.
    if kept and len(kept) < len(messages):
        assert kept[0].role == "user"
    # One more turn would be too much.
    turns = list(turns_newest_first(reversed(messages)))
    assert [message for turn in reversed(turns) for message in turn] == messages
    assert all(message.role != "user" for turn in turns for message in turn[1:])
    if not window.is_all:
        used = next(index for index in range(len(turns) + 1) if sum(map(len, turns[:index])) == len(kept))
        more = [message for turn in turns[: used + 1] for message in turn]
        assert not limits.allow(len(more), sum(message.tokens for message in more))


@given(st.text(max_size=400), st.integers(min_value=1, max_value=60))
def test_a_cut_text_fits(text: str, tokens: int) -> None:
    cut = cut_text(text, tokens)
    assert estimate_tokens(cut) <= tokens
    assert text.strip().startswith(cut)
