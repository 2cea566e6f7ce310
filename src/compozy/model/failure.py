"""The meaning of provider failures: whether and when to retry, and the message for the user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
    UserError,
)

from compozy.config.timespan import format_duration
from compozy.errors import ModelError
from compozy.model.fallback import FailureKind
from compozy.model.http import AnswerTooLargeError, NotAModelServerError, mask_secrets, safe_url
from compozy.model.provider import ModelSpec
from compozy.model.registry import PROVIDERS
from compozy.model.retry import is_retried, read_retry_after_s

_MESSAGES = ("message", "msg", "status_msg", "error_msg", "error_message")
MAX_EXCERPT = 300
"""Characters of a provider's answer that an error shows."""
UNKNOWN_STATUS = 500
"""The status of an error that a server sends with status 200 and without a code."""
# 402: the account has no credit.
_RATE_LIMITS = frozenset({402, 429})
_TIMEOUTS = frozenset({408, 504})


class ErrorInAnswer(ModelHTTPError):
    """A server said 200 and sent an error; `status_code` is what the error says, or `UNKNOWN_STATUS`."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One failed request.

    Attributes:
        words: what happened, following `model 'x' of provider 'y' `.
        hint: what to do.
        kind: why another model may be asked instead, None if it may not.
        retried: whether the same request may succeed later.
        retry_after_s: how long the provider asks to wait, None when it does not say.
    """

    words: str
    hint: str = ""
    kind: FailureKind | None = None
    status: int | None = None
    body: str = ""
    retried: bool = False
    retry_after_s: float | None = None


def classify(error: Exception, spec: ModelSpec) -> Failure:
    """Return what `error`, raised by a request to the model of `spec`, means."""
    if isinstance(error, ModelHTTPError):
        return _http_failure(error, spec)
    if isinstance(error, (TimeoutError, ModelTimeoutError)):
        return Failure(
            words=f"did not answer within {_duration(spec.config.timeout)}",
            hint=f"raise `timeout` of provider {spec.config.id!r}",
            kind="timeout",
            retried=True,
        )
    causes = list(_causes(error))
    if any(isinstance(cause, AnswerTooLargeError) for cause in causes):
        hint = "check `base_url`: is it the address of a model server?"
        return Failure(words=f"sent too much: {_cut(causes[-1], spec)}", hint=hint)
    other = next((cause for cause in causes if isinstance(cause, NotAModelServerError)), None)
    if other is not None:
        return Failure(words=mask(str(other), spec), hint=_address_hint(other, spec))
    if isinstance(error, ModelConnectionError):
        return _connection_failure(error, causes[-1], spec)
    if isinstance(error, UserError):
        return Failure(words=f"cannot be asked this way: {_cut(error, spec)}")
    if isinstance(error, (ModelAPIError, AgentRunError)):
        words = f"answered something that is not a model answer: {mask(error.message, spec)[:MAX_EXCERPT]}"
        return Failure(words=words, hint=_address_hint(None, spec))
    return Failure(words=f"answered in a shape that is not understood ({_cause(error, spec)})")


def _cause(error: Exception, spec: ModelSpec) -> str:
    if isinstance(error, RecursionError):
        return "its JSON is nested too deeply"
    if "integer string conversion" in str(error):
        return "its JSON holds a number with thousands of digits"
    return f"{type(error).__name__}: {_cut(error, spec)}"


def to_model_error(failure: Failure, spec: ModelSpec, *, attempts: int) -> ModelError:
    """Return the error that the run fails with after `attempts` tries."""
    tries = f" (tried {attempts} times)" if attempts > 1 else ""
    details: dict[str, Any] = {"provider": spec.config.id, "model": spec.model_name, "attempts": attempts}
    if failure.kind is not None:
        details["failure"] = failure.kind
    if failure.status is not None:
        details["status"] = failure.status
    if failure.body:
        details["body"] = failure.body
    words = f"model {spec.model_name!r} of provider {spec.config.id!r} {failure.words}{tries}"
    return ModelError(words, hint=failure.hint, details=details)


def mask(text: str, spec: ModelSpec) -> str:
    """Return `text` without the provider's key, or anything else that looks like one."""
    return mask_secrets(text, spec.api_key)


