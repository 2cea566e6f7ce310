"""Deliveries of webhooks to real servers: concurrent ones, and a server that is killed before it answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from compozy.clock import now_ms
from compozy.trigger.kinds.webhook import WebhookVerification
from compozy.trigger.signatures import Unsigned, scheme_of
from tests.harness.forks import shorten_leases
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import write_project
from tests.harness.servers import API, Answer, Running, start_server
from tests.harness.stores import Store, open_store
from tests.integration.server.hook_projects import ORDERS, hooked

pytestmark = pytest.mark.usefixtures("port_of_file")
LEASE_S = 2.0
DELIVERIES = 50


def die_before_the_answer() -> None:
    """Kill this process when the run of a delivery is stored, just before its answer is sent."""
    shorten_leases(LEASE_S)
    from compozy.server.hooks import endpoint

    class Death:
        def __init__(self, *_: object, **__: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(endpoint, "JsonResponse", Death)  # noqa: B010 - the name that the endpoint uses


def deliver(server: Running, body: bytes) -> Answer:
    """Send a signed delivery."""
    verification = WebhookVerification.model_validate(ORDERS["verify"])
    request = Unsigned(body=body, delivery_id="unused", now_ms=now_ms())
    signed = scheme_of(verification).sign(verification, str(verification.secret), request)
    headers = {name.replace("-", "_"): value for name, value in signed.items()}
    return server.ask("POST", f"{API}/hooks/orders", body, content_type="application/json", **headers)


def until_one_success(server: Running, store: Store) -> None:
    """Wait until the one run of all deliveries has ended."""
    server.command.until(lambda: store.query("SELECT status FROM workflow_states") == [("SUCCESS",)])


def test_duplicates_on_two_servers_start_one_run(commands: Commands, tmp_path: Path) -> None:
    with open_store("postgres", tmp_path) as store:
        write_project(store.home, {"order": hooked(ORDERS)}, database=store.section)
        servers = [start_server(commands, store.home) for _ in range(2)]
        body = b'{"id": "one-delivery"}'
        with ThreadPoolExecutor(DELIVERIES) as pool:
            answers = list(pool.map(deliver, servers * (DELIVERIES // 2), [body] * DELIVERIES))
        assert sorted(answer.status for answer in answers) == [200] * (DELIVERIES - 1) + [202]
        assert len({answer.document["execution_id"] for answer in answers}) == 1
        until_one_success(servers[0], store)


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_killed_between_commit_and_answer(driver: str, commands: Commands, tmp_path: Path) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(store.home, {"order": hooked(ORDERS)}, database=store.section)
        victim = start_server(commands, store.home, conditions=Conditions(before=die_before_the_answer))
        body = json.dumps({"id": "again"}).encode()
        with pytest.raises((http.client.HTTPException, OSError)):
            deliver(victim, body)
        assert victim.command.wait().status == -signal.SIGKILL
        assert store.query("SELECT count(*) FROM workflow_states") == [(1,)]
        again = start_server(commands, store.home, conditions=Conditions(before=partial(shorten_leases, LEASE_S)))
        answer = deliver(again, body)
        assert (answer.status, answer.document["status"]) == (200, "duplicate")
        until_one_success(again, store)
