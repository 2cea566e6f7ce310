"""Clients that start runs over HTTP, repeat each request until it is answered, and wait for each run's end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from compozy.client import API, Client, send_request
from compozy.errors import CompozyError, ServerError
from compozy.ids import random_below
from compozy.verify.scratch_project import WORKFLOW

CLIENTS = 8
_AGAIN_S = 0.1
_POLL_S = 0.1
_ACCEPTED = 202
_OPEN = frozenset({"PENDING", "RUNNING", "WAITING", "PAUSED"})
_ASK_S = 20.0


class Load:
    """Starts runs until it is stopped.

    Args:
        urls: returns the servers that are ready.
    """

    def __init__(self, urls: Callable[[], Sequence[str]]) -> None:
        self._urls = urls
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._sent: set[str] = set()
        self._accepted: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"compozy-client-{number}", daemon=True)
            for number in range(CLIENTS)
        ]

    def start(self) -> None:
        """Start the clients."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Start no more runs; requests that are not answered yet are given up."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def sent(self) -> frozenset[str]:
        """Return the runs that were asked for."""
        with self._lock:
            return frozenset(self._sent)

    def accepted(self) -> dict[str, str]:
        """Return the runs whose acceptance was confirmed, and their execution IDs."""
        with self._lock:
            return dict(self._accepted)

    def _work(self, client: int) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            run = f"c{client}r{number}"
            with self._lock:
                self._sent.add(run)
            execution_id = self._start_run(run)
            if execution_id is None:
                return
            with self._lock:
                self._accepted[run] = execution_id
            self._wait_for(execution_id)

    def _start_run(self, run: str) -> str | None:
        """Ask any server until one accepts the run; None if the load was stopped."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": run}
        body = json.dumps({"input": {"run": run}}).encode()
        while not self._stopping.is_set():
            url = self._any_url()
            if url is not None:
                try:
                    status, answer = send_request(url, f"{API}/workflows/{WORKFLOW}/executions", headers, body)
                except ServerError:
                    status, answer = 0, {}
                if status == _ACCEPTED:
                    return str(answer["execution_id"])
            time.sleep(_AGAIN_S)
        return None

    def _wait_for(self, execution_id: str) -> None:
        while not self._stopping.is_set():
            if self._status_of(execution_id) not in {None, *_OPEN}:
                return
            time.sleep(_POLL_S)

    def _status_of(self, execution_id: str) -> Any:
        url = self._any_url()
        if url is None:
            return None
        client = Client(url=url, timeout_s=_ASK_S)
        try:
            return client.get("executions", "workflows", execution_id, fields="summary")["status"]
        except CompozyError:
            return None
        finally:
            client.close()

    def _any_url(self) -> str | None:
        urls = self._urls()
        return urls[random_below(len(urls))] if urls else None
