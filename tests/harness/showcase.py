"""A project with something to see: live text, approvals, errors, containers, a schedule. Its model is scripted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STORY = (
    "The lighthouse keeper counted the ships each evening. On the night of the storm there was one more than the "
    "harbor had ever seen, and it carried a green light. He wrote it down, closed the book, and kept the lamp burning "
    "until morning came. 🚢 In the book of the harbor the ship is listed to this day."
)
GREETING = "Good evening. A table for two at the window is free at eight, and the kitchen knows about the nuts."
_NAMES = ("French", "Italian", "Swedish", "Polish", "Danish")
_LANGUAGES = [{"name": name} for name in _NAMES]
_ARTICLE = {"id": "article", "type": "basic", "prompt": "Write a short news item about {{ .input.topic }}."}
SECRET = "a-secret-of-the-shop"
WEBHOOK: dict[str, Any] = {
    "slug": "parcels",
    "verify": {"strategy": "token", "header": "X-Token", "secret": SECRET},
    "events": [{"name": "parcel.sent", "filter": "has(payload.id)", "input": {"parcel": "{{ .payload.id }}"}}],
}
_GUEST = {
    "type": "object",
    "required": ["guest", "message"],
    "properties": {
        "guest": {"type": "string", "description": "Name of the guest."},
        "message": {"type": "string", "description": "Message of the guest."},
        "language": {"type": "string", "enum": ["English", "French"], "default": "English"},
    },
}
WORKFLOWS: dict[str, dict[str, Any]] = {
    "hello-world": {
        "name": "Hello world",
        "description": "Greets someone. A first workflow to run.",
        "config": {
            "input": {
                "type": "object",
                "properties": {"name": {"type": "string", "default": "World", "description": "Who is greeted."}},
            }
        },
        "tasks": [{"id": "greet", "prompt": "Say hello to {{ .input.name }}."}],
        "output": {"greeting": "{{ .tasks.greet.output.text }}"},
    },
    "story": {
        "name": "Story",
        "description": "Writes a short story, and shows the text while the model writes it.",
        "tasks": [{"id": "write", "prompt": "Write a story about a lighthouse."}],
        "output": {"story": "{{ .tasks.write.output.text }}"},
    },
    "news": {
        "name": "Publish news",
        "description": "Writes an article, translates it, and publishes it when a person agrees.",
        "config": {
            "input": {
                "type": "object",
                "required": ["topic"],
                "properties": {
                    "topic": {"type": "string", "description": "What the article is about."},
                    "length": {"type": "integer", "default": 120, "minimum": 20, "description": "Words, roughly."},
                    "tone": {"type": "string", "enum": ["neutral", "friendly", "formal"], "default": "neutral"},
                    "translate": {"type": "boolean", "default": True},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
            }
        },
        "tasks": [
            {
                "id": "research",
                "type": "parallel",
                "tasks": [
                    {"id": "archive", "prompt": "Search the archive."},
                    {"id": "press", "prompt": "Read the press."},
                ],
                "on_success": {"next": "article"},
            },
            {**_ARTICLE, "on_success": {"next": "translate"}},
            {
                "id": "translate",
                "type": "collection",
                "items": _LANGUAGES,
                "max_workers": 5,
                "task": {"id": "to-{{ .item.name | lower }}", "prompt": "In {{ .item.name }}."},
                "on_success": {"next": "review"},
            },
            {
                "id": "review",
                "type": "wait",
                "wait_for": "review",
                "form": {
                    "type": "object",
                    "title": "Publish this article?",
                    "description": "Its sources are marked <archive> and <press>.\nIt cannot be withdrawn.",
                    "required": ["publish"],
                    "properties": {
                        "publish": {"type": "boolean", "description": "Whether the article is published."},
                        "remark": {"type": "string", "description": "A note for the author."},
                    },
                },
                "on_success": {"next": "decide"},
            },
            {
                "id": "decide",
                "type": "router",
                "condition": "tasks.review.output.payload.publish",
                "routes": {"true": "publish", "false": "archive-it"},
            },
            {"id": "publish", "with": {"published": "{{ .tasks.article.output.text }}"}},
            {"id": "archive-it", "with": {"published": ""}},
        ],
        "output": {"published": "{{ .tasks.publish.output.published | default `nothing` }}"},
    },
    "refunds": {
        "name": "Refunds",
        "description": "An agent that may refund money, if a person approves the call.",
        "tasks": [{"id": "handle", "prompt": "Handle the claim of order 17.", "tools": ["refund"]}],
        "output": {"reply": "{{ .tasks.handle.output.text }}"},
    },
    "concierge": {
        "name": "Concierge",
        "description": "Answers guests, and remembers what they said.",
        "config": {"input": _GUEST},
        "tasks": [{"id": "reply", "prompt": "{{ .input.message }}", "memory": ["guests"]}],
        "output": {"reply": "{{ .tasks.reply.output.text }}"},
    },
    "claims": {
        "name": "Claims",
        "description": "Talks about refunds, and asks a person before it refunds money.",
        "config": {"input": _GUEST},
        "tasks": [
            {"id": "settle", "prompt": "{{ .input.message }}", "memory": ["guests"], "tools": ["refund"]},
        ],
        "output": {"reply": "{{ .tasks.settle.output.text }}"},
    },
    "weather": {
        "name": "Weather report",
        "description": "Fails for cities without a station.",
        "config": {
            "input": {
                "type": "object",
                "required": ["city"],
                "properties": {
                    "city": {"type": "string", "enum": ["Oslo", "Atlantis"], "description": "Name of the city."}
                },
            }
        },
        "tasks": [
            {"id": "locate", "with": {"place": "{{ .input.city }}"}},
            {
                "id": "measure",
                "with": {"station": '{{ if eq .input.city "Atlantis" }}{{ fail "no station in Atlantis" }}{{ end }}42'},
            },
            {"id": "report", "prompt": "Describe the weather at station {{ .tasks.measure.output.station }}."},
        ],
        "output": {"report": "{{ .tasks.report.output.text }}"},
    },
    "order": {
        "name": "Order",
        "description": "Waits for the signal of a payment.",
        "tasks": [{"id": "payment", "type": "wait", "wait_for": "paid"}],
        "output": {"paid": "{{ .tasks.payment.output.payload.amount }}"},
    },
    "digest": {
        "name": "Daily digest",
        "description": "Runs on weekdays.",
        "schedule": {"cron": "30 7 * * 1-5", "timezone": "Europe/Berlin"},
        "tasks": [{"id": "collect", "with": {"at": "{{ .trigger.type }}"}}],
    },
    "report": {
        "name": "Report",
        "description": "Asks a person when its budget is spent.",
        "budget": {"max_requests": 1},
        "tasks": [{"id": "draft", "prompt": "Write about lakes."}, {"id": "check", "prompt": "Check it."}],
        "output": {"report": "{{ .tasks.check.output.text }}"},
    },
    "parcel": {
        "name": "Parcel",
        "description": "Starts when the shop reports a parcel.",
        "triggers": [{"type": "webhook", "webhook": WEBHOOK}],
        "tasks": [{"id": "book", "with": {"parcel": "{{ .input.parcel }}"}}],
    },
    "large": {
        "name": "Many tasks",
        "description": "One task for each item.",
        "config": {
            "input": {"type": "object", "properties": {"items": {"type": "array", "default": [1, 2, 3], "items": {}}}}
        },
        "tasks": [
            {
                "id": "each",
                "type": "collection",
                "items": "{{ .input.items }}",
                "max_workers": 4,
                "task": {"id": "item-{{ .index }}", "with": {"item": "{{ .item }}"}},
            }
        ],
    },
}
RESPONSES: dict[str, Any] = {
    "greet": {"text": "Hello! It is good to see you.", "usage": {"input_tokens": 18, "output_tokens": 9}},
    "write": {"text": STORY, "delay_ms": 15000, "usage": {"input_tokens": 24, "output_tokens": 71}},
    "archive": {"text": "Two earlier articles.", "usage": {"input_tokens": 410, "output_tokens": 120}, "delay_ms": 300},
    "press": {"text": "Nothing new.", "usage": {"input_tokens": 380, "output_tokens": 66}, "delay_ms": 500},
    "article": {
        "text": "The bridge opens on Friday, a month early.",
        "usage": {"input_tokens": 690, "output_tokens": 180},
    },
    **{
        f"to-{language['name'].lower()}": {
            "text": f"({language['name']})",
            "usage": {"input_tokens": 90, "output_tokens": 84},
        }
        for language in _LANGUAGES
    },
    "draft": {"text": "Lakes are wide.", "usage": {"input_tokens": 40, "output_tokens": 12}},
    "check": {"text": "Lakes are wide and deep.", "usage": {"input_tokens": 62, "output_tokens": 16}},
    "handle": [
        {
            "tool_calls": [{"tool": "refund", "arguments": {"order": "17", "amount": 400}}],
            "usage": {"input_tokens": 210, "output_tokens": 31},
        },
        {"text": "The refund is on its way.", "usage": {"input_tokens": 262, "output_tokens": 9}},
    ],
    "reply": {"text": GREETING, "delay_ms": 3000, "usage": {"input_tokens": 64, "output_tokens": 24}},
    "settle": [
        {
            "tool_calls": [{"tool": "refund", "arguments": {"order": "17", "amount": 400}}],
            "usage": {"input_tokens": 240, "output_tokens": 31},
        },
        {"text": "The refund is on its way.", "usage": {"input_tokens": 290, "output_tokens": 9}},
    ],
    "report": {"text": "Mild, with light rain.", "usage": {"input_tokens": 30, "output_tokens": 8}},
}
PRICE = {"input": 3, "output": 15}
_TOOL = '''def refund(order: str, amount: float) -> str:
    """Refund a part of an order."""
    return f"refunded {amount} for order {order}"
'''
_TOOL_CONFIG = {"resource": "tool", "id": "refund", "run": "./shop.py:refund", "effect": "once", "approve": "ask"}


def write_showcase(folder: Path, database: dict[str, Any] | None = None, **sections: Any) -> Path:
    """Write the project into `folder` and return it."""
    project = {
        "name": "harbor-news",
        "database": database or {"driver": "sqlite", "path": "./data/compozy.db"},
        "llm": {"providers": [{"id": "script", "type": "scripted", "responses": RESPONSES, "price": PRICE}]},
        "memories": [{"id": "guests", "default_key_template": "guest:{{ .workflow.input.guest }}"}],
        **sections,
    }
    files = {"compozy.yaml": project, "tools/refund.yaml": _TOOL_CONFIG}
    files |= {f"workflows/{name}.yaml": {"id": name, **workflow} for name, workflow in WORKFLOWS.items()}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    (folder / "tools/shop.py").write_text(_TOOL, encoding="utf-8")
    return folder
