"""The small project that `compozy init` makes, to be changed into one's own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from compozy.errors import UsageError
from compozy.installation import DOCUMENTATION_URL
from compozy.project.file import NAME_PATTERN
from compozy.project.jsonschema import PROJECT_SCHEMA_NAME, WORKFLOW_SCHEMA_NAME, editor_schemas

_SCHEMA_FOLDER = ".compozy"
Schemas = Mapping[str, Mapping[str, Any]]

_PROJECT = """\
# yaml-language-server: $schema={folder}/{schema}
# Documentation: {documentation}
version: "1.0"
{name}
database:
  driver: sqlite
  path: ./data/compozy.db

llm:
  providers:
    # Without a key in .env the small local model answers.
    - id: openai
      type: openai
      api_key: ${{OPENAI_API_KEY}}
      missing_key_fallback: local
    - id: local
      type: local
"""

_WORKFLOW = """\
# yaml-language-server: $schema=../{folder}/{schema}
id: hello
name: Hello

input:
  type: object
  properties:
    name:
      type: string
      default: World

tasks:
  - id: greet
    prompt: "Say hello to {{{{ .input.name }}}} in one sentence."
    agent:
      llm: openai
      max_tokens: 60

  - id: reply
    prompt: "Answer this greeting in one sentence: {{{{ .tasks.greet.output.text }}}}"
    agent:
      llm: openai
      max_tokens: 60

output:
  greeting: "{{{{ .tasks.greet.output.text }}}}"
  reply: "{{{{ .tasks.reply.output.text }}}}"
"""

_ENV_EXAMPLE = """\
# Copy this file to .env. Variables that are set outside win over those in .env.
OPENAI_API_KEY=
"""

_GITIGNORE = """\
.env
data/
"""

_README = """\
# {title}

A Compozy project.

```bash
cp .env.example .env   # put your OpenAI key in; without one the local model answers
compozy config validate
compozy workflow run hello --input='{{"name": "Ada"}}'
compozy workflow list
```

- `compozy.yaml` sets up the database and the model providers.
- `workflows/` holds one file per workflow.
- `{folder}/` holds the JSON Schemas that editors check the files with.
- `data/compozy.db` is made by the first run; every step of every run is stored in it.

`compozy init` refreshes the schemas after an upgrade and changes nothing else. Documentation: <{documentation}>
"""


def scaffold(
    folder: Path, *, name: str | None = None, force: bool = False, schemas: Schemas | None = None
) -> list[Path]:
    """Write a project into `folder` and return the paths of its files.

    Args:
        folder: made when it is not there.
        name: the project's name; None leaves it to be the folder's.
        force: write over files that are there.
        schemas: further JSON Schemas by the name of their file.

    Raises:
        UsageError: the name is no good, files are there already, or the folder cannot be written; nothing was
            written over.
    """
    if name is not None and not re.match(NAME_PATTERN, name):
        raise UsageError(f"{name!r} cannot be a project's name", hint="it has 1 to 128 printable characters")
    files = {folder / path: text for path, text in _files(folder, name, schemas).items()}
    present = [path for path in files if os.path.lexists(path)]
    if present and not force:
        listed = ", ".join(str(path.relative_to(folder)) for path in present)
        raise UsageError(f"{folder} already has {listed}", hint="choose another folder, or replace them with --force")
    _write(folder, files)
    return list(files)


def refresh_schemas(folder: Path, schemas: Schemas | None = None) -> list[Path]:
    """Write the JSON Schemas of this version into an existing project; return their paths, [] without a project.

    Raises:
        UsageError: they cannot be written.
    """
    if not (folder / "compozy.yaml").is_file():
        return []
    files = {folder / path: text for path, text in _schemas(schemas).items()}
    _write(folder, files)
    return list(files)


def _write(folder: Path, files: dict[Path, str]) -> None:
    _refuse_links(folder, files)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error


def _refuse_links(folder: Path, files: Iterable[Path]) -> None:
    """Refuse to write through a link to a file that lies elsewhere."""
    for path in files:
        for place in (path, *path.parents):
            if place == folder:
                break
            if place.is_symlink():
                raise UsageError(f"{place} is a link; nothing was written", hint="delete it, or choose another folder")


def _files(folder: Path, name: str | None, schemas: Schemas | None) -> dict[str, str]:
    title = name or folder.resolve().name or "Compozy project"
    # JSON is YAML: so any name is quoted as it has to be.
    name_line = f"name: {json.dumps(name, ensure_ascii=False)}\n" if name else ""
    return {
        "compozy.yaml": _PROJECT.format(
            folder=_SCHEMA_FOLDER, schema=PROJECT_SCHEMA_NAME, name=name_line, documentation=DOCUMENTATION_URL
        ),
        "workflows/hello.yaml": _WORKFLOW.format(folder=_SCHEMA_FOLDER, schema=WORKFLOW_SCHEMA_NAME),
        ".env.example": _ENV_EXAMPLE,
        ".gitignore": _GITIGNORE,
        "README.md": _README.format(title=title, folder=_SCHEMA_FOLDER, documentation=DOCUMENTATION_URL),
        **_schemas(schemas),
    }


def _schemas(more: Schemas | None) -> dict[str, str]:
    texts = {**_editor_texts(), **{name: _json(schema) for name, schema in (more or {}).items()}}
    return {f"{_SCHEMA_FOLDER}/{name}": text for name, text in texts.items()}


@cache
def _editor_texts() -> Mapping[str, str]:
    return {name: _json(schema) for name, schema in editor_schemas().items()}


def _json(schema: object) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
