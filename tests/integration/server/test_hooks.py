"""Webhooks: signed requests of other services start runs, one per delivery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from compozy.server.gate import GuardSettings
from tests.integration.server.conftest import API, DRIVERS, check_problem, count_runs
from tests.integration.server.hook_projects import (
    GITHUB,
    ORDERS,
    PAID,
    PAYMENTS,
    SECRET,
    SLACK,
    Sender,
    hooked,
    open_sender,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "a-key-of-the-server"
ISSUE = {"action": "opened", "issue": {"number": 7, "title": "It {{ .payload }} breaks"}}
OPEN: dict[str, Any] = {"slug": "open", "verify": {"strategy": "none"}, "events": [{"name": "any"}]}
STRICT: dict[str, Any] = {**OPEN, "slug": "strict", "events": [{"name": "any", "input": {"n": "{{ .payload.n }}"}}]}
INPUT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def sender(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Sender]:
    """Serve one project, with an API key, for all tests of this module."""
    workflows = {
        "triage": hooked(GITHUB),
        "order": hooked(ORDERS),
        "open": hooked(OPEN),
        "strict": hooked(STRICT, input=INPUT),
        "payment": {**hooked(PAYMENTS), **PAID},
        "message": hooked(SLACK),
        "slow": hooked({**OPEN, "slug": "slow", "rate": 2}),
    }
    guard = GuardSettings(host="127.0.0.1", api_key=KEY)
    async with open_sender(request.param, tmp_path_factory.mktemp("hooks"), workflows, guard=guard) as opened:
        yield opened


async def test_an_event_starts_a_run(sender: Sender) -> None:
    answer = await sender.post("repository", ISSUE, delivery="72d3162e", X_GitHub_Event="issues")
    assert answer.status_code == 202, answer.text
    document = answer.json()
    assert document["status"] == "accepted"
    assert document["event"] == "issue.opened"
    assert document["execution_id"].startswith("hook-repository-")
    run = await sender.service.get(document["execution_id"])
    assert run["trigger"] == {"type": "webhook", "id": "repository", "by": None}
    # The payload is data: template syntax in it stays text, and a number stays a number.
    output = await sender.output(document["execution_id"])
    assert output == {"all": {"title": "It {{ .payload }} breaks", "number": 7}}


async def test_a_repeated_delivery_is_answered_with_the_same_run(sender: Sender) -> None:
    before = count_runs(sender.service)
    first = await sender.post("orders", {"id": "A-1", "n": 1})
    again = await sender.post("orders", {"id": "A-1", "n": 2})
    other = await sender.post("orders", {"id": "A-2"})
    assert [first.status_code, again.status_code, other.status_code] == [202, 200, 202]
    assert again.json() == {"status": "duplicate", "execution_id": first.json()["execution_id"], "event": "order"}
    assert count_runs(sender.service) == before + 2


async def test_concurrent_duplicates_start_one_run(sender: Sender) -> None:
    before = count_runs(sender.service)
    answers = await asyncio.gather(*(sender.post("orders", {"id": "many"}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["execution_id"] for answer in answers}) == 1
    assert count_runs(sender.service) == before + 1


async def test_a_request_that_is_not_an_event_starts_nothing(sender: Sender) -> None:
    before = count_runs(sender.service)
    answer = await sender.post("repository", {"zen": "Keep it"}, X_GitHub_Event="ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "no_matching_event"})
    assert count_runs(sender.service) == before


async def test_a_form_of_github_is_its_payload(sender: Sender) -> None:
    form = httpx.QueryParams({"payload": '{"ref": "refs/heads/main"}'})
    headers = {"content_type": "application/x-www-form-urlencoded", "X_GitHub_Event": "push"}
    answer = await sender.post("repository", str(form).encode(), **headers)
    assert answer.status_code == 202, answer.text
    assert await sender.output(answer.json()["execution_id"]) == {"all": {"ref": "refs/heads/main"}}


async def test_wrong_signatures_are_refused(sender: Sender) -> None:
    before = count_runs(sender.service)
    body = b'{"id": "B-1"}'
    signed = sender.sign("orders", body)
    for content, headers in (
        (body, {}),
        (body, {"X-Signature": ""}),
        (body, {"X-Signature": signed["X-Signature"][:-4] + "AAA="}),
        (body + b" ", signed),
        (b'{"id":"B-1"}', signed),
        (body, {"X-Signature": SECRET}),
    ):
        answer = await sender.send("orders", content, headers)
        check_problem(answer, 401)
        assert SECRET not in answer.text
    assert count_runs(sender.service) == before


async def test_invalid_requests_are_refused(sender: Sender) -> None:
    check_problem(await sender.send("nothing", b"{}", {}), 404)
    with_key = {"authorization": f"Bearer {KEY}"}
    check_problem(await sender.client.get(f"{API}/hooks/orders", headers=with_key), 405)
    check_problem(await sender.post("orders", b"x" * (1024 * 1024 + 1)), 413)
    check_problem(await sender.post("orders", b"{"), 400)
    check_problem(await sender.post("orders", b"<a/>", content_type="text/xml"), 415)
    check_problem(await sender.post("orders", b"{}", content_encoding="gzip"), 415)
    wrong = await sender.post(
        "repository", {"action": "opened", "issue": {"number": "7", "title": "x"}}, X_GitHub_Event="issues"
    )
    check_problem(wrong, 422)
    missing = await sender.post("repository", {"action": "opened", "issue": {"number": 7}}, X_GitHub_Event="issues")
    check_problem(missing, 422)
    assert "title" in missing.json()["detail"]
    check_problem(await sender.post("strict", {"n": "x"}), 422)


async def test_an_address_that_sends_too_much_must_wait(sender: Sender) -> None:
    answers = [await sender.post("slow", {}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    check_problem(answers[-1], 429)
    # One of two requests per minute is available again after half a minute.
    assert 0 < int(answers[-1].headers["retry-after"]) <= 30


async def test_an_unverified_webhook_accepts_only_local_requests(sender: Sender) -> None:
    accepted = await sender.post("open", {"a": 1})
    assert accepted.status_code == 202, accepted.text
    check_problem(await sender.post("open", {}, host="example.com"), 403)
    check_problem(await sender.post("open", {}, origin="http://evil.example"), 403)


async def test_only_the_path_of_a_webhook_needs_no_key(sender: Sender) -> None:
    # A verified sender may use a tunnel, whose host name is not that of this machine, and has no key.
    assert (await sender.post("orders", {"id": "C-1"}, host="hooks.example.com")).status_code == 202
    for path in ("/hooks", "/hooks/", "/hooks/orders/deliveries", "/hooks/orders%2Fdeliveries", "/workflows"):
        assert (await sender.client.get(f"{API}{path}")).status_code == 401, path


async def test_a_stopping_server_accepts_nothing(sender: Sender) -> None:
    sender.service.stopping.set()
    try:
        answer = await sender.post("orders", {"id": "D-1"})
    finally:
        sender.service.stopping.clear()
    check_problem(answer, 503)
    assert answer.headers["retry-after"]


async def test_an_event_wakes_the_run_that_waits_for_it(sender: Sender) -> None:
    early = await sender.post("payments", {"id": "evt_1", "type": "paid", "of": 7, "amount": 12})
    check_problem(early, 409)
    created = await sender.post("payments", {"id": "evt_2", "type": "created", "of": 7})
    assert (created.status_code, created.json()["execution_id"]) == (202, "payment-7"), created.text
    again = await sender.post("payments", {"id": "evt_3", "type": "created", "of": 7})
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    paid = {"id": "evt_4", "type": "paid", "of": 7, "amount": 12}
    # The signal is kept until a task waits for it; both requests are answered before the run can end.
    answers = await asyncio.gather(sender.post("payments", paid), sender.post("orders", {"id": "meanwhile"}))
    assert answers[0].json() == {"status": "signaled", "execution_id": "payment-7", "event": "paid"}
    assert await sender.output("payment-7") == {"amount": 12}
    check_problem(await sender.post("payments", {**paid, "id": "evt_5"}), 409)


async def test_the_url_of_a_slack_app_is_confirmed(sender: Sender) -> None:
    asked = {"type": "url_verification", "challenge": "3eZbrw1aB", "token": "x"}
    answer = await sender.post("slack", asked)
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1aB"})
    check_problem(await sender.send("slack", b'{"type": "url_verification", "challenge": "x"}', {}), 401)
    event = {"type": "event_callback", "event_id": "Ev1"}
    statuses = [(await sender.post("slack", event)).status_code for _ in range(2)]
    assert statuses == [202, 200]


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"id": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
        ("application/json", b'{"id": "a", "id": "b"}'),
        ("application/json", b'{"id": NaN}'),
        ("application/json", b'{"id": ' + b"9" * 5000 + b"}"),
        ("application/json", b'{"id": "\xff\xfe"}'),
        ("application/json", b"[" + b"1," * 300_000 + b"1]"),
        ("application/json; charset=utf-16", '{"id": "a"}'.encode("utf-16")),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(2000))),
        (FORM, b"id=%ff%fe"),
        (FORM, b"payload=%7B"),
    ],
)
async def test_bodies_of_attackers_start_nothing(sender: Sender, content_type: str, body: bytes) -> None:
    """The sender knows the secret, and sends bodies that are costly or ambiguous."""
    before = count_runs(sender.service)
    check_problem(await sender.post("orders", body, content_type=content_type), 400, 413, 415, 422)
    assert count_runs(sender.service) == before


@pytest.mark.parametrize("text", ["{{ .payload }}", "\u0000", "../../etc/passwd", "'; DROP TABLE signals; --"])
async def test_texts_of_a_payload_are_data(sender: Sender, text: str) -> None:
    answer = await sender.post("orders", {"id": f"text {text}"})
    assert answer.status_code == 202, answer.text
    execution_id = answer.json()["execution_id"]
    assert set(execution_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert await sender.output(execution_id) == {"all": {"id": f"text {text}"}}


async def test_half_a_character_is_accepted(sender: Sender) -> None:
    answer = await sender.post("orders", b'{"id": "half \\ud800"}')
    assert answer.status_code == 202, answer.text
    assert await sender.output(answer.json()["execution_id"]) == {"all": {"id": "half ?"}}
