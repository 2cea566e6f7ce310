"""The one registry of functions, and the Go types of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from compozy.template.values import INVALID, GoError, GoValue, NilMap, type_name

_Call = TypeVar("_Call", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter's type: Go's name of it, and the Python types that stand for it (none: any value fits).

    `walked` is set for text of which the function looks at each character.
    """

    go_type: str
    accepts: tuple[type, ...] = ()
    takes_nil: bool = False
    takes_missing: bool = False
    walked: bool = False

    def check(self, value: Any) -> Any:
        """Return the value as the function gets it; raises GoError when it does not fit."""
        if type(value) in self.accepts:
            return value
        if value is INVALID:
            return self._from_nothing()
        if not self.accepts:
            return value
        if value is None:
            raise GoError(f"wrong type for value; expected {self.go_type}; got interface {{}}")
        if type_name(value) == self.go_type:
            return value
        raise GoError(f"wrong type for value; expected {self.go_type}; got {type_name(value)}")

    def _from_nothing(self) -> Any:
        if self.takes_missing:
            return INVALID
        if self.takes_nil:
            return None if not self.accepts else NilMap()
        raise GoError(f"invalid value; expected {self.go_type}")

    def check_nil(self) -> Any:
        """Return what the constant `nil` gives; raises GoError when the type has no nil."""
        if not self.takes_nil:
            raise GoError(f"cannot assign nil to {self.go_type}")
        return self._from_nothing()


PARAMS: dict[str, Param] = {
    "any": Param("interface {}", takes_nil=True),
    "value": Param("reflect.Value", takes_nil=True, takes_missing=True),
    "string": Param("string", (str,)),
    "text": Param("string", (str,), walked=True),
    "int": Param("int", (int,)),
    "bool": Param("bool", (bool,)),
    "float64": Param("float64", (float,)),
    "map": Param("map[string]interface {}", (dict, NilMap), takes_nil=True),
    "time": Param("time.Time", (GoValue,)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function of the language. `counted` ones get the Budget of the rendering as first argument.

    `walks` is set for those that visit their lists and maps at every depth: the items are counted before the call.
    """

    name: str
    params: tuple[Param, ...]
    rest: Param | None
    call: Callable[..., Any]
    group: str
    counted: bool = False
    mutates: bool = False
    walks: bool = False

    def param(self, index: int) -> Param | None:
        """Return the type of the argument at `index`; None when there are fewer."""
        return self.params[index] if index < len(self.params) else self.rest


REGISTRY: dict[str, Function] = {}


def function(
    names: str, signature: str = "", *, counted: bool = False, mutates: bool = False, walks: bool = False
) -> Callable[[_Call], _Call]:
    """Register a function under each of the names, with the Go types of its parameters: `"int string any..."`."""

    def register(call: _Call) -> _Call:
        types = signature.split()
        rest = PARAMS[types.pop().removesuffix("...")] if signature.endswith("...") else None
        params = tuple(PARAMS[name] for name in types)
        group = call.__module__.rpartition(".")[2]
        for name in names.split():
            REGISTRY[name] = Function(
                name=name,
                params=params,
                rest=rest,
                call=call,
                group=group,
                counted=counted,
                mutates=mutates,
                walks=walks,
            )
        return call

    return register
