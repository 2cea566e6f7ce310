"""A stand-in for a Qdrant server, based on Qdrant's own engine in this process, `qdrant-edge`.

It serves the few HTTP requests that the product makes. With `QDRANT_URL` set, the tests of stores also run against a
real server.

Start it alone with `python -m tests.harness.qdrant PORT FOLDER`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import qdrant_edge as edge

Document = dict[str, Any]
_DISTANCES = {"Cosine": edge.Distance.Cosine, "Dot": edge.Distance.Dot, "Euclid": edge.Distance.Euclid}


class QdrantShim:
    """Collections in a folder, and a server for them. `requests` lists method and path of each request."""

    def __init__(self, folder: Path, *, api_key: str | None = None) -> None:
        self.folder = folder
        self.api_key = api_key
        self.requests: list[str] = []
        self.failures = 0
        self._shards: dict[str, Any] = {}
        self._turn = threading.Lock()

    def answer(self, method: str, path: str, body: Document) -> tuple[int, Any]:
        """Return status and result of one request."""
        self.requests.append(f"{method} {path}")
        if self.failures:
            self.failures -= 1
            return 503, {"error": "the shim was told to fail"}
        match [part for part in path.split("/") if part]:
            case ["healthz"]:
                return 200, None
            case ["collections", name, *rest]:
                with self._turn:
                    try:
                        return self._collection(method, name, rest, body)
                    except Exception as error:
                        return 400, {"error": f"Wrong input: {error}"}
            case _:
                return 404, {"error": f"the shim does not know {method} {path}"}

    def close(self) -> None:
        """Release the folder."""
        for shard in self._shards.values():
            shard.close()

    def _collection(self, method: str, name: str, rest: list[str], body: Document) -> tuple[int, Any]:
        if rest == ["exists"]:
            return 200, {"exists": name in self._shards}
        if method == "PUT" and not rest:
            return self._create(name, body)
        if name not in self._shards:
            return 404, {"error": f"Not found: Collection `{name}` doesn't exist!"}
        shard = self._shards[name]
        match (method, rest):
            case ("DELETE", []):
                shard.close()
                del self._shards[name]
                shutil.rmtree(self.folder / name)
                return 200, True
            case ("PUT", ["index"]):
                return 200, {"operation_id": 0, "status": "completed"}
            case ("PUT", ["points"]):
                points = [edge.Point(each["id"], _vector(each["vector"]), each["payload"]) for each in body["points"]]
                shard.update(edge.UpdateOperation.upsert_points(points))
            case ("POST", ["points"]):
                found = shard.retrieve(body["ids"], body.get("with_payload"), body.get("with_vector"))
                return 200, [{"id": str(each.id), "payload": each.payload, "vector": each.vector} for each in found]
            case ("POST", ["points", "scroll"]):
                return 200, self._scroll(shard, body)
            case ("POST", ["points", "delete"]):
                self._delete(shard, body)
            case ("POST", ["points", "query"]):
                return 200, {"points": self._query(shard, body)}
            case _:
                return 404, {"error": f"the shim does not know {method} {rest}"}
        shard.flush()
        return 200, {"operation_id": 0, "status": "completed"}

    def _create(self, name: str, body: Document) -> tuple[int, Any]:
        if name in self._shards:
            return 409, {"error": f"Wrong input: Collection `{name}` already exists!"}
        vectors = body["vectors"]
        if "size" in vectors:
            made: Any = edge.EdgeVectorParams(vectors["size"], _DISTANCES[vectors["distance"]])
        else:
            made = {
                key: edge.EdgeVectorParams(each["size"], _DISTANCES[each["distance"]]) for key, each in vectors.items()
            }
        sparse = {key: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf) for key in _map(body, "sparse_vectors")}
        (self.folder / name).mkdir(parents=True)
        self._shards[name] = edge.EdgeShard.create(str(self.folder / name), edge.EdgeConfig(made, sparse or None))
        return 200, True

    def _delete(self, shard: Any, body: Document) -> None:
        if "points" in body:
            shard.update(edge.UpdateOperation.delete_points(body["points"]))
        else:
            shard.update(edge.UpdateOperation.delete_points_by_filter(_filter(body["filter"])))

    def _scroll(self, shard: Any, body: Document) -> Document:
        request = edge.ScrollRequest(
            limit=body["limit"],
            offset=body.get("offset"),
            filter=_filter(body["filter"]) if body.get("filter") else None,
            with_payload=True,
            with_vector=body.get("with_vector"),
        )
        found, following = shard.scroll(request)
        points = [{"id": str(each.id), "payload": each.payload, "vector": each.vector} for each in found]
        return {"points": points, "next_page_offset": None if following is None else str(following)}

    def _query(self, shard: Any, body: Document) -> list[Document]:
        given: Any = body["query"]
        wanted: Any = _map(body, "query").get("nearest", given) if isinstance(given, dict) else given
        query: Any = _sparse(wanted)
        params = _map(body, "params")
        request = edge.QueryRequest(
            body["limit"],
            query=edge.Query.Nearest(query, body["using"]),
            filter=_filter(body["filter"]) if body.get("filter") else None,
            params=edge.SearchParams(hnsw_ef=params.get("hnsw_ef"), exact=bool(params.get("exact"))),
            with_payload=True,
        )
        found = shard.query(request)
        return [{"id": str(each.id), "version": 0, "score": each.score, "payload": each.payload} for each in found]


@contextlib.contextmanager
def serve_qdrant(folder: Path, *, port: int = 0, api_key: str | None = None) -> Generator[tuple[str, QdrantShim]]:
    """Serve the shim on this machine and yield its URL and the shim."""
    shim = QdrantShim(folder, api_key=api_key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            if shim.api_key is not None and self.headers.get("api-key") != shim.api_key:
                status, result = 401, {"error": "Must provide an API key or an Authorization bearer token"}
            else:
                status, result = shim.answer(self.command, self.path.partition("?")[0], body)
            document = (
                {"result": result, "status": "ok", "time": 0.0} if status == 200 else {"status": result, "time": 0.0}
            )
            content = json.dumps(document).encode() if self.path != "/healthz" else b"healthz check passed"
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", shim
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        shim.close()


def _map(body: Document, key: str) -> Document:
    return cast("Document", body.get(key) or {})


def _vector(given: Any) -> Any:
    if isinstance(given, list):
        return cast("list[float]", given)
    named = cast("Document", given)
    return {key: _sparse(each) for key, each in named.items()}


def _sparse(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    fields = cast("Document", given)
    return edge.SparseVector(fields["indices"], fields["values"])


def _filter(given: Document) -> Any:
    return edge.Filter(
        must=[_condition(each) for each in given.get("must") or ()] or None,
        must_not=[_condition(each) for each in given.get("must_not") or ()] or None,
    )


def _condition(given: Document) -> Any:
    if "has_id" in given:
        return edge.HasIdCondition(set(given["has_id"]))
    match: Any = given["match"]
    return edge.FieldCondition(
        given["key"], edge.MatchAny(match["any"]) if "any" in match else edge.MatchValue(match["value"])
    )


if __name__ == "__main__":
    with serve_qdrant(Path(sys.argv[2]), port=int(sys.argv[1])) as (url, _):
        print(url, flush=True)
        threading.Event().wait()
