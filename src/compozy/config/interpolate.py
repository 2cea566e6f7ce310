"""`${VAR}`, `${VAR:-default}` and `$${` in the values of compozy.yaml.

It works on parsed nodes, value by value, so a variable can hold anything and never becomes YAML structure. An unquoted
value is read as a number, true, false or null again afterwards (`port: ${PORT:-8080}`); a quoted one stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from compozy.config.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode, YamlPath
from compozy.config.scalars import Scalar, resolve_plain
from compozy.errors import Diagnostic

KEYS_THAT_MAY_BE_MISSING = frozenset({"api_key"})

_MARK = re.compile(r"\$\$\{|\$\{")
_NEEDED: YamlPath = ("server", "api_key")
# Values that the program generates; a YAML text such as an answer may contain `${...}`.
_SECRETS = frozenset({"api_key", "password", "conn_string", "read_url"})
_NAME = "([A-Za-z_][A-Za-z0-9_]*)"
# Shells and compose files; PowerShell; cmd.exe; templates, of workflows too; GitHub Actions.
_FOREIGN = re.compile(
    rf"\$(?:env:)?{_NAME}|\$\({_NAME}\)|%{_NAME}%|\$?\{{\{{-?\s*(?:\$?\.?(?:env|secrets)\.)?{_NAME}\s*-?\}}\}}|@?env:{_NAME}"
    # Programming languages, their formats, and other files of settings.
    rf"|(?:process\.)?env\.{_NAME}|(?:os\.)?environ(?:\[['\"]{_NAME}['\"]\]|/{_NAME})|(?:os\.)?getenv\(['\"]{_NAME}['\"]\)"
    rf"|ENV\[['\"]?{_NAME}['\"]?\]|\{{{_NAME}\}}|!(?:env\s+)?{_NAME}|%\({_NAME}\)s"
)
# Texts that are not keys: the name of a variable, a command, the address of a secret, a blank to be filled in.
_NO_KEY = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)|\$\(.+\)|[a-z][a-z+]*://.+|vault:.+|<[^<>]+>|(?i:bearer\s.*)")
# As the 2025 edition wrote variables in its settings.
_TEMPLATE = re.compile(rf"""\{{\{{-?\s*\.env\.{_NAME}(?:\s*\|\s*default\s+["']([^"'}}]*)["'])?\s*-?\}}\}}""")
# The values below these keys are templates of workflows.
_TEMPLATES = (("agents",), ("tasks",), ("schemas",), ("tools",), ("mcps",))
# Variables below these keys are read when a tool is called: a run keeps the definition of its tools, without secrets.
_READ_LATER = (("tools",), ("mcps",))
_EXPRESSION = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolated:
    """The nodes with their variables filled in; `missing` says which variable each absent key would have needed."""

    node: Node
    faults: tuple[Diagnostic, ...]
    missing: Mapping[YamlPath, str]


def interpolate(node: Node, environ: Mapping[str, str]) -> Interpolated:
    """Fill the variables of `environ` into every value below `node`.

    A variable that is unset or empty and has no default is a fault, except in an `api_key` other than the server's: it
    becomes null, and `missing` names the variable.
    """
    work = _Work(environ=environ)
    filled = work.fill(node, ())
    return Interpolated(node=filled, faults=tuple(dict.fromkeys(work.faults)), missing=work.missing)


def modern_variables(root: MappingNode) -> MappingNode:
    """Return compozy.yaml with `{{ .env.NAME }}` in its settings as `${NAME}`."""

    def change(node: Node, path: YamlPath) -> Node:
        if isinstance(node, MappingNode):
            entries = tuple(replace(entry, value=change(entry.value, (*path, entry.key))) for entry in node.entries)
            return MappingNode(entries=entries, place=node.place)
        if isinstance(node, SequenceNode):
            items = tuple(change(item, (*path, index)) for index, item in enumerate(node.items))
            return SequenceNode(items=items, place=node.place)
        return _modern_variable(node, path)

    changed = change(root, ())
    assert isinstance(changed, MappingNode)  # noqa: S101 - the shape stays
    return changed


def _modern_variable(node: ScalarNode, path: YamlPath) -> ScalarNode:
    found = None if path[:1] in _TEMPLATES else _TEMPLATE.fullmatch(node.text.strip())
    if found is None:
        return node
    text = f"${{{found[1]}{'' if found[2] is None else f':-{found[2]}'}}}"
    return replace(node, value=text, text=text, span=None)


# Stands for the value of a secret whose variable is in the notation of another program.
_SOME_KEY = "value-of-a-variable"


class _UnsetError(Exception):
    """A variable has no value."""


@dataclass(kw_only=True)
class _Work:
    environ: Mapping[str, str]
    faults: list[Diagnostic] = field(default_factory=list[Diagnostic])
    missing: dict[YamlPath, str] = field(default_factory=dict[YamlPath, str])

    def fill(self, node: Node, path: YamlPath) -> Node:
        if path in _READ_LATER:
            return node
        if isinstance(node, MappingNode):
            entries = (replace(entry, value=self.fill(entry.value, (*path, entry.key))) for entry in node.entries)
            return MappingNode(entries=tuple[Entry, ...](entries), place=node.place)
        if isinstance(node, SequenceNode):
            items = (self.fill(item, (*path, index)) for index, item in enumerate(node.items))
            return SequenceNode(items=tuple[Node, ...](items), place=node.place)
        node = _modern_variable(node, path)
        before = len(self.faults)
        self._check_notation(node, path)
        if len(self.faults) > before:
            # Reported; the value is checked as a key that is valid.
            return replace(node, value=_SOME_KEY, text=_SOME_KEY, span=None)
        return self._fill_scalar(node, path) if "${" in node.text else node

    def _check_notation(self, node: ScalarNode, path: YamlPath) -> None:
        """Refuse a secret that names its variable in the notation of another program: it would be sent as it is."""
        names = [name for name in path if isinstance(name, str)]
        if not names or names[-1] not in _SECRETS:
            return
        text = node.text.strip()
        found = _FOREIGN.fullmatch(text) or (_NO_KEY.fullmatch(text) if names[-1] == "api_key" else None)
        if found is None:
            return
        if text.lower().startswith("bearer"):
            message, hint = f"{names[-1]}: the key begins with `Bearer`", "remove it; Compozy adds it"
            self.faults.append(Diagnostic(location=node.locate(0), message=message, hint=hint, code="value"))
            return
        name = next((group for group in found.groups() if group), "NAME")
        # A password may begin with a dollar sign, and is not shown.
        if names[-1] != "api_key" and not (name.isupper() and "_" in name):
            return
        message = f"{names[-1]}: {text[:60]!r} is not replaced by the value of a variable"
        # Not `variable`, which hides other errors of the line as consequences.
        hint = f"write `${{{name}}}`"
        self.faults.append(Diagnostic(location=node.locate(0), message=message, hint=hint, code="value"))

    def _fill_scalar(self, node: ScalarNode, path: YamlPath) -> ScalarNode:
        # A provider without its own key works without one, or another one answers. A server would answer everyone.
        may_be_missing = bool(path) and path[-1] in KEYS_THAT_MAY_BE_MISSING and path != _NEEDED
        variables: list[str] = []
        try:
            text = self._fill_text(node, variables, may_be_missing=may_be_missing)
        except _UnsetError:
            self.missing[path] = variables[-1]
            return ScalarNode(value=None, text="", place=node.place, variables=tuple(variables))
        is_read_again = node.is_plain and bool(variables)
        value = _read_again(text) if is_read_again else text
        return ScalarNode(value=value, text=text, place=node.place, variables=tuple(variables))

    def _fill_text(self, node: ScalarNode, variables: list[str], *, may_be_missing: bool) -> str:
        parts: list[str] = []
        at = 0
        while found := _MARK.search(node.text, at):
            parts.append(node.text[at : found.start()])
            if found[0] == "$${":
                parts.append("${")
                at = found.end()
                continue
            expression = _EXPRESSION.match(node.text, found.start())
            if expression is None or "${" in (expression[2] or ""):
                at = self._refuse(node, found.start())
                continue
            variables.append(expression[1])
            parts.append(self._lookup(node, expression, may_be_missing=may_be_missing))
            at = expression.end()
        return "".join([*parts, node.text[at:]])

    def _lookup(self, node: ScalarNode, expression: re.Match[str], *, may_be_missing: bool) -> str:
        name, default = expression[1], expression[2]
        value = self.environ.get(name) or default
        if value is not None:
            return value
        if may_be_missing:
            raise _UnsetError(name)
        hint = f"set it in the environment or in .env, or write `${{{name}:-default}}`"
        state = "empty" if name in self.environ else "not set"
        self._fault(node, expression.start(), f"the variable {name} is {state}", hint)
        return ""

    def _refuse(self, node: ScalarNode, at: int) -> int:
        end = node.text.find("}", at) + 1 or len(node.text)
        hint = "write `${NAME}` or `${NAME:-default}`; a literal `${` is written `$${`"
        self._fault(node, at, f"`{node.text[at:end][:60]}` names no variable", hint)
        return end

    def _fault(self, node: ScalarNode, offset: int, message: str, hint: str) -> None:
        self.faults.append(Diagnostic(location=node.locate(offset), message=message, hint=hint, code="variable"))


def _read_again(text: str) -> Scalar:
    try:
        return resolve_plain(text)
    except ValueError:
        return text
