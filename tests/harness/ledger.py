"""A model server that records its prompts outside of any database: the side effects of a run."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.harness.embeddings import embeddings_of

# Words in a prompt: its request is refused, or not answered while a client waits.
FAIL = "!fail"
HANG = "!hang"
TOOL_ROUNDS = 2
_HANG_S = 30.0


def serve_ledger(ledger: Path, port_file: Path, answer_after_s: float = 0.0) -> None:
    """Answer OpenAI chat requests on a free loopback port until killed. `ledger` gets one line per request.

    Prompts with `!fail` are refused, those with `!hang` are answered half a minute later. A model that is offered tools
    calls `look` three times and `pay` once in each of two answers, then says what `pay` gave. A model that can ask
    other agents asks `payer`, and says what it answered. Embeddings are answered, too, and are not in `ledger`.
    """
    writing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path.endswith("/embeddings"):
                self._answer(200, embeddings_of(body))
                return
            rounds = sum(message["role"] == "assistant" for message in body["messages"])
            leads = any(tool["function"]["name"] == "cp__call_agent" for tool in body.get("tools", ()))
            numbered = f"{'lead' if leads else 'request'} {rounds}"
            prompt = numbered if body.get("tools") else str(body["messages"][-1]["content"])
            with writing, ledger.open("a") as file:
                file.write(prompt.replace("\n", " ") + "\n")
            time.sleep(_HANG_S if HANG in prompt else answer_after_s)
            if leads:
                self._answer(200, _lead_completion(body, rounds))
            elif body.get("tools"):
                self._answer(200, _tool_completion(body, rounds))
            elif FAIL in prompt:
                self._answer(400, {"error": {"message": "refused", "type": "invalid_request_error"}})
            else:
                self._answer(200, _completion(str(body["model"]), f"answer to {prompt}"))

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            payload = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Print nothing on stderr."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that were killed."""

    server = Server(("127.0.0.1", 0), Handler)
    partial = port_file.with_suffix(".part")
    partial.write_text(str(server.server_port))
    os.replace(partial, port_file)
    server.serve_forever()


def _tool_completion(body: dict[str, Any], rounds: int) -> dict[str, Any]:
    if rounds == TOOL_ROUNDS:
        # In the order of the calls, `pay` is the last of each four.
        results = [str(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        return _completion(str(body["model"]), json.dumps(results[3::4]))
    calls = [("look", {"n": number}) for number in range(3)] + [("pay", {"amount": rounds})]
    return _calling(str(body["model"]), calls, rounds)


def _lead_completion(body: dict[str, Any], rounds: int) -> dict[str, Any]:
    if rounds == 0:
        call = ("cp__call_agent", {"agent_id": "payer", "prompt": "pay"})
        return _calling(str(body["model"]), [call], rounds)
    result: dict[str, Any] = json.loads(body["messages"][-1]["content"])
    return _completion(str(body["model"]), str(result["response"]))


def _calling(model: str, calls: list[tuple[str, dict[str, Any]]], rounds: int) -> dict[str, Any]:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"{rounds}-{number}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for number, (name, arguments) in enumerate(calls)
        ],
    }
    return _completion(model, "", message=message, reason="tool_calls")


def _completion(
    model: str, text: str, *, message: dict[str, Any] | None = None, reason: str = "stop"
) -> dict[str, Any]:
    said = message or {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": reason, "message": said}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }
