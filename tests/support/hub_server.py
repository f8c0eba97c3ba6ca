"""A stand-in for the Hugging Face hub on this machine: as much of its HTTP interface as pushing and fetching need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_a_test"


@dataclass
class Repository:
    """Its commits, from the first: the files of each, by name."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a commit and its files: of a branch, the newest; None where there is none."""
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)


class Hub:
    """Repositories by name, and large files by digest.

    `asked` counts the requests. `odd`, where it is not None, is what requests about repositories are answered with.
    """

    def __init__(self) -> None:
        self.odd: bytes | None = None
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked = 0

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        """Add a commit; return its name."""
        repository = self.repositories[name]
        sha = hashlib.sha1(f"{name}{len(repository.commits)}".encode()).hexdigest()
        repository.commits.append((sha, files))
        return sha


def _is_large(path: str) -> bool:
    return path.endswith(".keras")  # on the hub, .gitattributes says which


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, status: int, body: Any = b"", **headers: str) -> None:
        if self.hub.odd is not None and self.path.startswith(("/api/models", "/api/repos")):
            status, body = 200, self.hub.odd
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, {"error": code}, X_Error_Code=code)

    def _repository(self, name: str) -> Repository | None:
        """Return a repository; tell strangers that a private one is not there."""
        found = self.hub.repositories.get(name)
        if found and (not found.private or self._may_write()):
            return found
        self._refuse(401, "RepoNotFound")
        return None

    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self) -> None:
        self.hub.asked += 1
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        of_api = parts[:2] == ["api", "models"]
        owner_and_name, rest = (parts[2:4], parts[4:]) if of_api else (parts[:2], parts[2:])
        name = "/".join(owner_and_name)
        if not (repository := self._repository(name)):
            return
        if found := repository.at(rest[1] if rest else "main"):
            self._answer(name, repository, found, rest)
        else:
            self._refuse(404, "RevisionNotFound")

    do_HEAD = do_GET  # noqa: N815  # its name is that of the method

    def _answer(self, name: str, repository: Repository, found: tuple[str, dict[str, bytes]], rest: list[str]) -> None:
        commit, files = found
        if rest[:1] == ["resolve"]:
            data = files.get("/".join(rest[2:]))
            if data is None:
                self._refuse(404, "EntryNotFound")
            else:
                self._send(200, data, ETag=f'"{hashlib.sha256(data).hexdigest()}"', X_Repo_Commit=commit)
        elif rest[:1] == ["tree"]:
            self._send(200, [_listed(path, data) for path, data in files.items()])
        else:
            siblings = [{"rfilename": path} for path in files]
            self._send(200, {"id": name, "sha": commit, "private": repository.private, "siblings": siblings})

    def do_PUT(self) -> None:
        data = self._body()
        self.hub.large[hashlib.sha256(data).hexdigest()] = data
        self._send(200)

    def do_POST(self) -> None:
        self.hub.asked += 1
        body, parts = self._body(), unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts == ["api", "validate-yaml"]:
            return self._send(200, {"errors": [], "warnings": []})
        if not self._may_write():
            return self._refuse(401, "Invalid credentials")
        if parts == ["api", "repos", "create"]:
            return self._create(json.loads(body))
        if parts[-1] == "batch":
            host = f"http://{self.headers['Host']}/large"
            objects = json.loads(body)["objects"]
            return self._send(200, {"objects": [one | {"actions": {"upload": {"href": host}}} for one in objects]})
        name = "/".join(parts[2:4])
        if not (repository := self._repository(name)):
            return None
        if parts[4] == "preupload":
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if _is_large(one["path"]) else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            return self._send(200, {"files": modes})
        commit = self.hub.commit(name, self._changed(repository, body))
        address = f"http://{self.headers['Host']}/{name}/commit/{commit}"
        return self._send(200, {"success": True, "commitOid": commit, "commitUrl": address})

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        address = {"url": f"http://{self.headers['Host']}/{name}"}
        if name in self.hub.repositories:
            return self._send(409, {"error": "You already created this model repo", **address})
        private = wanted.get("private", wanted.get("visibility") == "private")
        self.hub.repositories[name] = Repository(private)
        self.hub.commit(name, {".gitattributes": b"*.keras filter=lfs diff=lfs merge=lfs -text\n"})
        return self._send(200, address)

    def _changed(self, repository: Repository, body: bytes) -> dict[str, bytes]:
        files = dict(repository.commits[-1][1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        return files


def _listed(path: str, data: bytes) -> dict[str, Any]:
    sha = hashlib.sha256(data).hexdigest()
    large = {"lfs": {"oid": sha, "size": len(data), "pointerSize": 130}} if _is_large(path) else {}
    return {"type": "file", "path": path, "size": len(data), "oid": sha[:40], **large}


@contextmanager
def serving() -> Iterator[tuple[str, Hub]]:
    """Serve an empty hub; yield its address and what it holds."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
