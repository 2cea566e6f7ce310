"""Ctrl-C while modules are imported, which does not always arrive as KeyboardInterrupt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic_core import SchemaSerializer, SchemaValidator, core_schema

from compozy.cli.main import run


class _Interrupting(type):
    def __getattribute__(cls, name: str) -> object:
        if name == "__name__":
            raise KeyboardInterrupt
        return super().__getattribute__(name)


class _Model(metaclass=_Interrupting):
    pass


def build_schema(of: type[SchemaSerializer] | type[SchemaValidator]) -> None:
    fields = core_schema.model_fields_schema({"a": core_schema.model_field(core_schema.str_schema())})
    of(core_schema.definitions_schema(core_schema.model_schema(_Model, fields), []))


def name_an_attribute() -> None:
    class Named:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    type("Owner", (), {"x": Named()})


@pytest.mark.parametrize(
    "load", [lambda: build_schema(SchemaSerializer), lambda: build_schema(SchemaValidator), name_an_attribute]
)
def test_a_disguised_interrupt_is_recognized(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], load: Callable[[], None]
) -> None:
    class Command:
        def main(self, **_: object) -> None:
            load()

    def make_tree(_names: frozenset[str]) -> Command:
        return Command()

    monkeypatch.setattr("compozy.cli.main.command_tree", make_tree)
    assert run(["version"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
