"""Which files of a project's folder hold its workflows and shared resources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from compozy.config.nodes import MappingNode, Node, ScalarNode, SequenceNode, child, node_at
from compozy.errors import Diagnostic, SourceLocation
from compozy.filepatterns import find_files
from compozy.project.resource_kinds import RESOURCE_KINDS

MAX_FILES = 1000
SUFFIXES = frozenset({".yaml", ".yml"})

_WILDCARDS = frozenset("*?[")
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Discovered:
    """Files in the order of their names, and what is wrong with how they are named."""

    files: tuple[Path, ...]
    faults: tuple[Diagnostic, ...]


def discover_files(node: MappingNode, *, config_file: Path, cwd: Path) -> Discovered:
    """Find `workflows/*.yaml`, `agents/*.yaml` and so on, what `autoload` adds and leaves out, and named workflows.

    Args:
        node: the root of compozy.yaml.
        config_file: the absolute path of compozy.yaml.
        cwd: the folder from which places name files.
    """
    search = _Search(root=config_file.parent, cwd=cwd, config_file=config_file)
    for folder in ("workflows", *(kind.folder for kind in RESOURCE_KINDS.values())):
        for pattern in (f"{folder}/*.yaml", f"{folder}/*.yml"):
            search.add_matches(pattern, SourceLocation(file=pattern))
    for scalar in _texts(node, "include") if _is_autoload_enabled(node) else ():
        search.include(scalar)
    for scalar in _texts(node, "exclude"):
        search.exclude(scalar)
    for source in _sources(node):
        search.add_named(source)
    files = sorted(search.found)
    if len(files) > MAX_FILES:
        message = f"the project has more than {MAX_FILES} workflow and resource files"
        search.faults.append(
            Diagnostic(location=SourceLocation(file=shown(config_file, cwd)), message=message, code="files")
        )
    return Discovered(files=tuple(files[:MAX_FILES]), faults=tuple(search.faults))


def shown(path: Path, cwd: Path) -> str:
    """Return how places name the file at `path`: from `cwd` if it is below it, else in full."""
    return path.relative_to(cwd).as_posix() if path.is_relative_to(cwd) else str(path)


@dataclass(kw_only=True)
class _Search:
    root: Path
    cwd: Path
    config_file: Path
    found: dict[Path, None] = field(default_factory=dict[Path, None])
    faults: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def include(self, scalar: ScalarNode) -> None:
        if not self._is_inside(scalar):
            return
        if not _WILDCARDS & set(scalar.text):
            self.add_named(scalar)
        else:
            self.add_matches(scalar.text, scalar.place)

    def exclude(self, scalar: ScalarNode) -> None:
        if self._is_inside(scalar):
            for path in self._glob(scalar.text, scalar.place):
                self.found.pop(path, None)

    def add_matches(self, pattern: str, place: SourceLocation) -> None:
        for path in self._glob(pattern, place):
            file = SourceLocation(file=shown(path, self.cwd))
            if path.suffix in SUFFIXES and not path.is_file():
                what = "the link leads to no file" if path.is_symlink() else "this is not a regular file"
                self._fault(file, what, "replace it with a file, or delete it")
            elif path.suffix in SUFFIXES and not path.samefile(self.config_file):
                self._add(path, file)

    def add_named(self, scalar: ScalarNode) -> None:
        if not self._is_inside(scalar):
            return
        path = self.root / PurePosixPath(scalar.text)
        if not path.is_file():
            self._fault(scalar.place, f"file {scalar.text!r} not found in the project's folder")
        elif path.suffix not in SUFFIXES:
            self._fault(scalar.place, f"{scalar.text!r} is not a YAML file", "its name ends in .yaml or .yml")
        else:
            self._add(path, scalar.place)

    def _add(self, path: Path, place: SourceLocation) -> None:
        if path.resolve().is_relative_to(self.root.resolve()):
            self.found[path] = None
        else:
            self._fault(place, "the file is a link that leads out of the project's folder", "copy it into the folder")

    def _is_inside(self, scalar: ScalarNode) -> bool:
        parts = PurePosixPath(scalar.text).parts
        if not parts:
            self._fault(scalar.place, "a pattern of files must not be empty")
            return False
        is_inside = ".." not in parts and not PurePosixPath(scalar.text).is_absolute() and "\0" not in scalar.text
        if not is_inside:
            self._fault(scalar.place, f"{scalar.text!r} leads out of the project's folder", "name files inside of it")
        return is_inside

    def _glob(self, pattern: str, place: SourceLocation) -> list[Path]:
        pattern = str(PurePosixPath(pattern))
        if any("**" in part and part != "**" for part in PurePosixPath(pattern).parts):
            self._fault(place, f"{pattern!r} is not a file pattern", "`**` must be alone between slashes")
            return []
        patterns = [pattern, f"{pattern}/*"] if pattern.endswith("**") else [pattern]
        try:
            return list(dict.fromkeys(path for each in patterns for path in self._files(each)))
        except (ValueError, OSError):
            self._fault(place, f"{pattern!r} is not a file pattern")
            return []

    def _files(self, pattern: str) -> Iterator[Path]:
        names_hidden = pattern.startswith(".") or "/." in pattern

        def skips(name: str) -> bool:
            return name in _SKIPPED_FOLDERS or (name.startswith(".") and not names_hidden)

        yield from (path for path in find_files(self.root, pattern, skips=skips) if not path.is_dir())

    def _fault(self, place: SourceLocation, message: str, hint: str = "") -> None:
        self.faults.append(Diagnostic(location=place, message=message, hint=hint, code="files"))


def _is_autoload_enabled(node: MappingNode) -> bool:
    enabled = node_at(node, ("autoload", "enabled"))
    return not (isinstance(enabled, ScalarNode) and enabled.value is False)


def _texts(node: MappingNode, key: str) -> list[ScalarNode]:
    return [item for item in _items(node_at(node, ("autoload", key))) if isinstance(item, ScalarNode)]


def _sources(node: MappingNode) -> list[ScalarNode]:
    sources = [child(item, "source") for item in _items(child(node, "workflows"))]
    return [source for source in sources if isinstance(source, ScalarNode) and source.text]


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, SequenceNode) else ()
