"""Help and messages of the command line."""

# ruff: noqa: E501 - lines as commands print them

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from inline_snapshot import snapshot

from compozy.cli.main import hoist_globals
from tests.conftest import RunCli
from tests.generated.pages.commands import all_commands
from tests.harness.projects import write_project

COMMANDS = [(), *(path for path, _ in all_commands())]


def test_help(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = cli("--help")
    assert (done.status, done.err) == (0, "")
    assert done.out == snapshot("""\
Usage: compozy [OPTIONS] COMMAND [ARGS]...

  AI workflows written in YAML, every step durable in one database.

Options:
  -c, --config PATH               Project file or its folder; also
                                  COMPOZY_CONFIG_FILE. Default: compozy.yaml
                                  here or above.
  -q, --quiet                     Print only results and errors.
  --log-level <debug|info|warn|error>
                                  Lowest log level shown, instead of
                                  runtime.log_level.
  --log-format <text|json>        Format of log lines.  [default: text]
  --no-color                      Print without colors, as NO_COLOR does.
  --version                       Print the version and exit.
  -h, --help                      Show this message and exit.

Commands:
  chat        Talk to a workflow that remembers.
  start       Serve the project over HTTP and execute its runs.
  dev         Serve the project and reload changed files.
  worker      Execute runs without an HTTP API.
  ui          Open the web page of the project's server.
  health      Check whether the project's server is ready.
  costs       Show the costs of model requests.
  test        Test workflows with recorded answers.
  doctor      Check the project, its database and this machine.
  bench       Measure the database under increasing load.
  verify      Kill servers at random and check for lost runs.
  init        Create a project or refresh its JSON Schemas.
  schema      Print the JSON Schema of a file type.
  completion  Print a shell completion script.
  version     Print the version.
  workflow    Run workflows and inspect their executions.
  knowledge   Ingest and query documents.
  memory      Read and change conversations of memories.
  schedule    Inspect and control schedules.
  event       Start workflows with events.
  webhook     List and test webhooks, and replay deliveries.
  mcp         Check MCP servers and serve workflows over MCP.
  auth        Manage users and API keys; show the audit log.
  migrate     Update or roll back the database schema.
  db          Move, back up, check and prune the database.
  config      Validate project files and show settings.
  project     Change project files.

  Docs: https://github.com/compozy/compozy/tree/main/docs/content/docs
""")


def test_help_of_run(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert cli("workflow", "run", "--help").out == snapshot("""\
Usage: compozy workflow run [OPTIONS] {ID}

  Run a workflow to its end and print its result.

Arguments:
  ID <str>  Workflow ID or workflow file.  [required]

Options:
  -i, --input INPUT              Input: a JSON object, @FILE, - for stdin, or
                                 repeated NAME=TEXT and NAME:=JSON.
  --id ID                        Execution ID; a repeated request with it does
                                 not run again.
  --timeout TIME                 End the run after this time, e.g. 90s.
  --label NAME=VALUE             Label of the execution; repeatable.
  -d, --detach                   Return as soon as a server has accepted the
                                 run.
  --follow                       Print what models write as it arrives.
  --wait-for-lock TIME           Time to wait for another process on the same
                                 SQLite file.  [default: 30s]
  --dry-run                      Show tasks and prompts without calling models
                                 or storing anything.
  --server URL                   Server URL; also COMPOZY_BASE_URL. Default:
                                 the project's server, if it runs.
  -f, --format <text|json>       Format of the result on stdout.  [default:
                                 text]
  -c, --config PATH              Project file or its folder; also
                                 COMPOZY_CONFIG_FILE. Default: compozy.yaml
                                 here or above.
  --db-driver <postgres|sqlite>  Database driver, instead of database.driver.
  --db-path PATH                 SQLite file or :memory:, instead of
                                 database.path.
  -h, --help                     Show this message and exit.
""")


def test_help_of_down(cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert cli("migrate", "down", "--help").out == snapshot("""\
Usage: compozy migrate down [OPTIONS]

  Roll back the last migration.

  Asks before deleting data.

Options:
  --to REVISION                  Revision to roll back to. Default: the one
                                 before.
  -y, --yes                      Delete rows without asking.
  -f, --format <text|json>       Format of the result on stdout.  [default:
                                 text]
  -c, --config PATH              Project file or its folder; also
                                 COMPOZY_CONFIG_FILE. Default: compozy.yaml
                                 here or above.
  --db-driver <postgres|sqlite>  Database driver, instead of database.driver.
  --db-path PATH                 SQLite file or :memory:, instead of
                                 database.path.
  -h, --help                     Show this message and exit.
""")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(cli: RunCli, command: tuple[str, ...]) -> None:
    long, short = cli(*command, "--help"), cli(*command, "-h")
    assert (long.status, long.err) == (0, "")
    assert long.out == short.out
    assert long.out.startswith(f"Usage: {' '.join(('compozy', *command))} ")
    # Each option has a help text, and no internal names are shown.
    assert not any(word in long.out.lower() for word in ("typer", "click", "none", "traceback"))


@pytest.mark.parametrize("command", [(), ("workflow",), ("migrate",), ("config",)], ids=" ".join)
def test_a_group_without_a_command_shows_its_help(cli: RunCli, command: tuple[str, ...]) -> None:
    done = cli(*command)
    assert (done.status, done.out) == (2, "")
    assert done.err == cli(*command, "--help").out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ("workflw",),
            snapshot("""\
Error: No such command 'workflw'. Did you mean 'workflow', 'worker'?
  see `compozy --help`
"""),
        ),
        (
            ("workflow", "rnu"),
            snapshot("""\
Error: No such command 'rnu'. Did you mean 'run'?
  see `compozy workflow --help`
"""),
        ),
        (
            ("workflow", "run"),
            snapshot("""\
Error: Missing argument 'ID'.
  see `compozy workflow run --help`
"""),
        ),
        (
            ("workflow", "run", "two", "--inptu", "{}"),
            snapshot("""\
Error: No such option: --inptu (Possible options: --input)
  see `compozy workflow run --help`
"""),
        ),
        (
            ("workflow", "run", "two", "three"),
            snapshot("""\
Error: Got unexpected extra argument(s) (three)
  see `compozy workflow run --help`
"""),
        ),
        (
            ("workflow", "run", "two", "--format", "xml"),
            snapshot("""\
Error: Invalid value for '--format' / '-f': 'xml' is not one of 'text', 'json'.
  see `compozy workflow run --help`
"""),
        ),
        (
            ("workflow", "list", "--limit", "0"),
            snapshot("""\
Error: Invalid value for '--limit' / '--last': expected a number from 1 to 1000, got 0
  see `compozy workflow list --help`
"""),
        ),
        (
            ("workflow", "list", "--limit", "many"),
            snapshot("""\
Error: Invalid value for '--limit' / '--last': expected a whole number
  see `compozy workflow list --help`
"""),
        ),
        (
            ("workflow", "list", "--config", ""),
            snapshot("""\
Error: Invalid value for '--config' / '-c': expected a path, got an empty text
  see `compozy workflow list --help`
"""),
        ),
        (
            ("init", ""),
            snapshot("""\
Error: Invalid value for 'folder': expected a path, got an empty text
  see `compozy init --help`
"""),
        ),
        (
            ("--log-level", "loud", "version"),
            snapshot("""\
Error: Invalid value for '--log-level': 'loud' is not one of 'debug', 'info', 'warn', 'error'.
  see `compozy --help`
"""),
        ),
        (
            ("version", "--log-level"),
            snapshot("""\
Error: Invalid value for '--log-level': 'version' is not one of 'debug', 'info', 'warn', 'error'.
  see `compozy --help`
"""),
        ),
        (
            ("migrate", "sideways"),
            snapshot("""\
Error: No such command 'sideways'.
  see `compozy migrate --help`
"""),
        ),
        (
            ("completion", "powershell"),
            snapshot("""\
Error: Invalid value for 'shell': 'powershell' is not one of 'bash', 'zsh', 'fish'.
  see `compozy completion --help`
"""),
        ),
        (
            ("schema", "workfolw"),
            snapshot("""\
Error: Invalid value for 'kind': 'workfolw' is not one of 'project', 'workflow', 'agent', 'task', 'memory', 'schema', 'tool', 'mcp', 'test', 'export', 'bench'.
  see `compozy schema --help`
"""),
        ),
    ],
    ids=lambda value: " ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else "",
)
def test_errors_on_the_command_line(cli: RunCli, arguments: tuple[str, ...], error: str) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err == error


