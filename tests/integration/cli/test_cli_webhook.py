"""`compozy webhook`: the webhooks in the files, and signed requests."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from compozy.database.webhook_deliveries import DeliveryFilter, list_deliveries
from compozy.project.load import load_project
from compozy.server.hooks.deliveries import DeliveryRecord, Result
from compozy.server.hooks.hook import find_hook
from compozy.storage import close_storage, open_storage
from compozy.trigger.signatures import Received
from tests.conftest import RunCli
from tests.harness.projects import write_project
from tests.integration.server.hook_projects import GITHUB, ORDERS, SECRET, hooked


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two webhooks."""
    return write_project(tmp_path, {"triage": hooked(GITHUB), "order": hooked(ORDERS)})


def test_list(cli: RunCli, project: Path) -> None:
    assert cli("webhook", "list").out.splitlines() == [
        "SLUG        WORKFLOW  STRATEGY  EVENTS",
        "orders      order     hmac      order",
        "repository  triage    github    issue.opened, push",
    ]
    first = json.loads(cli("webhook", "list", "--format", "json").out)["webhooks"][0]
    assert first["path"] == "/api/v0/hooks/orders"
    assert first["location"].startswith("workflows/order.yaml:1:")


def test_sign_prints_a_command(cli: RunCli, project: Path) -> None:
    arguments = ("--payload", '{"text": "it\'s"}', "--header", "X-GitHub-Event: push", "--delivery", "d1")
    done = cli("webhook", "sign", "repository", *arguments)
    assert done.status == 0, done.err
    words = shlex.split(done.out.replace("\\\n", ""))
    assert words[:2] == ["curl", "-s"]
    assert words[2].endswith("/api/v0/hooks/repository")
    assert "X-GitHub-Delivery: d1" in words
    assert "X-GitHub-Event: push" in words
    assert words[-2:] == ["--data-raw", '{"text": "it\'s"}']
    assert SECRET not in done.out
    document = json.loads(cli("webhook", "sign", "repository", *arguments, "--format", "json").out)
    signature = document["headers"]["X-Hub-Signature-256"]
    assert f"X-Hub-Signature-256: {signature}" in words


def test_sign_refuses(cli: RunCli, project: Path) -> None:
    unknown = cli("webhook", "sign", "order")
    assert (unknown.status, unknown.err.splitlines()) == (
        2,
        ["Error: no webhook 'order' in project 'demo'", "  did you mean 'orders'?"],
    )
    header = cli("webhook", "sign", "orders", "--header", "a b")
    assert (header.status, header.err) == (2, "Error: --header: expected NAME:VALUE, got 'a b'\n")
    nobody = cli("webhook", "sign", "orders", "--send")
    assert (nobody.status, nobody.err.splitlines()[0]) == (4, "Error: no server of this project is running")


def test_a_project_without_webhooks(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert cli("webhook", "list").err == "The project has no webhooks.\n"


def store_delivery(folder: Path) -> str:
    """Store a delivery as a server would, and return its ID."""
    loaded = load_project(None, cwd=folder, environ={})
    hook = find_hook(loaded, "orders")
    received = Received(headers={"content-type": "application/json", "x-other": "hidden"}, body=b'{"id": 7}', now_ms=0)
    record = DeliveryRecord(hook=hook, received=received, query={})
    database = open_storage(loaded, wait_for_lock_s=0.0)
    try:
        with database.write() as connection:
            record.store(connection, Result(outcome="refused", status=422, reason="it does not fit"))
            return list_deliveries(connection, DeliveryFilter(slug="orders", limit=1))[0].delivery_id
    finally:
        close_storage(database)


def test_deliveries_of_the_database(cli: RunCli, project: Path) -> None:
    assert cli("webhook", "deliveries", "orders").err == "No deliveries of webhook 'orders' are stored.\n"
    delivery_id = store_delivery(project)
    lines = cli("webhook", "deliveries", "orders").out.splitlines()
    assert lines[0].split() == ["DELIVERY", "RECEIVED", "OUTCOME", "EVENT", "EXECUTION"]
    assert lines[1].startswith(delivery_id)
    assert lines[1].endswith("refused  -      it does not fit")
    assert cli("webhook", "deliveries", "orders", "--outcome", "accepted").out == ""
    shown = cli("webhook", "delivery", "orders", delivery_id).out
    assert "  reason: it does not fit\n" in shown
    assert "  x-other: ********\n" in shown
    assert shown.endswith('\n{"id": 7}\n')
    document = json.loads(cli("webhook", "delivery", "orders", delivery_id, "--format", "json").out)
    assert (document["body"], document["body_size"]) == ('{"id": 7}', 9)
    wrong = cli("webhook", "deliveries", "orders", "--outcome", "lost")
    assert (wrong.status, wrong.err.splitlines()[0]) == (2, "Error: unknown outcome 'lost'")
    unknown = cli("webhook", "delivery", "orders", "nothing")
    assert (unknown.status, unknown.err.splitlines()[0]) == (
        2,
        "Error: delivery 'nothing' of webhook 'orders' not found",
    )
    alone = cli("webhook", "replay", "orders", delivery_id)
    assert (alone.status, alone.err.splitlines()[0]) == (4, "Error: no server of this project is running")
