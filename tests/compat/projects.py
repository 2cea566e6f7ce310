"""Small projects with the spelling of the 2025 edition, one for each group of its keys."""

# ruff: noqa: E501 - one line of YAML for each part is easier to read

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_SQLITE = "database: {driver: sqlite, path: ./data/compozy.db}\n"
_MODELS = """\
models:
  - provider: openai
    model: gpt-4o
    api_key: "{{ .env.OPENAI_API_KEY }}"
    api_url: "{{.env.MODEL_URL}}"
    default: true
    params: {temperature: 0.2, max_tokens: 200}
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """One project.

    Attributes:
        files: texts by path; `compozy.yaml` and the workflow `main` are among them.
        replies: answers of the model, in turn.
        output: what the run results in.
        warnings: keys that have no effect.
        asked: texts that the requests to the model hold, in turn.
        settings: values that the requests hold.
    """

    files: dict[str, str]
    replies: tuple[str, ...] = ("Hello!",)
    output: Any
    warnings: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


def _workflow(tasks: str, more: str = "") -> str:
    return f"id: main\n{more}tasks:\n{tasks}outputs:\n  text: '{{{{ .tasks.one.output.response }}}}'\n"


_ONE = "  - {id: one, type: basic, prompt: Say hello, final: true}\n"

PROJECTS: dict[str, Project] = {
    "models": Project(
        files={
            "compozy.yaml": "name: demo\nversion: 0.1.0\nworkflows: [{source: ./main.yaml, watch: true}]\n"
            + _SQLITE
            + _MODELS,
            "main.yaml": _workflow(_ONE),
        },
        output={"text": "Hello!"},
        warnings=("watch",),
        asked=("Say hello",),
        settings={"model": "gpt-4o", "temperature": 0.2},
    ),
    "runtime-and-autoload": Project(
        files={
            "compozy.yaml": "name: demo\nruntime: {type: bun, entrypoint: ./entrypoint.ts, permissions: [--allow-read, --allow-net]}\n"
            "autoload: {enabled: true, strict: true, watch_enabled: true, include: ['agents/*.yaml', 'workflows/*.yaml', 'docs/**/*.md'],"
            " exclude: ['**/*~', '**/*.bak', '**/*.tmp']}\nconfig: {schedule_to_start_timeout: 5m}\n"
            + _SQLITE
            + _MODELS,
            "workflows/main.yaml": _workflow(_ONE, "resource: workflow\nconfig: {start_to_close_timeout: 1m}\n"),
            "agents/old.yaml.bak": "not: [valid",
        },
        output={"text": "Hello!"},
        warnings=(
            "strict",
            "watch_enabled",
            "schedule_to_start_timeout",
            "start_to_close_timeout",
        ),
    ),
    "typescript-tools": Project(
        files={
            "compozy.yaml": "name: demo\nruntime: {entrypoint: ./entrypoint.ts, permissions: [--allow-read, --allow-env]}\n"
            "autoload: {enabled: true, include: ['tools/*.yaml']}\nworkflows: [{source: ./main.yaml}]\n"
            + _SQLITE
            + _MODELS,
            "tools/add_tax.yaml": "resource: tool\nid: add_tax\ndescription: Adds the tax\ntimeout: 180s\n"
            "input: {type: object, properties: {price: {type: number}}, required: [price]}\n",
            "tools/save.ts": "export async function save({ name }: { name: string }) { return { name, saved: true }; }\n",
            "tools/greet.ts": "export default ({ name }: { name: string }) => ({ text: `Hello ${name}` });\n",
            "entrypoint.ts": 'import { save } from "./tools/save";\n\n'
            "export default {\n  save_data: save,\n"
            "  add_tax: async (input: { price: number }, config?: { rate: number }) => input.price * (config?.rate ?? 2),\n};\n",
            "main.yaml": "id: main\nschemas: [{id: named, type: object, properties: {name: {type: string}}}]\n"
            "tools:\n  - {id: save_data, description: Saves, input: named, config: {rate: 3}}\n"
            "  - {id: greet, execute: ./tools/greet.ts}\n"
            "tasks:\n  - {id: one, type: basic, tool: save_data, with: {name: Ada}}\n"
            "  - {id: two, type: basic, tool: add_tax, with: {price: 4}}\n"
            '  - {id: three, type: basic, $use: tool(local::tools.#(id=="greet")), with: {name: Ada}, final: true}\n'
            "outputs:\n  saved: '{{ .tasks.one.output.saved }}'\n  price: '{{ .tasks.two.output.value }}'\n"
            "  text: '{{ .tasks.three.output.text }}'\n",
        },
        output={"saved": True, "price": 8, "text": "Hello Ada"},
    ),
    "mode": Project(
        files={
            "compozy.yaml": "name: demo\nmode: distributed\ntemporal: {mode: remote, host_port: 'localhost:7233', namespace: default,"
            " tls: {enabled: true}}\nredis: {mode: standalone, standalone: {persistence: {enabled: true}}}\n"
            + _SQLITE
            + _MODELS,
            "workflows/main.yaml": _workflow(_ONE),
        },
        output={"text": "Hello!"},
        warnings=("mode", "temporal", "redis"),
    ),
    "tasks-of-the-project": Project(
        files={
            "compozy.yaml": "name: demo\ntasks:\n  echo: {type: basic, prompt: 'Echo {{ .with.word }}', final: true}\n"
            + _SQLITE
            + _MODELS,
            "workflows/main.yaml": _workflow("  - {id: one, type: reference, target: echo, with: {word: aloud}}\n"),
        },
        output={"text": "Hello!"},
        asked=("Echo aloud",),
    ),
    "schemas": Project(
        files={
            "compozy.yaml": "name: demo\nschemas: [{id: city, type: object, properties: {city: {type: string, default: Paris}}}]\n"
            + _SQLITE
            + _MODELS,
            "workflows/main.yaml": _workflow(
                "  - {id: one, prompt: 'About {{ .workflow.input.city }}'}\n",
                "config: {input: city}\nschemas: [{id: unused, type: object}]\n",
            ),
        },
        output={"text": "Hello!"},
        asked=("About Paris",),
    ),
    "schema-directives": Project(
        files={
            "compozy.yaml": "name: demo\n" + _SQLITE + _MODELS,
            "workflows/main.yaml": _workflow(
                "  - {id: one, prompt: 'About {{ .workflow.input.city }}'}\n",
                "schemas: [{id: place, type: object, properties: {city: {type: string, default: Rome}}}]\n"
                'config: {input: {$ref: local::schemas.#(id=="place")}}\n',
            ),
        },
        output={"text": "Hello!"},
        asked=("About Rome",),
    ),
    "schema-wrapper": Project(
        files={
            "compozy.yaml": "name: demo\n" + _SQLITE + _MODELS,
            "workflows/main.yaml": _workflow(
                "  - {id: one, prompt: 'About {{ .workflow.input.city }}'}\n",
                "input: {schema: {type: object, properties: {city: {type: string, default: Oslo}}}}\n"
                "output: {schema: {type: object, properties: {text: {type: string}}}}\n",
            ),
        },
        output={"text": "Hello!"},
        warnings=("output",),
        asked=("About Oslo",),
    ),
    "agents-in-files": Project(
        files={
            "compozy.yaml": "name: demo\nautoload: {enabled: true, include: ['agents/*.yaml']}\nworkflows: [{source: ./main.yaml}]\n"
            + _SQLITE
            + _MODELS,
            "agents/guide.yaml": "resource: agent\nid: guide\nname: Guide\nversion: 0.1.0\ndescription: Knows cities.\n"
            "instructions: 'You are {{ .input.mood }}.'\njson_mode: false\nmodel: 'openai:gpt-4o-mini'\n"
            "actions:\n  - {id: tell, name: Tell, json_mode: true, prompt: 'Tell of {{ .with.city }}, {{ .input.mood }}',"
            " output: {type: object, properties: {fact: {type: string}}, required: [fact]}}\n",
            "main.yaml": "id: main\ntasks:\n  - {id: one, type: basic, agent: guide, action: tell, with: {city: Lima, mood: calm}}\n"
            "outputs: {fact: '{{ .tasks.one.output.fact }}'}\n",
        },
        replies=('{"fact": "Grey skies."}',),
        output={"fact": "Grey skies."},
        warnings=("json_mode", "json_mode"),
        asked=("Tell of Lima, calm",),
        settings={"model": "gpt-4o-mini"},
    ),
    "agents-by-selectors": Project(
        files={
            "compozy.yaml": "name: demo\n" + _SQLITE + _MODELS,
            "workflows/main.yaml": "id: main\nagents:\n"
            '  - {id: critic, instructions: Be strict., config: {$ref: global::models.#(provider=="openai"), temperature: 0.9},'
            " actions: [{id: praise, prompt: 'Praise {{ .input.what }}'}, {id: scold, prompt: 'Scold {{ .input.what }}'}]}\n"
            "tasks:\n  - {id: one, type: basic, $use: 'agent(local::agents.#(id=\"critic\"))', action: '{{ .workflow.input.how }}', with: {what: tea}, on_success: {next: two}}\n"
            "  - {id: two, type: basic, prompt: Last words, model_config: {$ref: 'global::models.#(provider=\"openai\")'}, final: true}\n"
            "input: {type: object, properties: {how: {type: string, default: scold}}}\n"
            "outputs: {text: '{{ .tasks.one.output.response }} {{ .tasks.two.output.response }}'}\n",
        },
        replies=("Weak!", "Bye"),
        output={"text": "Weak! Bye"},
        asked=("Scold tea", "Last words"),
        settings={"temperature": 0.9},
    ),
    "inline-models": Project(
        files={
            "compozy.yaml": "name: demo\n" + _SQLITE + _MODELS,
            "workflows/main.yaml": "id: main\nauthor: {name: Ada}\nagents:\n  - {id: a, model: {provider: openai, model: gpt-4o-mini, params: {temperature: 0.7}}}\n"
            "  - {id: b, config: {provider: openai, model: gpt-4.1, params: {max_tokens: 7}}}\n"
            "tasks:\n  - {id: one, name: First, agent: a, prompt: One}\n  - {id: two, agent: b, action: default, with: {task: Two}}\n"
            "outputs: {text: '{{ .tasks.one.output.response }}{{ .tasks.two.output.response }}'}\n",
        },
        replies=("1", "2"),
        output={"text": "12"},
        warnings=("author", "name"),
        asked=("One", "Two"),
        settings={"model": "gpt-4o-mini", "temperature": 0.7},
    ),
    "stray-keys": Project(
        files={
            "compozy.yaml": "name: demo\n" + _SQLITE + _MODELS,
            "workflows/main.yaml": "id: main\ntasks:\n"
            "  - {id: way, type: router, name: Way, action: choose, condition: '\"a\"', routes: {a: box}, default_route: box}\n"
            "  - {id: box, type: composite, strategy: fail_fast, action: x, tasks: [{id: one, prompt: Hi}], on_success: {next: end}}\n"
            "  - {id: end, type: basic, final: true}\n"
            "outputs: {text: '{{ .tasks.box.output.one.output.response }}'}\n",
        },
        output={"text": "Hello!"},
        warnings=("name", "action", "default_route", "action"),
    ),
}
