"""The stock of this shop over HTTP, on a free port. Its URL is written to `data/stock.url`."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STOCK = {"lamp": 7, "chair": 0}


class Handler(BaseHTTPRequestHandler):
    """Answers `GET /stock/ITEM`."""

    def do_GET(self) -> None:
        """Send the number of pieces of an item."""
        item = self.path.rpartition("/")[2]
        body = json.dumps({"item": item, "count": STOCK.get(item, 0)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Path("data").mkdir(exist_ok=True)
Path("data/stock.url").write_text(f"http://127.0.0.1:{server.server_port}\n", encoding="utf-8")
server.serve_forever()
