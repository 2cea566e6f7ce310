"""Pages, help, messages, docstrings, comments and names of tests follow the language rules."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest
import typer

from compozy.cli.main import command_tree
from tests.docs.pages import DOCS, ROOT, all_pages
from tests.generated.language import (
    MAX_FIRST_SENTENCE,
    Text,
    find_comments,
    find_violations,
    first_sentence,
    read_code,
    read_comments,
    read_docstrings,
    read_names,
    read_prose,
    read_web,
)
from tests.generated.pages.commands import all_commands
from tests.generated.test_house import FILES

MAX_HELP = 50
"""Characters of a command's summary, so that no list of commands is shortened at 80 columns."""

TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))
PROTOCOL_NAMES = {"Has begun"}
"""Names that tests take over from protocols of the program."""

OLD = {
    "what answers at http://127.0.0.1:8080 is no Compozy server": "is no X",
    "stopped; execution 01M8 goes on on the server": "go on",
    "Mistakes are told before anything runs": "tell",
    "What would go wrong in the same way again is not tried again.": "What ...",
    "A process that nobody renews is left to whoever comes next.": "whoever",
    "Requests at one time.": "at once",
    "Empty the store first, and take everything in anew.": "anew",
    "Measure runs and tasks beside bare DBOS.": "beside",
    "this process was taken for dead; its runs went to others": "dead",
    "no encrypted connection to the server came about": "come about",
    "SIGTERM stops the process, which then ended in order.": "in order",
    "this is a defect; please report it": "defect",
    "execution it was begun with journal format 99": "begun",
    "deletes 1 row(s) of workflow_states": "(s)",
    "-n, --workflows <int range>  Runs of the first phase": "<int range>",
    "A server has connections of its own.": "of its own",
    "- **What a run prints**: its result.": "What ...",
    "Read the file. What is missing is an error.": "What ...",
}
NEW = (
    "http://127.0.0.1:8080 is not a Compozy server",
    "Compozy validates all files before running anything and reports every error.",
    "What is the difference between a run and an execution?",
    "The key is no longer used. It is not known what the run did.",
)


def pages() -> list[Path]:
    """Return the pages and the documents of the repository."""
    return [*all_pages(), ROOT / "ARCHITECTURE.md"]


def test_the_web_page_follows_the_rules() -> None:
    modules = [path for path in (ROOT / "web/src").rglob("*.ts*") if path.name != "schema.d.ts"]
    assert find_violations(text for path in modules for text in read_web(path)) == []
    comment, *_ = read_web(ROOT / "web/src/lib/theme.ts")
    assert comment.text.startswith("Light or dark")


def test_pages_follow_the_rules() -> None:
    assert find_violations(text for path in pages() for text in read_prose(path)) == []


def test_a_page_starts_with_a_short_sentence() -> None:
    found = [first_sentence(path) for path in [*DOCS.rglob("*.mdx"), ROOT / "README.md"]]
    long = [sentence for sentence in found if len(sentence.text.split()) > MAX_FIRST_SENTENCE]
    assert [f"{sentence.location}: {sentence.text}" for sentence in long] == []


def test_the_latest_changes_follow_the_rules() -> None:
    assert find_violations(read_prose(ROOT / "CHANGELOG.md", first_section=True)) == []


def test_messages_and_docstrings_follow_the_rules() -> None:
    assert find_violations(text for file in FILES for text in read_code(file)) == []


def test_comments_follow_the_rules() -> None:
    """Revisions of the database are left out, since they are never changed."""
    files = [file for file in FILES if file.parent.name != "versions"]
    assert find_violations(text for file in files for text in read_comments(file)) == []


def test_tests_follow_the_rules() -> None:
    """Docstrings, comments and names only: strings are data, such as old texts that a test compares."""
    texts = (
        text for file in TEST_FILES for read in (read_docstrings, read_comments, read_names) for text in read(file)
    )
    assert find_violations(text for text in texts if text.text not in PROTOCOL_NAMES) == []


@pytest.mark.parametrize(("sentence", "rule"), OLD.items())
def test_an_old_sentence_breaks_a_rule(sentence: str, rule: str) -> None:
    found = find_violations([Text(path=ROOT / "README.md", line=1, text=sentence)])
    assert any(f": {rule!r} (write" in line for line in found), found


def test_a_plain_sentence_breaks_no_rule() -> None:
    assert find_violations(Text(path=ROOT / "README.md", line=1, text=text) for text in NEW) == []


