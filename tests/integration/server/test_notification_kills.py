"""SIGKILL around every step of a failed run and its notification: it is delivered, under one `webhook-id`."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import signal
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest

from tests.harness.forks import die_at_step, shorten_leases
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import write_project
from tests.harness.servers import API, Running, start_server
from tests.harness.stores import Store, open_store
from tests.harness.websites import Site, run_site

pytestmark = pytest.mark.usefixtures("port_of_file")
LEASE_S = 2.0
SECRET = "whsec_" + base64.b64encode(b"a secret of both sides").decode()
FAILS = {"tasks": [{"id": "read", "with": {"a": "{{ .input.missing }}"}}]}
# The end of the run with the start of its notification, the delivery, and the end of the notification.
STEPS = ("read.end", "deliver.0", "deliver.end")


@pytest.fixture
def site() -> Generator[Site]:
    with run_site() as running:
        yield running


def _die(step: str, when: str) -> None:
    shorten_leases(LEASE_S)
    die_at_step(step, 1, when)


def _start(server: Running) -> None:
    # The server may be killed before it answers; the ID makes the request repeatable.
    with contextlib.suppress(http.client.HTTPException, OSError):
        server.ask("POST", f"{API}/workflows/fails/executions", {"execution_id": "it"})


def _runs(store: Store) -> list[tuple[str, str]]:
    rows = store.query("SELECT workflow_exec_id, status FROM workflow_states ORDER BY 1")
    return [(str(run_id), str(status)) for run_id, status in rows]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_a_failure_is_notified_under_one_id(
    driver: str, step: str, when: str, commands: Commands, tmp_path: Path, site: Site
) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(
            store.home,
            {"fails": FAILS},
            database=store.section,
            on_failure={"webhook": site.url("/alerts", "127.0.0.1"), "secret": SECRET},
            runtime={"native_tools": {"private_hosts": ["127.0.0.1"]}},
        )
        victim = start_server(commands, store.home, conditions=Conditions(before=partial(_die, step, when)))
        _start(victim)
        assert victim.command.wait().status == -signal.SIGKILL
        again = start_server(commands, store.home, conditions=Conditions(before=partial(shorten_leases, LEASE_S)))
        _start(again)
        again.command.until(lambda: [status for _, status in _runs(store)] == ["FAILED", "SUCCESS"])
        (_, (notification, _)) = _runs(store)
    assert notification.startswith("notify-")
    assert {seen.headers["webhook-id"] for seen in site.seen} == {notification}
    assert {json.loads(seen.body)["data"]["execution_id"] for seen in site.seen} == {"it"}
    # Only a process that is killed between the delivery and its record delivers again.
    assert len(site.seen) == (2 if (step, when) == ("deliver.0", "before") else 1)
