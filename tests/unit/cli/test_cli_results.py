"""Output of `workflow get` for a waiting task."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.cli.results import print_execution, print_listing

FORM = {"form": {"type": "object"}}
PROBLEM = {"path": "ok", "message": "expected true or false, got 'maybe'"}
REFUSED = {"id": "x", "sent_by": "other", "received_at_utc": "2026-11-22T08:00:00Z", "problems": [PROBLEM]}


def shown_lines(
    capsys: pytest.CaptureFixture[str], status: str, output: Any, *, signal_arrived: bool = False
) -> list[str]:
    no_times = dict.fromkeys(("started_at", "finished_at"))
    task: dict[str, Any] = {
        "task_id": "ask",
        "path": "ask",
        "parent": None,
        "status": "WAITING",
        "attempts": 1,
        "usage": [],
    }
    task |= {"waits_for": "go", "signal_arrived": signal_arrived, "output": output, **no_times}
    run: dict[str, Any] = {
        "execution_id": "r",
        "workflow_id": "w",
        "status": status,
        "journal_format": 1,
        "requested": None,
    }
    run |= {"origin": None, "trigger": None, "labels": {}}
    assert print_execution({**run, "tasks": [task], **no_times}, as_json=False) == 0
    return capsys.readouterr().out.rpartition("\n\n")[2].splitlines()


def test_a_waiting_task_is_shown_with_the_command_that_answers_it(capsys: pytest.CaptureFixture[str]) -> None:
    approve = "ask waits for an answer: compozy workflow approve r --input '{...}'"
    assert shown_lines(capsys, "WAITING", FORM) == [approve, '  its form: {"type": "object"}']
    assert shown_lines(capsys, "PAUSED", FORM)[0] == approve
    assert shown_lines(capsys, "WAITING", {}) == ["ask waits: compozy workflow signal r go"]


def test_an_answer_that_arrived_is_not_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    paused = shown_lines(capsys, "PAUSED", FORM, signal_arrived=True)
    assert paused == ["ask has got its answer, and takes it next: compozy workflow resume r"]
    assert shown_lines(capsys, "RUNNING", FORM, signal_arrived=True) == ["ask has got its answer, and takes it next"]
    assert shown_lines(capsys, "WAITING", {}, signal_arrived=True) == ["ask has got its signal, and takes it next"]


def test_an_answer_that_violated_the_form_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown_lines(capsys, "WAITING", {**FORM, "refused": [REFUSED]})[2] == (
        "  a signal of execution other at 2026-11-22T08:00:00Z did not match it and was dropped: "
        "ok: expected true or false, got 'maybe'"
    )


def test_a_run_shows_what_started_it_and_its_labels(capsys: pytest.CaptureFixture[str]) -> None:
    times = {"created_at": None, "started_at": None, "finished_at": None}
    run: dict[str, Any] = {"execution_id": "r", "workflow_id": "w", "status": "SUCCESS", "output": 1, "error": None}
    run |= {"requested": None, "journal_format": 1, "origin": None, "usage": [], "tasks": [], **times}
    shown: list[list[str]] = []
    for trigger in (None, {"type": "cli", "id": None, "by": None}, {"type": "webhook", "id": "orders", "by": "Ada"}):
        assert print_execution({**run, "trigger": trigger, "labels": {"a": "1", "b": ""}}, as_json=False) == 0
        shown.append([line for line in capsys.readouterr().out.splitlines() if line.startswith(("Trigger", "Labels"))])
    assert shown[0] == shown[1] == ["Labels    a=1, b="]
    assert shown[2] == ["Trigger   webhook orders, by Ada", "Labels    a=1, b="]


def test_a_run_of_an_earlier_server_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """It sends neither costs nor since when a run waits for a place."""
    run = {"execution_id": "r", "workflow_id": "w", "status": "PENDING", "journal_format": 1, "origin": None}
    run |= dict.fromkeys(("started_at", "finished_at"))
    print_listing([], [run], where="", is_filtered=False, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "r          w         PENDING  -        -"
