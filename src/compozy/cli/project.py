"""`compozy init | schema | completion | version`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compozy import __version__
from compozy.cli.output import print_json, print_line


class SchemaKind(StrEnum):
    """Which file a schema describes."""

    project = "project"
    workflow = "workflow"
    agent = "agent"
    task = "task"
    export = "export"
    bench = "bench"


class Shell(StrEnum):
    """A shell that can complete commands."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def init_command(
    folder: Annotated[Path, typer.Argument(help="Folder of the new project; made when it is not there.")] = Path(),
    name: Annotated[
        str | None,
        typer.Option(
            "--name", "-n", metavar="NAME", help="Name of the project. Default: that of its folder.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Make a small project of your own to go on from."""
    from compozy.cli.find import current_folder
    from compozy.project.scaffold import scaffold

    if not folder.is_absolute():
        # Told in words when it is gone.
        current_folder()
    for path in scaffold(folder, name=name, force=force):
        print_line(f"created {path}")
    print_line()
    print_line("Next:")
    if folder != Path():
        print_line(f"  cd {folder}")
    print_line("  compozy workflow run hello")


def schema_command(
    kind: Annotated[SchemaKind, typer.Argument(help="Which kind of file.")] = SchemaKind.project,
) -> None:
    """Print the JSON Schema of a kind of file."""
    if kind is SchemaKind.export:
        from compozy.transfer.schema import export_schema

        print_json(export_schema())
        return
    if kind is SchemaKind.bench:
        from compozy.bench.result import bench_schema

        print_json(bench_schema())
        return
    from compozy.project.jsonschema import PROJECT_SCHEMA_NAME, editor_schemas

    name = PROJECT_SCHEMA_NAME if kind is SchemaKind.project else f"{kind.value}.schema.json"
    print_json(editor_schemas()[name])


def completion_command(shell: Annotated[Shell, typer.Argument(help="Shell to complete commands in.")]) -> None:
    """Print a script that completes commands.

    For the running shell: `source <(compozy completion bash)`.
    """
    from typer._completion_shared import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

    print_line(get_completion_script(prog_name="compozy", complete_var="_COMPOZY_COMPLETE", shell=shell.value))


def version_command() -> None:
    """Print the version."""
    print_line(f"compozy {__version__}")
