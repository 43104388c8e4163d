"""A Hugging Face Hub on loopback: it speaks what the Hub's own client asks, and has repositories, commits, tokens and rights."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

__all__ = ["Hub", "Repository", "hub_on_loopback"]


class _Problem(Exception):
    def __init__(self, status: int, code: str = "", text: str = "") -> None:
        self.status, self.code, self.text = status, code, text


@dataclass
class Repository:
    """A repository of models: its commits, each with all files by path, the newest last."""

    private: bool = False
    gated: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        told = repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items()))
        sha = hashlib.sha1(f"{len(self.commits)}{told}".encode()).hexdigest()
        self.commits.append((sha, files))
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        if revision == "main":
            return self.commits[-1]
        for sha, files in self.commits:
            if sha == self.tags.get(revision, revision):
                return sha, files
        raise _Problem(404, "RevisionNotFound")


@dataclass
class Hub:
    """What the server holds, and what it was asked.

    Attributes:
        url: its address.
        repositories: by OWNER/NAME.
        tokens: by token, whose it is and whether it may write.
        large: endings of files that are stored apart, as LFS has them.
        asked: each request, as in "GET /acme/logos/resolve/main/manifest.json".
        down: answer nothing but this status.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: dict[str, tuple[str, bool]] = field(default_factory=dict)
    large: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    down: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    in_between: Any = None

    def files(self, repository: str) -> dict[str, bytes]:
        return self.repositories[repository].commits[-1][1]

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.down:
            raise _Problem(self.down)
        who = None
        if token is not None:
            if token not in self.tokens:
                raise _Problem(401, text="Invalid credentials in Authorization header")
            who = self.tokens[token]
        for pattern, answer in _ROUTES:
            if match := re.fullmatch(pattern, f"{method} {path}"):
                found = answer(self, who, body, *match.groups())
                return found if isinstance(found, tuple) else (200, {}, json.dumps(found).encode())
        raise _Problem(404)

    def repository(self, name: str, who: tuple[str, bool] | None, *, write: bool = False) -> Repository:
        found = self.repositories.get(name)
        if found is None or (found.private and (who is None or who[0] != name.split("/")[0])):
            raise _Problem(401 if who is None else 404, "RepoNotFound")
        if found.gated and who is None:
            raise _Problem(401, "GatedRepo")
        if write and (who is None or not who[1] or who[0] != name.split("/")[0]):
            raise _Problem(403, text="You don't have the rights to write here")
        return found

    def _create(self, who: tuple[str, bool] | None, body: bytes) -> Any:
        asked = json.loads(body)
        if who is None:
            raise _Problem(401, text="Invalid username or password.")
        if not who[1] or (asked["organization"] or who[0]) != who[0]:
            raise _Problem(403, text=f"You don't have the rights to create a model under {asked['organization']}")
        name = f"{who[0]}/{asked['name']}"
        if name in self.repositories:
            raise _Problem(409, text="You already created this model repo")
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.repositories[name] = Repository(private)
        self.repositories[name].commit({".gitattributes": b"*.onnx filter=lfs\n"})
        return {"url": f"{self.url}/{name}", "name": name}

    def _info(self, who: tuple[str, bool] | None, _: bytes, name: str, revision: str | None) -> Any:
        found = self.repository(name, who)
        sha, files = found.at(revision or "main")
        return {"id": name, "sha": sha, "private": found.private, "siblings": [{"rfilename": path} for path in files]}

    def _tree(self, who: tuple[str, bool] | None, body: bytes, name: str, revision: str) -> Any:
        _, files = self.repository(name, who).at(revision)
        return [{"type": "file", "path": path, "size": len(data), "oid": _oid(data)} for path, data in files.items()]

    def _preupload(self, who: tuple[str, bool] | None, body: bytes, name: str, revision: str) -> Any:
        _, files = self.repository(name, who, write=True).at(revision)
        asked = [entry["path"] for entry in json.loads(body)["files"]]
        return {
            "files": [
                {
                    "path": path,
                    "uploadMode": "lfs" if self._is_large(path) else "regular",
                    "shouldIgnore": False,
                    "oid": self._tag(path, files[path]) if path in files else None,
                }
                for path in asked
            ]
        }

    def _batch(self, who: tuple[str, bool] | None, body: bytes, name: str) -> Any:
        self.repository(name, who, write=True)
        wanted = json.loads(body)["objects"]
        place = {"href": f"{self.url}/objects/"}
        return {
            "transfer": "basic",
            "objects": [{**each, "actions": {"upload": {"href": place["href"] + each["oid"]}}} for each in wanted],
        }

    def _put(self, _: tuple[str, bool] | None, body: bytes, digest: str) -> Any:
        if hashlib.sha256(body).hexdigest() != digest:
            raise _Problem(400, text="another content")
        self.objects[digest] = body
        return {}

    def _commit(self, who: tuple[str, bool] | None, body: bytes, name: str, revision: str) -> Any:
        found = self.repository(name, who, write=True)
        if self.in_between is not None:
            self.in_between(found)
        sha, files = found.at(revision)
        after = dict(files)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header" and value.get("parentCommit") not in (None, sha):
                raise _Problem(412, text="A commit has happened since")
            if entry["key"] == "file":
                after[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                after[value["path"]] = self.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del after[value["path"]]
        made = found.commit(after)
        return {"commitUrl": f"{self.url}/{name}/commit/{made}", "commitOid": made, "success": True}

    def _resolve(self, who: tuple[str, bool] | None, _: bytes, method: str, name: str, revision: str, path: str) -> Any:
        sha, files = self.repository(name, who).at(unquote(revision))
        if path not in files:
            raise _Problem(404, "EntryNotFound")
        data = files[path]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{self._tag(path, data)}"'}
        if self._is_large(path):  # From another host, as the Hub does; what it is is told before.
            elsewhere = self.url.replace("127.0.0.1", "localhost")
            self.objects[_sha256(data)] = data
            linked = {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(len(data))}
            return 302, {**headers, **linked, "Location": f"{elsewhere}/objects/{_sha256(data)}"}, b""
        return 200, headers, data

    def _object(self, who: tuple[str, bool] | None, _: bytes, method: str, digest: str) -> Any:
        return 200, {"ETag": f'"{digest}"'}, self.objects[digest]

    def _validate(self, who: tuple[str, bool] | None, body: bytes) -> Any:
        text = json.loads(body)["content"]
        match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
        wrong = not match or not isinstance(yaml.safe_load(match[1]).get("license"), str)
        if wrong:
            raise _Problem(400, text="no front matter")
        return {"errors": [], "warnings": []}

    def _is_large(self, path: str) -> bool:
        return bool(self.large) and path.endswith(self.large)

    def _tag(self, path: str, data: bytes) -> str:
        return _sha256(data) if self._is_large(path) else _oid(data)


_NAME = r"([\w.-]+/[\w.-]+?)"
_ROUTES: list[tuple[str, Any]] = [
    (r"POST /api/repos/create", Hub._create),
    (r"POST /api/validate-yaml", Hub._validate),
    (rf"GET /api/models/{_NAME}(?:/revision/([^/]+))?", Hub._info),
    (rf"GET /api/models/{_NAME}/tree/([^/]+)", Hub._tree),
    (rf"POST /api/models/{_NAME}/preupload/([^/]+)", Hub._preupload),
    (rf"POST /api/models/{_NAME}/commit/([^/]+)", Hub._commit),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", Hub._batch),
    (r"PUT /objects/([0-9a-f]{64})", Hub._put),
    (r"(GET|HEAD) /objects/([0-9a-f]{64})", Hub._object),
    (rf"(GET|HEAD) /{_NAME}/resolve/([^/]+)/(.+)", Hub._resolve),
]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def _any(self) -> None:
        path = urlsplit(self.path).path
        body = self._body()
        self.hub.asked.append(f"{self.command} {path}")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        try:
            status, headers, data = self.hub.answer(self.command, path, token, body)
        except _Problem as problem:
            headers = {"X-Error-Code": problem.code} if problem.code else {}
            headers |= {"X-Error-Message": problem.text} if problem.text else {}
            status, data = problem.status, json.dumps({"error": problem.text or problem.code}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_HEAD = do_POST = do_PUT = _any

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def hub_on_loopback() -> Iterator[Hub]:
    """A Hub that listens until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
