"""`compozy doctor`: checks everything that a project needs on this machine, and changes nothing."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from compozy import __version__
from compozy.errors import CompozyError, ProjectError
from compozy.model.config import ProviderConfig
from compozy.parts import knowledge_of
from compozy.project.advice import repeat_warnings, runtime_warnings, server_warnings, warnings_of
from compozy.project.loaded import LoadedProject
from compozy.project.paths import shown_path

_LOW_BYTES = 1 << 30
_FULL_BYTES = 100 << 20
_FEW_DESCRIPTORS = 1024
# The exit code of errors that no error class stands for.
FAILED = 1


class Grade(StrEnum):
    """Result of one check. Only an error makes the command fail."""

    ok = "ok"
    warning = "warning"
    error = "error"
    skipped = "skipped"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: its subject, its result in words, and the way out. `exit_status` is 0 unless it is an error."""

    name: str
    grade: Grade
    message: str
    hint: str = ""
    exit_status: int = 0


def passed(name: str, message: str) -> Check:
    """Return a check without findings."""
    return Check(name=name, grade=Grade.ok, message=message)


def warned(name: str, message: str, hint: str = "") -> Check:
    """Return a check that found something that Compozy can run with."""
    return Check(name=name, grade=Grade.warning, message=message, hint=hint)


def failed(name: str, message: str, hint: str = "", *, exit_status: int = FAILED) -> Check:
    """Return a check that found something that Compozy cannot run with."""
    return Check(name=name, grade=Grade.error, message=message, hint=hint, exit_status=exit_status)


def skipped(name: str, message: str) -> Check:
    """Return a check that could not be made."""
    return Check(name=name, grade=Grade.skipped, message=message)


def explained(name: str, error: CompozyError) -> Check:
    """Return a check that ended with an error."""
    return failed(name, error.message, error.hint or "", exit_status=error.exit_status)


def check_versions() -> Check:
    """Return the versions of Compozy and of what it runs on."""
    python = f"Python {platform.python_version()}"
    return passed("versions", f"Compozy {__version__}, {python}, {platform.system()} {platform.release()}")


def check_files(error: ProjectError) -> Iterator[Check]:
    """Yield the errors of the files of a project."""
    for fault in error.diagnostics:
        yield failed("configuration", str(fault), exit_status=error.exit_status)


def check_project(project: LoadedProject) -> Iterator[Check]:
    """Yield what the checked files of a project say about themselves, about packages and about keys."""
    if not project.invalid_workflows:
        count = len(project.workflows)
        words = f"project {project.name!r}, {count} workflow{'' if count == 1 else 's'}"
        yield passed("configuration", f"{project.file.name} is valid: {words}")
    for warning in (
        *map(str, project.warnings),
        *warnings_of(knowledge_of(project)),
        *repeat_warnings(project.workflows.values()),
        *server_warnings(project),
        *runtime_warnings(project),
    ):
        yield warned("configuration", warning)
    yield from _check_keys(project)


def _check_keys(project: LoadedProject) -> Iterator[Check]:
    for provider in project.providers:
        variable = project.missing_keys.get(provider.id)
        if variable is None:
            continue
        if provider.missing_key_fallback is not None:
            yield passed(
                "keys", f"{variable} is not set; provider {provider.missing_key_fallback!r} answers for {provider.id!r}"
            )
            continue
        yield warned(
            "keys",
            f"provider {provider.id!r} has no API key: {variable} is not set",
            f"set it in the environment or in {shown_path(str(project.root / '.env'), Path.cwd())}",
        )


def check_reach(project: LoadedProject) -> Iterator[Check]:
    """Ask the provider of each API key whether it accepts the key."""
    # Imported here: the libraries of models load slowly.
    from compozy.model.reach import ask_provider

    for provider in project.providers:
        if provider.id in project.missing_keys:
            continue
        reach = ask_provider(provider, project.environ)
        name = f"provider {provider.id!r}"
        if reach is None:
            yield passed("keys", f"{name} needs no server")
        elif reach.is_good:
            yield passed("keys", f"{name}: {reach.words}")
        else:
            yield failed("keys", f"{name}: {reach.words}", _hint_of(provider))


def _hint_of(provider: ProviderConfig) -> str:
    return f"check `api_key` and `base_url` of provider {provider.id!r} in compozy.yaml"


def check_machine(project: LoadedProject) -> Iterator[Check]:
    """Yield the free space of the folders that are written to, and the limits of this process."""
    file = project.database.file
    folders = [project.root if file is None else file.parent, Path(tempfile.gettempdir())]
    seen: set[int] = set()
    for folder in map(existing, folders):
        device = folder.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield judge_space(shutil.disk_usage(folder).free, _shown_folder(folder))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FEW_DESCRIPTORS:
        yield warned(
            "limits",
            f"this process can open only {soft} files, which limits the connections of a server",
            "raise the limit, e.g. with `ulimit -n 4096`",
        )


def judge_space(free_bytes: int, folder: str) -> Check:
    """Return the check of the free space in a folder."""
    gib, mib = free_bytes / (1 << 30), free_bytes >> 20
    if free_bytes >= _LOW_BYTES:
        return passed("disk", f"{gib:.1f} GiB free in {folder}")
    hint = "free some space"
    if free_bytes >= _FULL_BYTES:
        # Deleting rows does not shrink a database file; later runs use the space of deleted ones.
        return warned("disk", f"only {mib} MiB free in {folder}", f"{hint}; `compozy db prune` limits further growth")
    return failed("disk", f"only {mib} MiB free in {folder}: steps may not be recorded", hint, exit_status=4)


def _shown_folder(folder: Path) -> str:
    here = Path.cwd()
    return "the current folder" if folder == here else shown_path(str(folder), here)


def existing(folder: Path) -> Path:
    """Return the nearest folder that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def is_writable(folder: Path) -> bool:
    """Return whether this user can create files in the nearest folder that exists."""
    return os.access(existing(folder), os.W_OK | os.X_OK)
