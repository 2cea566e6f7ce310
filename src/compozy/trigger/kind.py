"""The record of a trigger type, found by the `type` of the trigger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from compozy.config.nodes import YamlPath
from compozy.config.settings import Section
from compozy.config.shape import OpenUnion


class TriggerBase(Section):
    """One item of `triggers:` of a workflow; each kind adds its `type`."""

    if TYPE_CHECKING:
        # A string; each kind narrows it to its name, which a type checker allows of nothing else.
        type: Any


@dataclass(frozen=True, kw_only=True)
class TriggerKind:
    """A kind of trigger. Only `name`, `model` and `page` are required.

    Attributes:
        name: value of `type`.
        model: its configuration.
        page: page of the documentation.
        entry: module with `new_entry`, a function from a `compozy.server.service.Service` to a
            `compozy.server.entry.Entry`. The server imports it if a workflow has such a trigger, and only then.
        start_check: module with `check_project`, which refuses a `LoadedProject` that must not be served.
        extra: extra of the package that installs what it needs, "" for none.
        packages: packages that it needs.
        unique: key whose value only one trigger of this kind in the project can have, () for none.
        is_named_by_workflow: whether the ID of the workflow is the default of that key.
        reserved: values that the key cannot have.
        noun: what that value is, in messages.
        schemas: keys that hold a JSON Schema; `*` stands for each item of a list.
        conditions: keys that hold a CEL condition, in the same form.
        templates: keys whose texts are templates, in the same form.
        roots: what its conditions and templates read.
    """

    name: str
    model: type[TriggerBase]
    page: str
    entry: str = ""
    start_check: str = ""
    extra: str = ""
    packages: tuple[str, ...] = ()
    unique: YamlPath = ()
    is_named_by_workflow: bool = False
    reserved: frozenset[str] = frozenset()
    noun: str = "name"
    schemas: tuple[YamlPath, ...] = ()
    conditions: tuple[YamlPath, ...] = ()
    templates: tuple[YamlPath, ...] = ()
    roots: tuple[str, ...] = ()


TRIGGER_KINDS: dict[str, TriggerKind] = {}
"""The registered kinds by name. Import them from `compozy.trigger.registry`, which registers the built-in ones."""


def register(*kinds: TriggerKind) -> None:
    """Add kinds of triggers. A model that was built before, such as `WorkflowConfig`, has to be rebuilt."""
    TRIGGER_KINDS.update({kind.name: kind for kind in kinds})


def _tag(value: Any) -> str:
    """Return the branch of the union that `value`, a trigger, is read by; the brackets keep it out of error paths."""
    if isinstance(value, Mapping):
        return f"<{cast('Mapping[str, Any]', value).get('type', '')}>"
    return f"<{getattr(value, 'type', '')}>"


@dataclass(frozen=True, kw_only=True)
class _AnyKind(OpenUnion):
    """Reads a trigger by the model of its kind."""

    def branches(self) -> dict[str, Any]:
        """Return the models of all kinds by tag."""
        return {f"<{name}>": kind.model for name, kind in TRIGGER_KINDS.items()}

    def discriminator(self, value: Any) -> str:
        """Return the tag of the kind of `value`."""
        return _tag(value)

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {tag: handler.generate_schema(branch) for tag, branch in self.branches().items()}
        return core_schema.tagged_union_schema(choices, discriminator=_tag)


Trigger = Annotated[TriggerBase, _AnyKind()]
