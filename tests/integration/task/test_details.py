"""Parts of a run as documents: its graph with states, and its messages."""

from __future__ import annotations

from typing import Any

from compozy.database.database import Database
from compozy.workflow.details import messages_of, read_graph
from tests.harness.runs import flowing

_FLOW = """
    tasks:
      - id: route
        type: router
        condition: "'left'"
        routes:
          left: fan
          right: {id: calm, with: {n: 1}, on_success: {next: fan}}
      - id: fan
        type: parallel
        tasks:
          - {id: one, with: {n: 1}}
          - id: steps
            type: composite
            tasks:
              - {id: first, with: {n: 1}}
              - {id: second, with: {n: 2}}
        on_error: {next: mend}
        on_success: {next: each}
      - id: mend
        with: {n: 0}
      - id: each
        type: collection
        items: ["a", "b"]
        task: {id: "item-{{ .index }}", with: {n: "{{ .item }}"}}
    """


async def test_the_graph_has_every_task_and_its_state(database: Database) -> None:
    async with flowing(database) as flows:
        await flows.start(_FLOW, None, execution_id="r")
        await flows.ended("r")
    with database.read() as connection:
        graph = read_graph(connection, "r")
    states = {node["path"]: node["status"] for node in graph["nodes"]}
    done = ("route", "fan", "fan/one", "fan/steps", "fan/steps/first", "fan/steps/second", "each")
    not_run = ("calm", "mend", "each/item-{{ .index }}")
    assert states == {
        **dict.fromkeys(done, "SUCCESS"),
        **dict.fromkeys(not_run),
        **dict.fromkeys(("each/item-0", "each/item-1"), "SUCCESS"),
    }
    parents = {node["path"]: node["parent"] for node in graph["nodes"]}
    assert (parents["fan"], parents["fan/steps/first"], parents["each/item-1"]) == (None, "fan/steps", "each")
    edges = {(edge["source"], edge["target"], edge["label"], edge["on_failure"]) for edge in graph["edges"]}
    assert edges == {
        ("route", "fan", "left", False),
        ("route", "calm", "right", False),
        ("calm", "fan", "", False),
        ("fan", "each", "", False),
        ("fan", "mend", "error", True),
        ("fan/steps/first", "fan/steps/second", "", False),
    }


def _request(number: int, **more: Any) -> dict[str, Any]:
    empty = {"instructions": "Be brief.", "prompt": "Hi", "provider": "p", "model": "m", "answer": None, "error": None}
    return {"path": "ask", "number": number, "tool_calls": [], **empty, **more}


def test_a_conversation_with_tools_is_a_list_of_messages() -> None:
    call = {"tool": "add", "arguments": {"a": 1}, "outcome": "ok", "result": 2}
    refused: dict[str, Any] = {"tool": "none", "arguments": {}, "outcome": None, "result": None}
    requests = [
        _request(1, answer="", tool_calls=[call, refused]),
        _request(2, error={"code": "model", "message": "boom"}),
        _request(3, answer="It is 2."),
    ]
    messages = messages_of(requests)
    assert [(message["request"], message["role"], message["content"]) for message in messages] == [
        (1, "system", "Be brief."),
        (1, "user", "Hi"),
        (1, "assistant", ""),
        (1, "tool", 2),
        (2, "assistant", None),
        (3, "assistant", "It is 2."),
    ]
    assert [each["tool"] for each in messages[2]["tool_calls"]] == ["add", "none"]
    assert messages[4]["error"] == {"code": "model", "message": "boom"}
    assert (messages[3]["tool"], messages[3]["outcome"]) == ("add", "ok")