COMMENTED = (
    "#!/usr/bin/env python3\n"
    "x = 1  # after code\n"
    "if x:\n    # alone\n    pass\n"
    "a, b = '#', \"'#'\"  # after quotes\n"
    "c = '\\\\'  # after a backslash\n"
    "d = 'it\\'s # text' '' \"\"  # after empty strings\n"
    'e = """one # text\n"two" # text \\"""\nmore # text"""  # after lines\n'
    "f = r'\\'  # within'\n"
    "g = f'{x!r:#>3}'  # after a format\n"
    "'''''\nmore # text '''  # after five\n"
    "# the last"
)


def test_comments_are_those_of_the_tokenizer() -> None:
    tokens = tokenize.generate_tokens(io.StringIO(COMMENTED).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    assert len(comments) == 10
    assert list(find_comments(COMMENTED)) == [
        (token.start[0], token.string, token.line.lstrip().startswith("#")) for token in comments
    ]


def test_old_names_break_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.generated.language.ROOT", tmp_path)
    module = tmp_path / "test_module.py"
    module.write_text(
        'OLD = "a string of a test is data, whatever it is told"\n\n\n'
        "def test_a_run_goes_on():\n    pass\n\n\n"
        "def test_what_fits_is_stored():\n    pass\n\n\n"
        "def _whats_left():\n    pass\n\n\n"
        "class Nobody:\n    async def find_faults(self):\n        pass\n"
    )
    assert [line.partition(" (write")[0] for line in find_violations(read_names(module))] == [
        *("test_module.py:4: 'go on'", "test_module.py:8: 'What ...'"),
        *("test_module.py:16: 'whoever'", "test_module.py:17: 'mistake'"),
    ]
    assert find_violations(read_docstrings(module)) == []


def test_an_old_page_and_an_old_module_break_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.generated.language.ROOT", tmp_path)
    page, module = tmp_path / "page.mdx", tmp_path / "module.py"
    page.write_text(
        "---\ntitle: Page\ndescription: What is told of it.\n---\n\nA first\nsentence. What\nfits runs.\n\n"
        "```text\nWhat is in a fence is not read.\n```\n\n| a | b |\n|---|---|\n| `x` | it is no key |\n"
    )
    module.write_text(
        '"""What it does.\n\nWhat follows is not read.\n"""\n\nMESSAGE = f"it is no {1} of ours"\n'
        "# What is read\n# here.\nX = 1  # noqa: told\nY = 2  # told of it\n"
    )
    assert [line.partition(" (write")[0] for line in find_violations(read_prose(page))] == [
        *("page.mdx:1: 'tell'", "page.mdx:1: 'What ...'", "page.mdx:6: 'What ...'", "page.mdx:16: 'is no X'"),
    ]
    assert [line.partition(" (write")[0] for line in find_violations(read_code(module))] == [
        *("module.py:1: 'What ...'", "module.py:6: 'is no X'", "module.py:6: 'of its own'"),
    ]
    assert [line.partition(" (write")[0] for line in find_violations(read_comments(module))] == [
        *("module.py:7: 'What ...'", "module.py:10: 'tell'"),
    ]


# Help.


def groups() -> list[tuple[str, Any]]:
    """Return the program and each group of commands with its path."""
    below = [(" ".join(path), command) for path, command in all_commands() if hasattr(command, "commands")]
    return [("compozy", command_tree()), *below]


@pytest.mark.parametrize(("path", "command"), [(" ".join(path), command) for path, command in all_commands()])
def test_a_command_has_a_short_summary(path: str, command: Any) -> None:
    summary = command.help.partition("\n\n")[0]
    assert len(summary) <= MAX_HELP, f"{path}: {summary} ({len(summary)})"
    assert re.fullmatch(r"[A-Z][^.]*[^.\s]\.", summary), "one sentence"


@pytest.mark.parametrize(("path", "command"), groups())
def test_no_list_of_commands_shortens_a_summary(path: str, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = typer.Context(command, info_name=path, terminal_width=80).get_help()
    listed = shown.partition("Commands:\n")[2]
    assert len(listed.splitlines()) >= 1
    assert "..." not in listed
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize(("path", "command"), [(" ".join(path), command) for path, command in all_commands()])
def test_the_help_of_a_command_follows_the_rules(path: str, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = " ".join(typer.Context(command, info_name=path, terminal_width=80).get_help().split())
    assert find_violations([Text(path=ROOT / path, line=1, text=shown)]) == []
    assert "<=x<=" not in shown
