"""Writes `agents/built-in-tools`: the tools `cp__*` with their arguments, from their specifications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compozy.tool.built_in.specs import SPECS, BuiltInSpec
from tests.generated.pages.markdown import code, front, prose

_HEAD = """
Built-in tools let an agent work with files, run commands, request web pages and
[ask other agents](/docs/agents/sub-agents). Their names begin with `cp__`. No tool is offered unless the agent or
the task names it:

```yaml workflow title="workflows/notes.yaml"
id: notes
tasks:
  - id: tidy
    prompt: Write the open items of my notes to open.md.
    tools:
      - cp__list_files
      - cp__read_file
      - { id: cp__write_file, approve: never }
output:
  reply: "{{ .tasks.tidy.output.text }}"
```

```yaml project title="notes.yaml"
name: notes
database: { driver: sqlite, path: ./notes.db }
runtime:
  native_tools:
    root_dir: notes
llm:
  providers:
    - id: scripted
      type: scripted
      responses:
        tidy:
          - tool_calls: [{ tool: cp__list_files, arguments: { dir: / } }]
          - tool_calls: [{ tool: cp__read_file, arguments: { path: /monday.md } }]
          - tool_calls: [{ tool: cp__write_file, arguments: { path: /open.md, content: "- buy milk" } }]
          - text: One item is open.
```

```console
$ mkdir notes && echo "todo: buy milk" > notes/monday.md
$ compozy workflow run notes --config notes.yaml --quiet
Workflow 'notes' completed successfully
Result: {"reply": "One item is open."}
$ cat notes/open.md
- buy milk
```

## What the tools can reach

```yaml fragment
runtime:
  native_tools:
    root_dir: notes               # folder of the file tools and of cp__exec; the default is the project's folder
    exec:
      commands: [git, /usr/bin/wc]  # programs of cp__exec, by name or absolute path; the default is none
    private_hosts: [localhost]    # hosts of cp__fetch and of HTTP tools whose addresses can be private
```

Paths begin at `root_dir`, which is `/` for the tools. Choose a folder that holds nothing but the agent's files: below
the project's folder, an agent can read and change workflows and tools.

- **Files**: `..` and symbolic links are refused, also if a folder is replaced by a link during a call. `.env` files,
  `.git` and the database files are inaccessible under any name.
- **Approvals**: writing, deleting and running wait for a person unless the tool has `approve: never`; see [Approve
  calls](/docs/agents/tools#approve-calls).
- **Commands** run without a shell. A command gets `PATH`, the language and the time zone, and the variables in `env`
  of the tool; no other variables. Arguments that could name a file outside of the folder, a link or a closed file are
  refused. At the time limit, the command and everything that it started are killed; a command also ends if Compozy
  is killed.
- **Requests**: requests reach only public addresses, even after redirects. To allow only certain hosts, such as
  `docs.example.com` or `*.example.org`, list them under `hosts` in `config` of `cp__fetch`. `Authorization` and
  other headers do not follow a redirect to another host.

`cp__exec` is not a sandbox. A command that walks folders by itself (`grep -r`, `find`) also reads `.env` below them,
and a command that runs code in its arguments or files (`sh`, `python`, `sed`, `awk`, `find -exec`, `git` with hooks)
can do anything. Name only commands that you would let the agent use without looking.

Files, commands and web pages can hold text that tries to steer the model. Combine tools with care: an agent that
reads secrets and can use `cp__fetch` can send them away.

## Results

A failed call returns text that starts with an error code: `InvalidArgument`, `PermissionDenied`, `FileNotFound`,
`CommandNotAllowed`, `DeadlineExceeded` or `Internal`. Calls beyond the
[limits](/docs/agents/tools#limits-of-a-conversation) are reported in the same way. A command that fails and an answer
with a status of 400 or above are results, not failures.

In a result, `modified` is a time in UTC, `mode` a decimal number, and paths begin with `/`. `truncated` and
`next_page_token` are there only if something was left out.
"""
_EFFECTS = {
    "read": "`read`: an interrupted call is repeated.",
    "retry": "`retry`: an interrupted call is repeated.",
    "once": "`once`: an interrupted call is not repeated.",
}
_EFFECTS_OF_CALLS = {
    "cp__write_file": "`retry`; with `append`, `once`: an interrupted call is not repeated.",
    "cp__fetch": "by method: GET and HEAD `read`, PUT and DELETE `retry`, POST and PATCH `once`.",
}


def write_built_in_tools() -> str:
    """Return the page."""
    title = front(
        "Built-in tools", "Files below one folder, commands that the project names, and web requests, for agents."
    )
    return title + _HEAD + "\n## Reference\n" + "".join(_section(name, spec) for name, spec in SPECS.items())


def _section(name: str, spec: BuiltInSpec) -> str:
    rows = "".join(f"| {code(key)} | {_meaning(spec, key)} |\n" for key in spec.properties)
    approval = "Waits for an approval unless `approve: never`. " if spec.approve == "ask" else ""
    effect = _EFFECTS_OF_CALLS.get(name, _EFFECTS[spec.effect])
    return (
        f"\n### {name}\n\n{prose(spec.description)}\n\n| Argument | Meaning |\n|---|---|\n{rows}\n"
        f"Result: {code(spec.output)}.\n\n{approval}Effect {effect}\n"
    )


def _meaning(spec: BuiltInSpec, name: str) -> str:
    schema: dict[str, Any] = spec.properties[name]
    return " ".join([prose(schema["description"]), *_limits(schema), *(["Required."] if name in spec.required else [])])


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        yield f"One of {', '.join(map(code, schema['enum']))}."
    if "maxItems" in schema:
        yield f"At most {schema['maxItems']}."
    if "default" in schema:
        most = f", at most {schema['maximum']}" if "maximum" in schema else ""
        yield f"Default: {code(str(schema['default']))}{most}."
