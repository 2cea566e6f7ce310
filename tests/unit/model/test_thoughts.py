"""Reasoning within answers: how it is separated, and text that only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart

from compozy.model.thoughts import separate_thoughts, split_thoughts


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("<think>It is.</think>\n\nyes", "It is.", "\n\nyes"),
        (" \n<think>\n\n</think>\n\nyes", "", "\n\nyes"),
        ("The user wants a greeting.\n</think>\n\nHello!", "The user wants a greeting.", "\n\nHello!"),
        ("hm</think>Hello!", "hm", "Hello!"),
        ('At first {"n": 1}. Wrong.\n</think>\n\n{"n": 42}', 'At first {"n": 1}. Wrong.', '\n\n{"n": 42}'),
        ('{"n": 1}? No.</think>{"n": 42}', '{"n": 1}? No.', '{"n": 42}'),
        ("a</think>b</think>c", "a\n\nb", "c"),
        ("<think>a</think>b</think>c", "a\n\nb", "c"),
        ("<think>a</think>\n<think>b</think>c", "a\n\nb", "c"),
        ("Sure. <think>hm</think>Yes.", "hm", "Sure. Yes."),
        ("One. <think>a</think>Two. <think>b</think>Three.", "a\n\nb", "One. Two. Three."),
        ("One. <think>a <think>b</think> c</think>Two.", "b\n\na  c", "One. Two."),
        ("Write <think> as in <think>a</think>.", "a", "Write <think> as in ."),
        ("<think>I was cut", "I was cut", ""),
        ("<thinking>a</thinking>b", "a", "b"),
        ("<thought>a</thought>b", "a", "b"),
        ('<THINK>a {"n": 1}</THINK>\n{"n": 2}', 'a {"n": 1}', '\n{"n": 2}'),
        ("<think seconds='3'>a</ think >b", "a", "b"),
        ("a</Think>b", "a", "b"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "a", "b"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>b", "a", "b"),
        ("<think>a</think><|begin_of_box|>b<|end_of_box|>", "a", "b"),
        ("Here is my thought process: a\nHere is my response: b", "a", " b"),
        ("<seed:think>a</seed:think>b", "a", "b"),
        ("[THINK]a[/THINK]b", "a", "b"),
        ("a[/THINK]b", "a", "b"),
        ("◁think▷a◁/think▷b", "a", "b"),
        ("<|channel>thought\na<channel|>b", "a", "b"),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant",
            "b",
        ),
        (
            '<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final <|constrain|>json<|message|>{"n": 1}',
            "<|channel|>analysis<|message|>a<|start|>assistant",
            '{"n": 1}',
        ),
        ("<|channel|>analysis<|message|>a", "<|channel|>analysis<|message|>a", ""),
    ],
)
def test_thoughts_and_answer(text: str, thoughts: str, answer: str) -> None:
    assert split_thoughts(text) == (thoughts, answer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n  indented",
        "DeepSeek ends its thoughts with `</think>`.",
        'Split at "</think>", then trim.',
        "```\nreasoning</think>answer\n```\n",
        '{"html": "a</think>b"}',
        '["<think>", "</think>"]',
        "We </thinkers> of [THINK] and <b>bold</b>.",
        "Here is my thought process: first this, then that.",
        "The <|begin_of_box|> is a mark.",
        "<thinker>a</thinker>b",
    ],
)
def test_text_that_only_looks_like_reasoning(text: str) -> None:
    assert split_thoughts(text) == ("", text)


@given(st.text())
def test_a_text_without_tags_stays_as_it_is(text: str) -> None:
    if not any(mark in text for mark in "<[◁"):
        assert split_thoughts(text) == ("", text)


def test_the_parts_of_a_response() -> None:
    response = ModelResponse(parts=[TextPart("hm</think>\n\nyes")])
    assert separate_thoughts(response).parts == [ThinkingPart("hm"), TextPart("yes")]

    apart = ModelResponse(parts=[ThinkingPart("hm"), TextPart("\n\nyes\n")])
    assert separate_thoughts(apart).parts == [ThinkingPart("hm"), TextPart("yes\n")]

    cut = ModelResponse(parts=[TextPart("<think>hm")])
    assert separate_thoughts(cut).parts == [ThinkingPart("hm")]

    plain = ModelResponse(parts=[TextPart("\n yes")])
    assert separate_thoughts(plain) is plain

    half = ModelResponse(parts=[TextPart("cut \ud83d")])
    assert separate_thoughts(half).text == "cut \ufffd"
