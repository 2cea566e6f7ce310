"""The webhooks of a project, with the values of their secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from compozy.config.loopback import is_loopback
from compozy.config.nodes import YamlPath
from compozy.errors import NotFoundError, SourceLocation, ToolError, UsageError
from compozy.nearest import suggest
from compozy.project.loaded import LoadedProject, LoadedWorkflow
from compozy.tool.environment import fill_variables
from compozy.trigger.kinds.webhook import MIN_SECRET, WebhookConfig, WebhookEvent, WebhookTrigger
from compozy.trigger.signatures import scheme_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Hook:
    """A webhook of a workflow. `path` is where it is written in the file of the workflow."""

    workflow: LoadedWorkflow
    config: WebhookConfig
    path: YamlPath
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def location(self) -> SourceLocation:
        """The location of the slug."""
        return self.workflow.locate((*self.path, "slug"))

    def locator(self, event: WebhookEvent) -> Callable[[YamlPath], Callable[[int], SourceLocation]]:
        """Return a function that finds the texts of an event in the file."""
        return partial(self._text_locator, self.config.events.index(event))

    def _text_locator(self, event: int, path: YamlPath) -> Callable[[int], SourceLocation]:
        return self.workflow.text_locator((*self.path, "events", event, *path))


def hooks_of(project: LoadedProject) -> dict[str, Hook]:
    """Return the webhooks of a project by their slugs.

    Raises:
        UsageError: a secret is not set, or cannot be one.
    """
    return {
        config.slug: Hook(
            workflow=workflow, config=config, path=path, secrets=_secrets_of(project, workflow, config, path)
        )
        for workflow, config, path in webhooks_in(project)
    }


def find_hook(project: LoadedProject, slug: str) -> Hook:
    """Return one webhook of a project.

    Raises:
        NotFoundError: it does not exist.
        UsageError: its secret is not set, or cannot be one.
    """
    for workflow, config, path in webhooks_in(project):
        if config.slug == slug:
            return Hook(
                workflow=workflow, config=config, path=path, secrets=_secrets_of(project, workflow, config, path)
            )
    raise _no_webhook(project, slug)


def check_slug(project: LoadedProject, slug: str) -> None:
    """Refuse a slug that is not that of a webhook of the project.

    Raises:
        NotFoundError: the project has no such webhook.
    """
    if all(config.slug != slug for _, config, _ in webhooks_in(project)):
        raise _no_webhook(project, slug)


def _no_webhook(project: LoadedProject, slug: str) -> NotFoundError:
    slugs = [config.slug for _, config, _ in webhooks_in(project)]
    hint = suggest(slug, slugs) or f"this project has: {', '.join(slugs) or 'none'}"
    return NotFoundError(f"no webhook {slug!r:.64} in project {project.name!r}", hint=hint)


def webhooks_in(project: LoadedProject) -> Iterator[tuple[LoadedWorkflow, WebhookConfig, YamlPath]]:
    """Yield each webhook of a project with its workflow and its path in the file."""
    for workflow in project.workflows.values():
        for index, trigger in enumerate(workflow.config.triggers or ()):
            if isinstance(trigger, WebhookTrigger):
                yield workflow, trigger.webhook, ("triggers", index, "webhook")


def describe_webhooks(project: LoadedProject) -> list[dict[str, Any]]:
    """Return the webhooks of a project as JSON, without their secrets."""
    return [
        {
            "slug": config.slug,
            "path": f"/api/v0/hooks/{config.slug}",
            "workflow_id": workflow.config.id,
            "strategy": config.verify.strategy,
            "events": [event.name for event in config.events],
            "location": str(workflow.locate((*path, "slug"))),
        }
        for workflow, config, path in webhooks_in(project)
    ]


def check_project(project: LoadedProject) -> None:
    """Refuse to serve webhooks that anyone could use, or that no sender could.

    Raises:
        UsageError: a secret is not set or cannot be one, or other machines can reach a webhook without verification.
    """
    for slug, hook in hooks_of(project).items():
        verification = hook.config.verify
        is_open = verification.strategy == "none" and not verification.allow_unverified
        if is_open and not is_loopback(project.server.host):
            raise UsageError(
                f"{hook.location}: webhook {slug!r} verifies no sender, and server.host {project.server.host!r} lets "
                "other machines reach it",
                hint="choose another `verify.strategy`; or listen on 127.0.0.1, or set `verify.allow_unverified: true`",
            )


def _secrets_of(
    project: LoadedProject, workflow: LoadedWorkflow, config: WebhookConfig, path: YamlPath
) -> tuple[str, ...]:
    place = workflow.locate((*path, "verify", "secret"))
    who = f"webhook {config.slug!r}"
    secrets: list[str] = []
    for written in config.verify.secrets:
        try:
            secret = fill_variables(written, project.environ, who)
        except ToolError as error:
            raise UsageError(f"{place}: {error.message}", hint=error.hint) from error
        if len(secret) < MIN_SECRET:
            raise UsageError(
                f"{place}: the secret of {who} has {len(secret)} characters; at least {MIN_SECRET} are needed",
                hint="create a long random one and set it on both sides",
            )
        try:
            scheme_of(config.verify).check_secret(secret)
        except ValueError as error:
            raise UsageError(f"{place}: the secret of {who} cannot be used: {error}") from error
        secrets.append(secret)
    return tuple(secrets)