def test_an_error_as_json(cli: RunCli) -> None:
    done = cli("workflow", "rnu", "--format=json")
    assert (done.status, done.err) == (2, "")
    assert json.loads(done.out)["error"]["code"] == "usage"


def test_without_a_project(cli: RunCli, tmp_path: Path) -> None:
    done = cli("workflow", "list")
    assert (done.status, done.out) == (2, "")
    assert done.err.replace(str(tmp_path), "DIR") == snapshot("""\
Error: no compozy.yaml in DIR and no server at http://127.0.0.1:1
  create a project with `compozy init`, or specify its file with `--config` or a server with `--server`
""")
    named = cli("--config", "other.yaml", "workflow", "list")
    assert (named.status, named.err.replace(str(tmp_path), "DIR")) == (
        2,
        snapshot("""\
Error: file DIR/other.yaml not found
  make a project with `compozy init`, or name its file with `--config`
"""),
    )


def test_the_version(cli: RunCli) -> None:
    from importlib.metadata import version

    expected = f"compozy {version('compozy')}\n"
    assert cli("version").out == cli("--version").out == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cli: RunCli, shell: str) -> None:
    done = cli("completion", shell)
    assert (done.status, done.err) == (0, "")
    assert "_COMPOZY_COMPLETE" in done.out


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        (("workflow", "run", "x", "-q"), ("-q", "workflow", "run", "x")),
        (("a", "--log-level", "debug", "b"), ("--log-level", "debug", "a", "b")),
        (("a", "--log-level=debug"), ("--log-level=debug", "a")),
        (("a", "--log-level"), ("--log-level", "a")),
        (("a", "--no-color", "--", "--quiet"), ("--no-color", "a", "--", "--quiet")),
        (("a", "--log-levels", "--quiets"), ("a", "--log-levels", "--quiets")),
    ],
)
def test_options_of_every_command_may_be_anywhere(written: tuple[str, ...], understood: tuple[str, ...]) -> None:
    assert hoist_globals(list(written)) == list(understood)


