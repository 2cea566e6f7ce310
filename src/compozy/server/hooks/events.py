"""The payload of a verified request, its event, the input of the run, and the ID of the delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs

from compozy.config.nodes import YamlPath
from compozy.errors import MediaTypeError, SchemaMismatchError, UsageError
from compozy.expression import evaluate_condition
from compozy.jsoninput import parse_json
from compozy.schema import apply_defaults, validate_value
from compozy.task.template_context import Locate, TemplateContext, render_text, render_value
from compozy.trigger.kinds.webhook import ROOTS, WebhookConfig, WebhookEvent
from compozy.trigger.signatures import scheme_of, secret_headers

MAX_ID = 1024
"""Characters of the ID of a delivery."""
_MAX_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"
_JSON = frozenset({"", "application/json", "text/json", "text/plain"})
# They hold secrets, and no run needs them.
_HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A verified request, as filters and templates read it."""

    payload: Any
    headers: Mapping[str, str]
    query: Mapping[str, str]

    def roots(self) -> dict[str, Any]:
        """Return its parts by name."""
        return {"payload": self.payload, "headers": dict(self.headers), "query": dict(self.query)}


def visible_headers(config: WebhookConfig, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without those that hold secrets."""
    hidden = _HIDDEN | secret_headers(config.verify)
    return {name: value for name, value in headers.items() if name not in hidden}


def parse_payload(content_type: str, body: bytes) -> Any:
    """Return the payload of a request: JSON, or the fields of a form.

    A form whose only field is `payload`, as GitHub and Slack send it, is the JSON in that field.

    Raises:
        MediaTypeError: the body is something else.
        UsageError: it is not what its media type says.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        if media_type == _FORM:
            return _parse_form(body)
        if media_type in _JSON or media_type.endswith("+json"):
            return parse_json(body) if body.strip() else {}
    except ValueError as error:
        raise UsageError(f"the body is not valid: {error}") from error
    raise MediaTypeError(
        f"a webhook accepts JSON and forms, not {media_type:.100}", hint="choose JSON as the format at the sender"
    )


def _parse_form(body: bytes) -> Any:
    text = body.decode("utf-8")
    fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    if list(fields) == ["payload"] and len(fields["payload"]) == 1:
        return parse_json(fields["payload"][0])
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def find_event(config: WebhookConfig, delivery: Delivery) -> WebhookEvent | None:
    """Return the first event whose filter is true, None if none is.

    Raises:
        ExpressionError: a filter cannot be evaluated with this request.
    """
    roots = delivery.roots()
    return next((event for event in config.events if evaluate_condition(event.filter, roots, name="filter")), None)


def challenge_of(config: WebhookConfig, delivery: Delivery) -> str | None:
    """Return the text that Slack asks an endpoint to repeat when its URL is entered, None if it asks for none."""
    is_check = config.verify.strategy == "slack" and _value_at("type", delivery) == "url_verification"
    return _value_at("challenge", delivery) if is_check else None


def text_of(text: str, key: YamlPath, delivery: Delivery, locate: Locate) -> str:
    """Return the text that a template of an event gives; `key` is where it stands in the event.

    Raises:
        TemplateError: it reads something that this request does not have.
    """
    return render_text(text, key, _context(delivery, locate))


def input_of(event: WebhookEvent, delivery: Delivery, locate: Locate) -> Any:
    """Return the input of the run: what the templates of the event give, or the payload.

    Raises:
        TemplateError: a template reads something that this request does not have.
        SchemaMismatchError: the input does not match the schema of the event.
    """
    value = delivery.payload
    if event.input is not None:
        value = render_value(event.input, ("input",), _context(delivery, locate))
    if event.json_schema is None:
        return value
    value = apply_defaults(event.json_schema, value)
    problems = validate_value(event.json_schema, value)
    if problems:
        lines = "".join(f"\n  {path or 'input'}: {message}" for path, message in problems)
        raise SchemaMismatchError(
            f"the input does not match the schema of event {event.name!r}:{lines}",
            hint="compare `input` and `schema` of the event with the payload",
            details={"problems": [{"path": path, "message": message} for path, message in problems]},
        )
    return value


def delivery_id(config: WebhookConfig, delivery: Delivery) -> str | None:
    """Return the ID by which a repeated delivery is recognized; None if the webhook recognizes none.

    Raises:
        UsageError: `dedupe.key` names something that the request does not have.
    """
    if not config.dedupe.enabled:
        return None
    found = None if config.dedupe.key is None else _value_at(config.dedupe.key, delivery)
    scheme = scheme_of(config.verify)
    found = found or delivery.headers.get(scheme.delivery)
    found = found or (_value_at(scheme.delivery_path, delivery) if scheme.delivery_path else None)
    for header in ("idempotency-key", "x-idempotency-key"):
        found = found or delivery.headers.get(header)
    if not found and config.dedupe.key is not None:
        raise UsageError(
            f"the request has no {config.dedupe.key!r}, which is the ID of a delivery",
            hint="correct `dedupe.key` of the webhook",
        )
    if found is not None and len(found) > MAX_ID:
        raise UsageError(f"the ID of a delivery has at most {MAX_ID} characters")
    return found or None


def _context(delivery: Delivery, locate: Locate) -> TemplateContext:
    return TemplateContext(workflow={}, project={}, input={}, extra=delivery.roots(), locate=locate)


def execution_id_of(slug: str, delivery: str) -> str:
    """Return the ID of the one run that a delivery can start: the database keeps it unique."""
    return f"hook-{slug}-{hashlib.sha256(delivery.encode(errors='surrogatepass')).hexdigest()[:32]}"


def _value_at(path: str, delivery: Delivery) -> str | None:
    root, *rest = path.split(".")
    steps = rest if root in ROOTS and rest else [root, *rest]
    value: Any = delivery.roots()[root] if root in ROOTS and rest else delivery.payload
    for step in steps:
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(step)]
        else:
            return None
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
