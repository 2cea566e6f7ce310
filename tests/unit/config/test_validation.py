"""Models from nodes: accepted deviations, and messages for every error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from compozy.config.parse import parse_yaml
from compozy.config.settings import DatabaseSettings
from compozy.config.shape import fields_by_key
from compozy.config.timespan import format_duration, parse_duration_s
from compozy.config.unsupported_keys import UNSUPPORTED_KEYS
from compozy.config.validate import validate
from compozy.errors import SourceLocation
from compozy.nearest import nearest, suggest
from compozy.project.file import ProjectFile
from compozy.schema.json_kinds import is_list, is_map
from compozy.workflow.config import WorkflowConfig

HERE = SourceLocation(file="f", line=1, col=1)


def database(text: str) -> DatabaseSettings | list[str]:
    node = parse_yaml(text.encode(), file="f").node
    assert node is not None
    model, faults = validate(DatabaseSettings, node, label="database")
    return model or [str(fault) for fault in faults]


def test_a_number_is_accepted_as_written_where_text_is_expected() -> None:
    found = database("password: 0x10\nuser: 1.50\ndbname: true\nhost: 5\n")
    assert isinstance(found, DatabaseSettings)
    assert found.password is not None
    assert (found.password.get_secret_value(), found.user, found.dbname, found.host) == ("0x10", "1.50", "true", "5")


def test_quoted_text_is_accepted_where_a_number_is_expected() -> None:
    found = database("port: '5433'\nauto_migrate: 'false'\nmax_open_conns: ' 7 '\n")
    assert isinstance(found, DatabaseSettings)
    assert (found.port, found.auto_migrate, found.max_open_conns) == (5433, False, 7)


@pytest.mark.parametrize("text", ["port: true", "port: 1.5", "port: '1.5'", "auto_migrate: 1", "auto_migrate: 'on'"])
def test_other_types_are_refused(text: str) -> None:
    assert isinstance(database(text), list)


@pytest.mark.parametrize("word", ["1", "yes", "ON", "true"])
def test_switches_in_the_environment(word: str) -> None:
    scalar = ScalarNode(value=word, text=word, place=HERE, variables=("DB_AUTO_MIGRATE",))
    node = MappingNode(entries=(Entry(key="auto_migrate", key_place=HERE, value=scalar),), place=HERE)
    model, faults = validate(DatabaseSettings, node, label="database")
    assert not faults
    assert model is not None
    assert model.auto_migrate is True


def test_secrets_are_not_shown() -> None:
    faults = database("conn_string: [postgres://u:hunter2@h/d]\npassword: {a: hunter2}\n")
    assert isinstance(faults, list)
    assert len(faults) == 2
    assert "hunter2" not in str(faults)


def as_node(value: Any) -> Node:
    if is_map(value):
        entries = tuple(Entry(key=str(key), key_place=HERE, value=as_node(below)) for key, below in value.items())
        return MappingNode(entries=entries, place=HERE)
    if is_list(value):
        return SequenceNode(items=tuple(as_node(item) for item in value), place=HERE)
    return ScalarNode(value=value, text=str(value), place=HERE)


LEAVES = st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats(-9, 9) | st.sampled_from(["", "x", "5s", "1"])
KEYS = sorted({key for model in (ProjectFile, WorkflowConfig, DatabaseSettings) for key in fields_by_key(model)})
NESTED = sorted({"id", "type", "prompt", "providers", "responses", "text", "usage", "agent", "llm", "port", "source"})
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS + NESTED), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), st.sampled_from([ProjectFile, WorkflowConfig]))
def test_every_error_has_our_message(value: dict[str, Any], model: type[ProjectFile | WorkflowConfig]) -> None:
    found, faults = validate(model, as_node(value), label="the file")
    assert (found is None) == bool(faults)
    for fault in faults:
        assert "nput should" not in fault.message
        assert "not a valid value" not in fault.message, "a kind of error without words of its own"
        assert fault.code in {"value", "missing_key", "unknown_key", "duplicate_key"}


def test_no_key_is_both_known_and_absent() -> None:
    from compozy.agent.config import AgentConfig
    from compozy.model.config import ProviderConfig
    from compozy.task.registry import KINDS

    for kind in (found.model for found in KINDS.values()):
        assert not set(UNSUPPORTED_KEYS) & set(fields_by_key(kind))
    assert not set(UNSUPPORTED_KEYS) & set(fields_by_key(AgentConfig))
    assert not set(UNSUPPORTED_KEYS) & set(fields_by_key(WorkflowConfig))
    assert not set(UNSUPPORTED_KEYS) & set(fields_by_key(ProviderConfig))
    assert not set(UNSUPPORTED_KEYS) & set(fields_by_key(ProjectFile))


def test_nearest() -> None:
    assert nearest("temprature", ["temperature", "max_tokens"]) == "temperature"
    assert nearest("OpenAI", ["openai", "local"]) == "openai"
    assert nearest("zebra", ["openai"]) is None
    assert nearest("x" * 101, ["x" * 101]) is None
    assert suggest("locl", ["local"]) == "did you mean 'local'?"
    assert suggest("zebra", []) == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("1h30m", 5400), ("5 minutes", 300), ("1 day", 86400), (2, 2), ("1.5", 1.5)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5 parsecs", "-1s", "1h 30", "s", None, True, [], "400 days", -1, float("nan")])
def test_invalid_durations(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration_s(text)


def test_durations_for_people() -> None:
    assert [format_duration(each) for each in (0.41, 12, 200, 7500)] == ["0.4s", "12.0s", "3m20s", "2h05m"]
