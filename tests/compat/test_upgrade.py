"""`project upgrade` rewrites projects of the 2025 edition, and the result runs like the original."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from tests.compat.projects import PROJECTS
from tests.compat.test_projects import chat, warned, write
from tests.conftest import RunCli
from tests.harness.chatserver import ChatServer, chat_reply

__all__ = ["chat"]


@pytest.mark.parametrize("name", PROJECTS)
def test_the_upgraded_project_runs_without_warnings(name: str, chat: ChatServer, cli: RunCli, tmp_path: Path) -> None:
    project = PROJECTS[name]
    write(project, tmp_path)
    chat.replies = [chat_reply(text) for text in project.replies]

    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    shown = json.loads(cli("project", "upgrade", "--format", "json").out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert shown["left"] == []
    assert shown["files"]
    written = cli("project", "upgrade", "--write")
    valid = cli("config", "validate")
    done = cli("workflow", "run", "main", "--format", "json")

    assert written.status == 0, written.err
    assert "has no effect" not in valid.err
    assert valid.status == 0, valid.err
    assert warned(done.err) == []
    assert json.loads(done.out)["output"] == project.output, done.err
    assert {key: chat.seen[0].body.get(key) for key in project.settings} == project.settings
    again = cli("project", "upgrade", "--write")
    assert (again.out, again.err) == ("", "Nothing to upgrade.\n")


CONFIG = """\
# The shop.
name: shop # its name

# How it ran in 2025.
mode: distributed
temporal:
  mode: remote # elsewhere

# Models, the cheap one first.
models:
  # for drafts
  - provider: groq # fast
    model: "llama-3.3-70b-versatile"
    api_key: "{{ .env.GROQ_API_KEY }}"
    params:
      # not too wild
      temperature: 0.2
      stop_words: [END]
  - {provider: openai, model: gpt-4o, api_key: '${OPENAI_API_KEY}', default: true}

# Runs are kept here.
database:
  driver: sqlite
  path: ./data/compozy.db # do not commit
# the end
"""
WORKFLOW = """\
id: main
agents:
  - id: critic # of poems
    config:
      # the cheap one
      $ref: global::models.#(provider=="groq")
      temperature: 0.9
    json_mode: true
    instructions: |
      Be strict.
        But fair.
tasks:
  # first
  - id: one
    name: One
    $use: agent(local::agents.#(id=="critic"))
    prompt: >-
      Hello
      there
    # what comes next
    on_success: {next: two}

  - {id: two, prompt: Bye, model_config: {$ref: 'global::models.#(provider="groq")'}, final: true}
outputs:
  text: "{{ .tasks.one.output.text }}" # for the mail
"""


def test_comments_and_layout_stay(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "compozy.yaml").write_text(CONFIG)
    (tmp_path / "workflows/main.yaml").write_text(WORKFLOW)

    done = cli("project", "upgrade", "--write")

    assert done.err == snapshot("""\
removed: compozy.yaml:5:1: 'mode' has no effect (`database` chooses where runs are stored)
removed: compozy.yaml:6:1: 'temporal' has no effect (Compozy executes runs itself; Temporal is not needed)
removed: workflows/main.yaml:8:5: 'json_mode' has no effect (give the answer a JSON Schema with `output`)
removed: workflows/main.yaml:15:5: 'name' has no effect (use `description`)
Changed 2 files.
""")
    assert (tmp_path / "compozy.yaml").read_text() == snapshot("""\
# The shop.
name: shop # its name

# Models, the cheap one first.
llm:
  providers:
    - {type: openai, model: gpt-4o, api_key: '${OPENAI_API_KEY}', id: openai}
    # for drafts
    - type: groq # fast
      id: groq
      model: "llama-3.3-70b-versatile"
      api_key: "${GROQ_API_KEY}"
      # not too wild
      temperature: 0.2
      stop: [END]

# Runs are kept here.
database:
  driver: sqlite
  path: ./data/compozy.db # do not commit
# the end
""")
    assert (tmp_path / "workflows/main.yaml").read_text() == snapshot("""\
id: main
agents:
  - id: critic # of poems
    # the cheap one
    llm: groq
    temperature: 0.9
    instructions: |
      Be strict.
        But fair.
tasks:
  # first
  - id: one
    agent: critic
    prompt: >-
      Hello
      there
    # what comes next
    on_success: {next: two}

  - {id: two, prompt: Bye, final: true, agent: {llm: groq}}
outputs:
  text: "{{ .tasks.one.output.text }}" # for the mail
""")


@pytest.mark.parametrize("marks", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_the_byte_order_mark_stay(cli: RunCli, tmp_path: Path, marks: bytes) -> None:
    text = "name: demo\r\nmode: memory\r\ndatabase: {driver: sqlite, path: x.db}\r\n"
    (tmp_path / "compozy.yaml").write_bytes(marks + text.encode())

    assert cli("project", "upgrade", "--write").status == 0

    assert (tmp_path / "compozy.yaml").read_bytes() == marks + text.replace("mode: memory\r\n", "").encode()


def test_parts_that_cannot_be_rewritten_are_left_and_named(cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "compozy.yaml").write_text("name: demo\ndatabase: &d {driver: sqlite, path: x.db}\nmode: memory\n")
    (tmp_path / "workflows/main.yaml").write_text("id: main\ncors: {}\ntasks: [{id: a}]\n")

    done = cli("project", "upgrade", "--write")

    hint = "this version does not have cross-origin requests yet"
    assert done.err == textwrap.dedent(f"""\
        left: compozy.yaml: this file is left as it is: it uses YAML anchors (change it by hand)
        left: workflows/main.yaml:2:1: unknown key 'cors' in the workflow ({hint})
        Nothing to upgrade.
        """)
    assert (tmp_path / "compozy.yaml").read_text().endswith("mode: memory\n")
