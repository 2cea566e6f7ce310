"""Keys of the 2025 edition that this version does not support yet, with their replacements as hints.

They are unknown keys like any other; only the hint is better. A key leaves the table when its feature arrives.
"""

from __future__ import annotations

_FEATURES = {
    "a proxy of MCP servers": ("mcp_proxy",),
    "cross-origin requests": (
        "cors",
        "cors_enabled",
    ),
    "watching for changes": ("watch", "watch_enabled", "watch_interval"),
    "separate limits": ("migration_timeout",),
}

_INSTEAD = {
    "$ref": "directives are not in this version; name an agent or a schema by its ID",
    "$use": "directives are not in this version; name an agent or a schema by its ID",
    "$merge": "directives are not in this version; write the value out, or merge it with `<<`",
    "resources": "write the lists `agents`, `schemas` and `tasks`",
    "models": "write the models as `llm.providers`",
    "model_config": "write `llm`, `model` and `temperature` under `agent`",
    "stop_words": "write `stop`",
    "min_length": "no provider accepts a minimum length; leave it out",
    "max_length": "write `max_tokens`",
    "n": "a model is asked for one answer; leave it out",
    "metadata": "it has no effect in this version; leave it out",
    "candidate_count": "a model is asked for one answer; leave it out",
    "provider": "the kind of a provider is its `type`; an agent names its provider as `llm`",
    "api_url": "the key is `base_url`",
    "organization": "organizations are not in this version; leave it out",
    "max_tool_iterations": "limits of tool calls belong to agents and tasks; leave it out",
    "context_window": "the size of the context is that of the provider; leave it out",
    "task_execution_timeout_default": "write `timeout` under `config`",
    "task_execution_timeout_max": "write `timeout` under `config`",
    "use": "write `type: reference` and `target: <task id>`",
    "rate_limit": "write `max_concurrent` and `requests_per_minute`",
    "min_results": "an agent is given what is found; see `fallback` and `min_score`",
    "inject_as": "passages stand before the prompt; leave it out",
    "strip_newlines": "line breaks are kept; leave it out",
    "max_concurrent_workers": "write `batch_size`",
    "ensure_index": "a store makes its index by itself; leave it out",
    "vector_dbs": "write it in compozy.yaml",
    "embedders": "write it in compozy.yaml",
    "knowledge_bases": "write it in compozy.yaml, and bind it with `knowledge: [{id: ...}]`",
    "webhooks": "write `webhook` under `triggers` of a workflow; each webhook has its settings there",
    "temporal": "this version needs no Temporal; leave it out",
    "redis": "this version needs no Redis; leave it out",
    "worker": "write `runtime.max_concurrent_workflows`",
    "strict": "a faulty file is always an error; leave it out",
    "environment": "leave it out",
    "cli": "give these as flags, or in the environment",
}

UNSUPPORTED_KEYS = {
    **{key: f"this version does not have {feature} yet" for feature, keys in _FEATURES.items() for key in keys},
    **_INSTEAD,
}

UNSUPPORTED_TYPES = {
    "schedule": "write `schedule:` at the top of the workflow",
}
"""The same for kinds of tasks and triggers."""