# Colors and logs.


class Terminal(io.StringIO):
    """A stderr that supports colors."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "arguments", "colored"),
    [
        ({}, (), True),
        ({"NO_COLOR": "1"}, (), False),
        ({"TERM": "dumb"}, (), False),
        ({}, ("--no-color",), False),
        ({}, ("--quiet",), True),
    ],
)
def test_colors_on_a_terminal(
    cli: RunCli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    arguments: tuple[str, ...],
    colored: bool,
) -> None:
    write_project(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli(*arguments, "workflow", "run", "bad").status == 1
    said = terminal.getvalue()
    assert ("\x1b[31m" in said) == colored
    # A line for each task on a terminal, unless `--quiet` is set.
    assert ("one" in said.split("Error:")[0]) == ("--quiet" not in arguments)
    assert ("3 + 2 tokens" in said) == ("--quiet" not in arguments)


def test_without_a_terminal_no_progress_is_shown(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("workflow", "run", "two").err == ""


def log_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_logs_as_json_go_to_stderr(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    done = cli("workflow", "run", "two", "--log-level", "debug", "--log-format", "json", "--format", "json")
    assert done.status == 0
    assert json.loads(done.out)["status"] == "SUCCESS"
    lines = log_lines(done.err)
    assert lines
    assert all({"level", "event", "timestamp"} <= set(line) for line in lines)


def test_the_level_of_logs(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("--log-level=error", "workflow", "run", "two").err == ""
    debug = cli("--log-level=debug", "workflow", "run", "two").err
    assert "[debug" in debug or "[info" in debug
    write_project(tmp_path, runtime={"log_level": "debug"})
    assert cli("workflow", "run", "two").err != ""
    assert cli("workflow", "run", "two", "--log-level", "error").err == ""