def _http_failure(error: ModelHTTPError, spec: ModelSpec) -> Failure:
    status = error.status_code
    body = _excerpt(error.body, spec)
    exhausted = isinstance(error, ModelQuotaExceededError)
    too_long = isinstance(error, ModelContextWindowExceededError)
    return Failure(
        words=_answered(error) + (f": {body}" if body else ""),
        hint=_exhausted_hint(spec) if exhausted else _too_long_hint() if too_long else _status_hint(status, spec),
        kind="rate_limit" if exhausted else _kind_of(status),
        status=status,
        body=body,
        retried=not exhausted and not too_long and is_retried(status),
        retry_after_s=_retry_after_s(error) if is_retried(status) else None,
    )


def _answered(error: ModelHTTPError) -> str:
    status = f"{error.status_code} {_phrase(error.status_code)}".rstrip()
    if not isinstance(error, ErrorInAnswer):
        return f"answered {status}"
    # The server did not say 500: it sent an error without a code.
    return "answered 200 with the error" + ("" if error.status_code == UNKNOWN_STATUS else f" {status}")


def _connection_failure(error: ModelConnectionError, root: BaseException, spec: ModelSpec) -> Failure:
    cause = _cut(root, spec) or type(root).__name__
    words = f"broke off its answer: {cause}" if error.phase == "read" else f"cannot be reached: {cause}"
    return Failure(words=words, hint=_server_hint(spec), kind="server_error", retried=True)


def _kind_of(status: int) -> FailureKind | None:
    if status in _TIMEOUTS:
        return "timeout"
    if status in _RATE_LIMITS:
        return "rate_limit"
    return "server_error" if status >= 500 else None


def _duration(seconds: float) -> str:
    return format_duration(seconds) if seconds >= 1 else f"{seconds * 1000:g}ms"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what caused it, the root last."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__


def _status_hint(status: int, spec: ModelSpec) -> str:
    if status == 401:
        return _key_hint(spec)
    if status == 403:
        return f"the key of provider {spec.config.id!r} may not use model {spec.model_name!r}"
    if status == 404:
        return f"check `model` ({spec.model_name!r}) and `base_url` of provider {spec.config.id!r}"
    if status == 429:
        return f"lower `requests_per_minute` or `max_concurrent` of provider {spec.config.id!r}, or wait"
    return "the provider has trouble; run again later" if status >= 500 else ""


def _key_hint(spec: ModelSpec) -> str:
    usual = PROVIDERS[spec.config.type].key_variable
    where = f"`api_key` of provider {spec.config.id!r} in compozy.yaml" + (f", usually ${{{usual}}}" if usual else "")
    return f"check {where}" if spec.api_key else f"the server wants a key: add {where}"


def _server_hint(spec: ModelSpec) -> str:
    return f"is the server running? check `base_url` ({safe_url(spec.base_url)})" if spec.base_url else ""


def _address_hint(other: NotAModelServerError | None, spec: ModelSpec) -> str:
    """Return how to mend `base_url`: for a redirect, the address that it leads to, without the end that we added."""
    where = f"`base_url` of provider {spec.config.id!r}"
    if other is None or not other.location.startswith(("http://", "https://")):
        known = f" ({safe_url(spec.base_url)})" if spec.base_url else ""
        return f"check {where}{known}: is it the address of the API, usually one that ends in /v1?"
    return f"set {where} to {other.location.removesuffix('/chat/completions').removesuffix('/messages')}"


def _retry_after_s(error: ModelHTTPError) -> float | None:
    told = read_retry_after_s(error.headers)
    return error.retry_after if told is None else told


def _exhausted_hint(spec: ModelSpec) -> str:
    return f"the account of provider {spec.config.id!r} has no credit left; waiting does not help"


def _too_long_hint() -> str:
    return "the prompt is longer than the model's context: shorten it or take a larger model"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _excerpt(body: object, spec: ModelSpec) -> str:
    """Return what the body of an error says, in one masked line."""
    told = _message_in(body)
    text = told if isinstance(told, str) else "" if told is None else json.dumps(told, ensure_ascii=False, default=str)
    return mask(" ".join(text.split()), spec)[:MAX_EXCERPT]


def _message_in(body: object) -> object:
    items = cast("list[object]", body) if isinstance(body, list) else []
    if len(items) == 1:
        return _message_in(items[0])
    if not isinstance(body, dict):
        return cast("object", body)
    fields = cast("dict[str, object]", body)
    if "error" in fields:
        return _message_in(fields["error"])
    return next((fields[name] for name in _MESSAGES if fields.get(name)), fields)


def _cut(error: BaseException, spec: ModelSpec) -> str:
    return mask(" ".join(str(error).split()), spec)[:MAX_EXCERPT]
