"""Separates the reasoning that a model writes into its answer from the answer, whatever tags it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pydantic_ai.messages import ModelResponse, ModelResponsePart, TextPart, ThinkingPart

from compozy.jsoninput import parse_json, replace_surrogates

NO_TAGS = ("\0thoughts", "\0/thoughts")
"""Tags that no model writes, for packages that would otherwise split answers themselves."""

_NAMES = "think|thinking|thought|reasoning|seed:think"
# Start and end tags of reasoning: of Qwen, DeepSeek, Seed; of Magistral; of Kimi; of Gemma; of Cohere; of OpenThinker.
_KINDS = (
    (re.compile(rf"<\s?({_NAMES})(?:\s[^<>]{{0,100}})?>", re.IGNORECASE), r"(?i:<\s?/\s?{0}\s?>)"),
    (re.compile(r"\[THINK\]"), r"\[/THINK\]"),
    (re.compile(r"◁think▷"), r"◁/think▷"),
    (re.compile(r"<\|channel>thought\b"), r"<channel\|>"),
    (re.compile(r"<\|START_THINKING\|>"), r"<\|END_THINKING\|>"),
    (re.compile(r"<\|begin_of_thought\|>"), r"<\|end_of_thought\|>"),
)
# Marks around the answer, which some models write in addition to those around their reasoning.
_AROUND_ANSWER = re.compile(
    r"\s*<\|(?:START_RESPONSE|begin_of_(?:solution|box))\|>(.*?)(?:<\|(?:END_RESPONSE|end_of_(?:solution|box))\|>\s*)?\Z",
    re.DOTALL,
)
_SPOKEN = re.compile(r"\s*Here is my thought process:(.*?)Here is my response:", re.DOTALL)
# Chat templates often write the opening tag into the prompt; then an answer holds the closing one alone.
_CLOSING = re.compile(
    r"<\s?/\s?(?:think|thinking|thought|seed:think)\s?>|\[/THINK\]|◁/think▷|<\|(?:END_THINKING|end_of_thought)\|>",
    re.IGNORECASE,
)
_FINAL = re.compile(r"<\|channel\|>final(?:\s?<\|constrain\|>\s?\w+|\s[^<]*)?<\|message\|>")
_CHANNEL = re.compile(r"\s*(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary|final)\b")
_END = re.compile(r"<\|(?:return|end)\|>\s*\Z")
_QUOTES = frozenset("'\"`")
# The first characters of answers that begin with reasoning, and the length of the longest start tag.
_SUSPECTS = ("<", "[T", "◁", "Here is my")
_TAG_MAX = 120


def separate_thoughts(response: ModelResponse) -> ModelResponse:
    """Return `response` with the reasoning in its text as a thinking part, and the answer as one text part.

    Blank lines between reasoning and answer belong to neither. Halves of characters become U+FFFD.
    """
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    thoughts, answer = split_thoughts(replace_surrogates(text))
    others: list[ModelResponsePart] = [part for part in response.parts if not isinstance(part, TextPart)]
    if thoughts:
        others.append(ThinkingPart(thoughts))
    if any(isinstance(part, ThinkingPart) for part in others):
        answer = answer.lstrip()
    if answer == text:
        return response
    return replace(response, parts=[*others, TextPart(answer)] if answer else others)


def split_thoughts(text: str) -> tuple[str, str]:
    """Return the reasoning in `text`, "" if it has none, and the answer; reasoning that never ends is all there is."""
    if _CHANNEL.match(text):
        return _split_channels(text)
    if text.lstrip().startswith(("{", "[", '"')) and _is_json(text):
        return "", text
    thoughts: list[str] = []
    rest = text
    while (cut := _leading_thoughts(rest)) is not None:
        thoughts.append(cut[0])
        rest = cut[1]
    if spoken := _SPOKEN.match(rest):
        thoughts.append(spoken[1])
        rest = rest[spoken.end() :]
    before, rest = _split_at_closing(rest)
    if around := _AROUND_ANSWER.match(rest):
        rest = around[1]
    return "\n\n".join(part.strip() for part in (*thoughts, before) if part.strip()), rest


def written_answer(text: str) -> str:
    """Return the part of an unfinished answer that can be shown: nothing while it may be reasoning.

    It is a start of the whole answer, except where only a later tag tells that the text so far was reasoning.
    """
    body = text.lstrip()
    if any(body.startswith(suspect) or suspect.startswith(body) for suspect in _SUSPECTS):
        thoughts, answer = split_thoughts(text)
        if not thoughts and len(body) < _TAG_MAX:
            return ""
        text = answer.lstrip() if thoughts else answer
    return replace_surrogates(text)


def _leading_thoughts(text: str) -> tuple[str, str] | None:
    """Return the reasoning that `text` begins with and what follows it, None if it begins with none."""
    body = text.lstrip()
    for opening, closing in _KINDS:
        if found := opening.match(body):
            inner = body[found.end() :]
            name = re.escape(found[1]) if opening.groups else ""
            end = re.search(closing.format(name), inner)
            return (inner, "") if end is None else (inner[: end.start()], inner[end.end() :])
    return None


def _split_at_closing(text: str) -> tuple[str, str]:
    """Return the reasoning in `text`, and the answer: all that stands before a closing tag is reasoning.

    A tag with an opening one before it closes a thought within the answer: only that thought is taken out.
    """
    thoughts: list[str] = []
    answer, at = "", 0
    for found in _closings(text):
        name = found[0].strip("</>[]◁▷ ")
        before = answer + text[at : found.start()]
        start = max(before.rfind(mark) for mark in (f"<{name}>", f"[{name}]", f"◁{name}▷"))
        answer, at = before[: max(start, 0)], found.end()
        thoughts.append(before if start < 0 else before[start:].partition(name)[2][1:])
    return "\n\n".join(thoughts), answer + text[at:]


def _closings(text: str) -> Iterator[re.Match[str]]:
    """Return the closing tags that are not spoken of: in quotes, or in a block of code."""
    fences = at = 0
    for found in _CLOSING.finditer(text):
        fences += text.count("```", at, found.start())
        at = found.start()
        around = {text[at - 1 : at], text[found.end() : found.end() + 1]}
        if not around & _QUOTES and fences % 2 == 0:
            yield found


def _split_channels(text: str) -> tuple[str, str]:
    """Return the channels of reasoning and the final one, as gpt-oss writes them."""
    finals = list(_FINAL.finditer(text))
    if not finals:
        return text, ""
    return text[: finals[-1].start()], _END.sub("", text[finals[-1].end() :])


def _is_json(text: str) -> bool:
    try:
        parse_json(text, lenient=True)
    except ValueError:
        return False
    return True
