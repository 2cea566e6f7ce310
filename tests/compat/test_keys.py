"""Every key of real projects of the 2025 edition is read, ignored with a warning, or refused with a hint."""

# ruff: noqa: E501 - a table with one key per line is easier to read

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from compozy.errors import ProjectError
from compozy.project.load import load_project

_BASE = (
    "embedders: [{{id: e, provider: openai, model: m, dimension: 8}}]\n"
    "vector_dbs: [{{id: v, type: memory, config: {{dimension: 8}}}}]\n"
    "knowledge_bases: [{{id: k, embedder: e, vector_db: v, sources: [{{type: markdown_glob, path: '*.md'}}]"
)
# Location of a text -> the file, and the text around it.
PLACES: dict[str, tuple[str, str]] = {
    "project": ("compozy.yaml", "{}\n"),
    "model": ("compozy.yaml", "models: [{{provider: openai, model: m, {}}}]\n"),
    "runtime": ("compozy.yaml", "runtime: {{{}}}\n"),
    "autoload": ("compozy.yaml", "autoload: {{{}}}\n"),
    "config": ("compozy.yaml", "config: {{{}}}\n"),
    "workflow": ("workflows/main.yaml", "id: main\ntasks: [{{id: one}}]\n{}\n"),
    "task": ("workflows/main.yaml", "id: main\ntasks: [{{id: one, {}}}]\n"),
    "first": ("workflows/main.yaml", "id: main\ntasks: [{{id: one, {}}}, {{id: two}}]\n"),
    "agent": ("agents/ada.yaml", "resource: agent\nid: ada\n{}\n"),
    "action": ("agents/ada.yaml", "resource: agent\nid: ada\nactions: [{{id: tell, prompt: Tell, {}}}]\n"),
    "file": ("tasks/one.yaml", "{}\n"),
    "embedder": ("compozy.yaml", "embedders: [{{id: e, provider: openai, model: m, {}}}]\n"),
    "base": ("compozy.yaml", _BASE + ", {}}}]\n"),
    "binding": ("compozy.yaml", _BASE + "}}]\nagents: [{{id: x, knowledge: [{{id: k, {}}}]}}]\n"),
    "store": ("compozy.yaml", "vector_dbs: [{{id: v, {}}}]\n"),
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """Keys written in a place: `ignored` are those that a warning names.

    `refused` is part of the error; `followed` is what its hint leads to, None where a feature is not available.
    """

    place: str
    text: str
    ignored: tuple[str, ...] = ()
    refused: str = ""
    followed: str | None = None

    def __str__(self) -> str:
        """Return the ID of the test."""
        return f"{self.place}: {self.text.splitlines()[0][:60]}"


def read(place: str, *texts: str) -> list[Key]:
    return [Key(place=place, text=text) for text in texts]


def ignored(place: str, *texts: str) -> list[Key]:
    return [Key(place=place, text=text, ignored=(text.partition(":")[0],)) for text in texts]


def refused(place: str, text: str, error: str, followed: str | None = None) -> Key:
    return Key(place=place, text=text, refused=error, followed=followed)


KEYS = [
    *read(
        "project",
        "version: 0.1.0",
        "description: A shop",
        "mcps: [{id: a, url: 'http://x'}]",
        "monitoring: {enabled: true, path: /metrics}",
        "author: {name: Ada, url: 'https://a.b', email: a@b.c, organization: x}",
        "workflows: [{source: ./workflows/main.yaml}]",
        "schemas: [{id: c, type: object, properties: {a: {type: string, description: x, default: y}}, examples: [{a: b}]}]",
        "tasks: {echo: {type: basic, prompt: Hi, final: true}}",
        "tasks: [{id: echo, type: basic, prompt: Hi, provider: openai, final: true}]",
        "agents: [{id: x}]",
    ),
    Key(place="project", text="workflows: [{source: ./workflows/main.yaml, watch: true}]", ignored=("watch",)),
    Key(place="project", text="tasks: [{id: echo, action: run, prompt: Hi}]", ignored=("action",)),
    *ignored(
        "project",
        "mode: memory",
        "mode: distributed",
        "temporal: {mode: memory, host_port: 'x:1', tls: {enabled: true}, standalone: {database_file: x}}",
        "redis: {mode: standalone, distributed: {addr: x}}",
        "cache: {enabled: true}",
        "worker: {config_store_ttl: 1h}",
        "cli: {mode: json}",
    ),
    *read("project", "memories: [{id: m}]"),
    refused("project", "webhooks: {}", "write `webhook` under `triggers` of a workflow"),
    refused("project", "attachments: {}", "unknown key 'attachments'"),
    *read(
        "model",
        "id: a",
        "api_key: '{{ .env.X }}'",
        "api_key: '${X}'",
        "api_url: 'http://x/v1'",
        "default: true",
        "params: {temperature: 0.2, max_tokens: 5, top_p: 0.1, seed: 0, stop_words: [a]}",
        "params: {frequency_penalty: 0.1, presence_penalty: -2}",
    ),
    refused("model", "organization: o", "leave it out", "id: a"),
    refused("model", "context_window: 1000", "leave it out", "id: a"),
    refused(
        "model", "rate_limit: {concurrency: 3}", "write `max_concurrent`", "max_concurrent: 3, requests_per_minute: 5"
    ),
    refused("model", "params: {top_k: 3}", "do not accept 'top_k' (leave it out", "params: {}"),
    refused("model", "params: {min_length: 3}", "leave it out", "params: {}"),
    refused("model", "params: {max_length: 3}", "write `max_tokens`", "params: {max_tokens: 3}"),
    refused("model", "params: {n: 3}", "leave it out", "params: {}"),
    refused("model", "params: {candidate_count: 3}", "leave it out", "params: {}"),
    refused("model", "params: {metadata: {a: b}}", "leave it out", "params: {}"),
    *ignored("autoload", "strict: true", "watch_enabled: true", "watch_interval: 1s"),
    *read("autoload", "enabled: true", "include: ['agents/*.yaml', 'docs/**/*.md'], exclude: ['**/*~', '**/*.bak']"),
    *ignored(
        "config",
        "schedule_to_start_timeout: 5m",
        "start_to_close_timeout: 5m",
        "schedule_to_close_timeout: 5m",
        "heartbeat_timeout: 5m",
        "source_of_truth: repo",
    ),
    *read("config", "retry_policy: {initial_interval: 1s, backoff_coefficient: 2.0, maximum_attempts: 3}"),
    *read(
        "workflow",
        "version: 0.1.0",
        "description: x",
        "resource: workflow",
        "schemas: [{id: q, type: object}]",
        "config: {input: {type: object}, env: {A: b}}",
        "config: {input: {$ref: 'local::schemas.#(id==\"q\")'}}\nschemas: [{id: q, type: object}]",
        "config: {input: {$ref: '$local::schemas.#(id=\"q\")'}}\nschemas: [{id: q, type: object}]",
        "config: {input: q}\nschemas: [{id: q, type: object}]",
        "input: {schema: {type: object}}",
        "outputs: {a: '{{ .tasks.one.output }}'}",
        "triggers: [{type: signal, name: order.created}]",
        "triggers: [{type: signal, name: order.created, schema: {type: object, required: [id]}}]",
        "schedule: {cron: '0 0 * * *', timezone: UTC, enabled: true}",
        "schedule: {cron: '0,15,30,45 * * * * *', overlap_policy: buffer_one, start_at: '2027-01-01T00:00:00Z'}",
        "agents: [{id: x, name: X, description: d, version: '1', instructions: '{{ .input.path }}', model: 'groq:llama'}]",
        "agents: [{id: x, config: {provider: groq, model: m, params: {temperature: 0, max_tokens: 2}}}]",
        "agents: [{id: x, config: {$ref: 'global::models.#(provider==\"openai\")', temperature: 0.1}}]",
        "agents: [{id: x, config: {$ref: 'global::models.#(provider=\"openai\")'}}]",
    ),
    *ignored("workflow", "author: {name: Ada}", "output: {schema: {type: object}}"),
    *read(
        "workflow",
        "triggers: [{type: webhook, webhook: {slug: orders, method: POST, verify: {strategy: github, secret: '{{ .env.X }}'}, dedupe: {enabled: true, key: delivery.id}, events: [{name: opened, filter: 'payload.action == \"opened\"', input: {k: '{{ .payload.a.b }}'}}]}}]",
        "triggers: [{type: webhook, webhook: {slug: a, verify: {strategy: hmac, secret: '${X}', header: X-Sign}, events: [{name: e, schema: {type: object}}]}}]",
    ),
    Key(
        place="workflow",
        text="triggers: [{type: webhook, webhook: {slug: a, verify: {strategy: none}, dedupe: {enabled: true, ttl: 10m}, events: [{name: e}]}}]",
        ignored=("ttl",),
    ),
    Key(place="workflow", text="agents: [{id: x, json_mode: true}]", ignored=("json_mode",)),
    Key(place="workflow", text="agents: [{id: x, config: {provider: groq, api_key: k}}]", ignored=("api_key",)),
    refused("workflow", "agents: [{id: x, memory: [{id: m, key: k}]}]", "memor"),
    refused(
        "workflow",
        "agents: [{id: x, config: {provider: ollama, model: m}}]",
        "add `{id: ollama, type: ollama}` to `llm.providers`",
        "agents: [{id: x, config: {provider: groq, model: m}}]",
    ),
    refused(
        "workflow",
        "agents: [{id: x, config: {$ref: 'global::models.#(id==\"gpt\")'}}]",
        "the providers are groq, openai",
        "agents: [{id: x, config: {$ref: 'global::models.#(id==\"openai\")'}}]",
    ),
    refused(
        "workflow",
        "config: {input: {$ref: '#/triggers/0/schema'}}",
        "write the other schema under `schemas` and name its ID",
        "config: {input: payload}\nschemas: [{id: payload, type: object}]",
    ),
    refused("workflow", "resources: {memories: []}", "write the lists `agents`, `schemas`", "agents: []"),
    *read(
        "task",
        "type: basic, agent: ada, action: tell, with: {a: b}, final: true",
        "agent: ada, action: '{{ .workflow.input.review_type }}'",
        "$use: 'agent(local::agents.#(id==\"ada\"))', action: tell",
        "$use: 'agent(local::agents.#(id=\"ada\"))', action: tell",
        "prompt: Hi, model_config: {$ref: 'global::models.#(provider==\"openai\")'}",
        "prompt: Hi, provider: openai",
        "prompt: Hi, model_config: openai",
        "type: basic, final: true",
        "agent: {id: b, llm: openai}, action: default, with: {task: Hi}",
        "prompt: Hi, mcps: [{id: m, transport: streamable-http, url: 'http://x'}]",
        "prompt: Hi, agent: {id: x, mcps: [{id: m, transport: stdio, command: npx}]}",
        "timeout: 5m, retries: 2, sleep: 1s, condition: 'true', env: {A: b}",
        "prompt: Hi, input: {schema: {type: object}}, output: {schema: {type: object}}",
        "prompt: '{{ .with.x }} {{ .input.x }}', with: {x: 1}",
        "type: parallel, strategy: race, max_workers: 2, tasks: [{id: b}], timeout: 1m",
        "type: collection, items: '[1]', filter: 'item > 0', item_var: x, index_var: y, batch: 2, task: {id: 'b-{{ .index }}'}",
        "type: signal, signal: {id: 'x-{{ .workflow.id }}', payload: {a: 1}}",
        "type: wait, wait_for: x, condition: 'true', timeout: 1m, processor: {id: p, type: basic}",
        "type: aggregate, outputs: {a: 1}",
        "type: composite, strategy: fail_fast, tasks: [{id: b}]",
        "with: {a: '{{ .env.A }}'}, env: {A: b}",
        "with: {a: '{{ .env.TOKEN | default \"none\" }}', b: '{{ .status | default \"completed\" }}'}",
    ),
    *ignored("task", "name: One"),
    Key(place="task", text="config: {start_to_close_timeout: 1m}", ignored=("start_to_close_timeout",)),
    Key(
        place="task",
        text="type: router, action: x, strategy: wait_all, condition: '\"a\"', routes: {a: {id: b}}, default_route: b",
        ignored=("default_route", "action", "strategy"),
    ),
    Key(place="task", text="type: composite, action: x, tasks: [{id: b}]", ignored=("action",)),
    refused("task", "type: memory, operation: read", "memory_ref"),
    *read("task", "prompt: Hi, attachments: [{type: image, url: 'https://example.com/x.png'}]"),
    *read("task", "prompt: Hi, memory: []"),
    refused(
        "task", "use: task(file=./x.yaml)", "write `type: reference` and `target", "type: reference, target: shout"
    ),
    refused("task", "type: reference, target: shot", "did you mean 'shout'?", "type: reference, target: shout"),
    refused(
        "task",
        "type: router, routes: {a: {id: b}}",
        "missing key 'condition'",
        "type: router, condition: '\"a\"', routes: {a: {id: b}}",
    ),
    refused("task", "type: composite, tasks: []", "tasks: must not be empty", "type: composite, tasks: [{id: b}]"),
    refused(
        "task",
        "with: {a: '{{ .env.TOKEN }}'}",
        "add it to `env` of the workflow",
        "with: {a: '{{ .env.TOKEN }}'}, env: {TOKEN: x}",
    ),
    refused("task", "agent: adda, prompt: Hi", "did you mean 'ada'?", "agent: ada, prompt: Hi"),
    refused("task", "agent: ada, action: tel", "did you mean 'tell'?", "agent: ada, action: tell"),
    refused("task", "agent: ada, action: default", "its actions are tell", "agent: ada, action: tell"),
    refused("first", "on_success: two", "write `{next: <task id>}`", "on_success: {next: two}"),
    refused("task", "with: x", "write names and values, `{name: value}`", "with: {x: y}"),
    refused(
        "task", "prompt: Hi, fallback: openai", "write `{models: [...]}`", "prompt: Hi, fallback: {models: [openai]}"
    ),
    *read(
        "agent",
        "model: 'groq:llama'",
        "model: {provider: groq, model: m, params: {top_p: 0.1}}",
        "config: {$ref: 'global::models.#(provider==\"openai\")', temperature: 0.2, max_tokens: 4}",
    ),
    *read("action", "name: Tell", "description: d", "output: {type: object}", "input: {type: object}"),
    *ignored("action", "json_mode: true"),
    *read(
        "file",
        "resource: task\nid: one\ndescription: d\ntype: basic\nprompt: Hi\nwith: {a: 1}\nfinal: true\ntimeout: 1m",
    ),
    Key(place="file", text="resource: task\nid: one\nname: One\nprompt: Hi", ignored=("name",)),
    *read("file", "resource: memory\nid: one"),
    *read("file", "resource: mcp\nid: one\nurl: 'http://x'"),
    *read("embedder", "config: {dimension: 8, batch_size: 2}, api_key: '{{ .env.X }}'"),
    refused("embedder", "config: {dimension: 8, strip_newlines: true}", "leave it out", "config: {dimension: 8}"),
    *read(
        "store",
        "type: memory, config: {dimension: 8}",
        "type: qdrant, config: {dsn: 'http://x:1', dimension: 8, metric: cosine}",
    ),
    Key(
        place="store",
        text="type: redis, config: {dsn: 'redis://x', dimension: 8, table: t, max_top_k: 3, ensure_index: true}",
        ignored=("table", "max_top_k", "ensure_index"),
    ),
    *read(
        "base",
        "ingest: on_start, chunking: {strategy: recursive_text_splitter, size: 800, overlap: 10}",
        "retrieval: {top_k: 3, min_score: 0.1, max_tokens: 100, filters: {tags: runbook}}",
        "metadata: {tags: [runbook]}",
    ),
    *read("binding", "top_k: 3", "retrieval: {top_k: 3, min_score: 0.2, max_tokens: 100}"),
]


def write(folder: Path, place: str, text: str) -> None:
    name, around = PLACES[place]
    agent = "id: ada\nactions: [{id: tell, prompt: Tell}]\n"
    files = {
        "workflows/main.yaml": "id: main\ntasks: [{id: one}]\n",
        "tasks/shout.yaml": "id: shout\nprompt: Echo\n",
        "agents/ada.yaml": agent,
        "compozy.yaml": "",
    }
    files[name] = around.format(text)
    head = "name: demo\ndatabase: {driver: sqlite, path: x.db}\n"
    if place != "model":
        head += "llm: {providers: [{id: groq, type: groq}, {id: openai, type: openai}]}\n"
    files["compozy.yaml"] = head + files["compozy.yaml"]
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_each_key_is_read_ignored_or_refused(key: Key, tmp_path: Path) -> None:
    write(tmp_path, key.place, key.text)
    if not key.refused:
        project = load_project(None, cwd=tmp_path, environ={})
        named = [re.match(r"'(\w+)' has no effect", warning.message) for warning in project.warnings]
        assert sorted(found[1] for found in named if found) == sorted(key.ignored)
        return

    with pytest.raises(ProjectError) as caught:
        load_project(None, cwd=tmp_path, environ={})

    # One error, and no other error that is only a consequence of it.
    assert [str(fault) for fault in caught.value.diagnostics if key.refused not in str(fault)] == []
    assert len(caught.value.diagnostics) == 1
    if key.followed is not None:
        write(tmp_path, key.place, key.followed)
        assert load_project(None, cwd=tmp_path, environ={}).warnings == ()


def test_a_database_of_the_2025_edition(tmp_path: Path) -> None:
    text = "name: demo\ndatabase: {driver: postgres, url: 'postgres://ada@db/shop', migrations: {schema: x}}\n"
    (tmp_path / "compozy.yaml").write_text(text)

    project = load_project(None, cwd=tmp_path, environ={})

    assert [warning.message for warning in project.warnings] == ["'migrations' has no effect"]
    assert project.database.conn_string is not None
    assert "ada@db" in project.database.conn_string.get_secret_value()
