"""A model server that writes down, outside of any database, which prompts it was asked: the side effects of a run."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any


def serve_ledger(ledger: Path, port_file: Path) -> None:
    """Answer OpenAI chat requests on a free loopback port until killed, one line in `ledger` for each."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = str(body["messages"][-1]["content"])
            with ledger.open("a") as file:
                file.write(prompt + "\n")
            answer = {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": f"answer to {prompt}"},
                    }
                ],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            }
            payload = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Say nothing on stderr."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    partial = port_file.with_suffix(".part")
    partial.write_text(str(server.server_port))
    os.replace(partial, port_file)
    server.serve_forever()
