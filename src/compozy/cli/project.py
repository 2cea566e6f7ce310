"""`compozy init | project upgrade | schema | completion | version`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compozy import __version__
from compozy.cli.options import ConfigOption, Format, FormatOption, globals_of
from compozy.cli.output import print_json, print_line, print_note

project_app = typer.Typer(help="Change project files.", no_args_is_help=True)


class SchemaKind(StrEnum):
    """File type that a schema describes."""

    project = "project"
    workflow = "workflow"
    agent = "agent"
    task = "task"
    memory = "memory"
    schema = "schema"
    tool = "tool"
    mcp = "mcp"
    test = "test"
    export = "export"
    bench = "bench"


class Shell(StrEnum):
    """A shell that can complete commands."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def init_command(
    folder: Annotated[Path, typer.Argument(help="Folder of the new project; created if it does not exist.")] = Path(),
    name: Annotated[
        str | None,
        typer.Option(
            "--name", "-n", metavar="NAME", help="Name of the project. Default: the folder name.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    output: FormatOption = Format.text,
) -> None:
    """Create a project or refresh its JSON Schemas."""
    from compozy.cli.find import current_folder
    from compozy.project.scaffold import refresh_schemas, scaffold
    from compozy.replay.schema import TEST_SCHEMA_NAME, test_schema

    if not folder.is_absolute():
        # Raises a clear error if the current folder was deleted.
        current_folder()
    schemas = {TEST_SCHEMA_NAME: test_schema()}
    refreshed = [] if force or name is not None else refresh_schemas(folder, schemas)
    created = [] if refreshed else scaffold(folder, name=name, force=force, schemas=schemas)
    if output is Format.json:
        print_json({"created": [str(path) for path in created], "refreshed": [str(path) for path in refreshed]})
        return
    for path in refreshed:
        print_line(f"refreshed {path}")
    for path in created:
        print_line(f"created {path}")
    if refreshed:
        return
    print_line()
    print_line("Next:")
    if folder != Path():
        print_line(f"  cd {folder}")
    print_line("  compozy workflow run hello")


@project_app.command("upgrade")
def upgrade_command(
    context: typer.Context,
    write: Annotated[bool, typer.Option("--write", help="Change the files.")] = False,
    output: FormatOption = Format.text,
    config: ConfigOption = None,
) -> None:
    """Rewrite a 2025 project in the current syntax.

    Prints the changes as a diff. Comments are kept.
    """
    from compozy.cli.find import current_folder
    from compozy.project.upgrade import plan_upgrade, write_upgrade

    upgrade = plan_upgrade(config or globals_of(context).config, cwd=current_folder(), environ=os.environ)
    if write:
        write_upgrade(upgrade)
    if output is Format.json:
        print_json(
            {
                "written": write,
                "files": [{"file": file.shown, "diff": file.diff} for file in upgrade.files],
                "removed": [str(note) for note in upgrade.removed],
                "left": [str(fault) for fault in upgrade.left],
            }
        )
        return
    for file in upgrade.files:
        print_line(file.diff.rstrip("\n"))
    for note in upgrade.removed:
        print_note(f"removed: {note}")
    for fault in upgrade.left:
        print_note(f"left: {fault}")
    count = len(upgrade.files)
    if not count:
        print_note("Nothing to upgrade.")
    else:
        files = f"{count} file{'s' if count != 1 else ''}"
        print_note(f"Changed {files}." if write else f"{files} would change. Run with --write to change them.")


def schema_command(
    kind: Annotated[SchemaKind, typer.Argument(help="File type.")] = SchemaKind.project,
) -> None:
    """Print the JSON Schema of a file type."""
    if kind is SchemaKind.export:
        from compozy.transfer.schema import export_schema

        print_json(export_schema())
        return
    if kind is SchemaKind.bench:
        from compozy.bench.result import bench_schema

        print_json(bench_schema())
        return
    if kind is SchemaKind.test:
        from compozy.replay.schema import test_schema

        print_json(test_schema())
        return
    from compozy.project.jsonschema import EDITOR_SCHEMAS, PROJECT_SCHEMA_NAME

    name = PROJECT_SCHEMA_NAME if kind is SchemaKind.project else f"{kind.value}.schema.json"
    print_json(EDITOR_SCHEMAS[name]())


def completion_command(shell: Annotated[Shell, typer.Argument(help="Shell that the script is for.")]) -> None:
    """Print a shell completion script.

    To load it in the current shell: `source <(compozy completion bash)`.
    """
    from typer._completion_shared import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

    print_line(get_completion_script(prog_name="compozy", complete_var="_COMPOZY_COMPLETE", shell=shell.value))


def version_command(output: FormatOption = Format.text) -> None:
    """Print the version."""
    if output is Format.json:
        print_json({"version": __version__})
        return
    print_line(f"compozy {__version__}")
