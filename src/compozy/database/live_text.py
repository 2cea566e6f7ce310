"""Text that models are writing at the moment: passed to those who watch the run, never stored.

An answer is stored when it is complete. Until then its text exists in the process that asked the model. A process that
watches runs says so, and only watched runs publish text. While someone looks at lists of runs, such as on the web page,
the text of every run is kept: it is complete for a reader who opens a run in the middle of an answer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from compozy.clock import monotonic_s

TextKey = tuple[str, str, int]
"""Run, path of the task, number of the model request in the task."""
ANY_RUN = "*"
"""Stands for all runs where runs are watched."""


@dataclass(frozen=True, kw_only=True)
class TextDelta:
    """A piece of an answer.

    Attributes:
        execution_id: the run.
        path: the task in the run.
        request: number of the model request in the task, from 0.
        attempt: grows when the answer starts again, after an error, a fallback or a crash.
        offset: characters of the answer before this piece. With 0, the text starts again.
        text: the piece.
        is_last: whether the answer is complete, and stored.
    """

    execution_id: str
    path: str
    request: int
    attempt: int
    offset: int
    text: str
    is_last: bool = False

    @property
    def key(self) -> TextKey:
        """Which answer it is a piece of."""
        return self.execution_id, self.path, self.request

    @property
    def end(self) -> int:
        """Characters of the answer up to the end of this piece."""
        return self.offset + len(self.text)


TextListener = Callable[[TextDelta], None]


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.watched: Counter[str] = Counter()
        # Runs that other processes watch, and until when.
        self.watched_until_s: dict[str, float] = {}
        # Until when readers of this process may open any run.
        self.followed_until_s = 0.0
        self.written: dict[TextKey, TextDelta] = {}
        self.listeners: tuple[TextListener, ...] = ()


_state = _State()


def is_watched(execution_id: str) -> bool:
    """Return whether the text of a run is read anywhere."""
    if execution_id in _state.watched or is_followed():
        return True
    return is_watched_by_others(execution_id) or is_watched_by_others(ANY_RUN)


def follow_runs(*, seconds: float) -> None:
    """Keep the texts of all runs for `seconds`, because a reader of this process may open one of them."""
    _state.followed_until_s = monotonic_s() + seconds


def is_followed() -> bool:
    """Return whether a reader of this process may open any run."""
    return _state.followed_until_s > monotonic_s()


def watch_texts(runs: Collection[str]) -> None:
    """Publish the texts of `runs` until `unwatch_texts` is called with the same runs."""
    with _state.lock:
        _state.watched.update(runs)


def unwatch_texts(runs: Collection[str]) -> None:
    """Undo `watch_texts`."""
    with _state.lock:
        _state.watched.subtract(runs)
        _state.watched = +_state.watched


def watch_for(runs: Collection[str], *, seconds: float) -> list[TextDelta]:
    """Publish the texts of `runs` for `seconds`, and return the texts so far.

    For this time, complete answers are kept too, because their reader has not connected yet.
    """
    now_s = monotonic_s()
    with _state.lock:
        _state.watched_until_s = {run: until_s for run, until_s in _state.watched_until_s.items() if until_s > now_s}
        _state.watched_until_s.update(dict.fromkeys(runs, now_s + seconds))
        _drop_complete()
    return texts_of(runs)


def is_watched_by_others(execution_id: str) -> bool:
    """Return whether another process reads the text of a run."""
    return _state.watched_until_s.get(execution_id, 0.0) > monotonic_s()


def texts_of(runs: Collection[str]) -> list[TextDelta]:
    """Return the answers of `runs` in this process that are known, each as one piece with the text so far."""
    with _state.lock:
        return [text for text in _state.written.values() if text.execution_id in runs]


def publish_text(delta: TextDelta) -> None:
    """Pass a piece to the listeners; those that continue an answer follow each other without a gap."""
    with _state.lock:
        so_far = _state.written.get(delta.key)
        if so_far is None or delta.offset == 0:
            _state.written[delta.key] = delta
        else:
            _state.written[delta.key] = replace(so_far, text=so_far.text + delta.text, is_last=delta.is_last)
        if delta.is_last:
            _drop_complete()
        listeners = _state.listeners
    for listener in listeners:
        listener(delta)


def forget_text(key: TextKey) -> None:
    """Forget an answer that was not completed."""
    with _state.lock:
        if key in _state.written and not _state.written[key].is_last:
            del _state.written[key]


def _drop_complete() -> None:
    """Drop complete answers whose readers have had the time to connect."""
    for key in [key for key, text in _state.written.items() if text.is_last and not is_watched_by_others(key[0])]:
        del _state.written[key]


def add_text_listener(listener: TextListener) -> None:
    """Call `listener` with each piece, on the thread that publishes it."""
    with _state.lock:
        _state.listeners = (*_state.listeners, listener)


def remove_text_listener(listener: TextListener) -> None:
    """Undo `add_text_listener`."""
    with _state.lock:
        _state.listeners = tuple(known for known in _state.listeners if known != listener)
