"""Kubernetes as far as a profile meets it.

A `kubectl` that runs each Job's command on this machine, and a server that the real one speaks to.
"""

import json
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_KUBECTL = """\
#!{python}
import pathlib, subprocess, sys, yaml

here = pathlib.Path({folder!r})
verb, *rest = sys.argv[1:]
name = rest[0].removeprefix("job.batch/") if verb != "create" else ""
if verb == "create":
    job = yaml.safe_load(sys.stdin)
    number = len(list(here.glob("job-*.json"))) + 1
    name = job["metadata"]["generateName"] + str(number)
    (here / f"job-{{number}}.json").write_text(__import__("json").dumps(job))
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    ended = here / f"{{name}}.ended"
    # The pod has an environment of its own.
    run = '"$@" > "$0.log" 2>&1; echo $? > "$0.part"; mv "$0.part" "$0"'
    subprocess.Popen(
        ["sh", "-c", run, ended, *command],
        env={environment!r}, stdout=subprocess.DEVNULL, start_new_session=True,
    )
    print(f"job.batch/{{name}}")
elif verb == "get":
    if (here / "away").exists():
        (here / "away").unlink()
        sys.exit("The connection to the server was refused")
    ended = here / f"{{name}}.ended"
    code = ended.read_text().strip() if ended.exists() else "none"
    words = {{"none": "", "0": " SuccessCriteriaMet Complete"}}.get(code, " FailureTarget Failed")
    print(name + words, end="")
"""


def write_kubectl(folder: Path, *, environment: dict[str, str]) -> None:
    """Write the command `kubectl`, whose pods get an environment of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    text = _KUBECTL.format(python=sys.executable, folder=str(folder), environment=environment)
    path = folder / "kubectl"
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def read_jobs(folder: Path) -> list[dict[str, object]]:
    """Return the Jobs that were made, in their order."""
    paths = sorted(folder.glob("job-*.json"), key=lambda path: int(path.stem.partition("-")[2]))
    return [json.loads(path.read_text()) for path in paths]


def read_container(job: dict[str, object]) -> dict[str, object]:
    """Return the one container of a Job's pod."""
    (container,) = read_pod(job)["containers"]
    return container


def read_pod(job: dict[str, object]) -> dict[str, object]:
    """Return the pod that a Job makes."""
    return job["spec"]["template"]["spec"]  # type: ignore[index]


_JOBS = "/apis/batch/v1/namespaces/study/jobs"
_DISCOVERY: dict[str, object] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "batch",
                "versions": [{"groupVersion": "batch/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"},
            }
        ],
    },
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis/batch/v1": {
        "kind": "APIResourceList",
        "groupVersion": "batch/v1",
        "resources": [
            {
                "name": "jobs",
                "singularName": "job",
                "kind": "Job",
                "namespaced": True,
                "verbs": ["create", "delete", "get", "list"],
            }
        ],
    },
}


# That the server itself refuses unknown fields, so that `kubectl` needs not know them.
_DISCOVERY |= {
    "/openapi/v3": {"paths": {"apis/batch/v1": {"serverRelativeURL": "/openapi/v3/apis/batch/v1"}}},
    "/openapi/v3/apis/batch/v1": {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": {
            "/apis/batch/v1/namespaces/{namespace}/jobs/{name}": {
                "patch": {
                    "responses": {},
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "x-kubernetes-group-version-kind": {
                        "group": "batch",
                        "kind": "Job",
                        "version": "v1",
                    },
                }
            }
        },
    },
}


class _Server(ThreadingHTTPServer):
    """The server, with the Jobs that it was given."""

    jobs: dict[str, dict[str, object]]


class _Handler(BaseHTTPRequestHandler):
    """Answers discovery; keeps, shows and deletes Jobs of the namespace `study`."""

    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self._answer(_DISCOVERY.get(path) or self.server.jobs.get(path.rpartition("/")[2]))

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = f"{job['metadata']['generateName']}x{len(self.server.jobs)}"
        job["metadata"] |= {"name": name, "namespace": "study"}
        is_ours = self.path.partition("?")[0] == _JOBS
        self.server.jobs |= {name: job} if is_ours else {}
        self._answer(job if is_ours else None, code=201)

    def do_DELETE(self) -> None:
        self._answer(self.server.jobs.pop(self.path.partition("?")[0].rpartition("/")[2], None))

    def _answer(self, body: object, *, code: int = 200) -> None:
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        self.send_response(code if body else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body or {**missing, "reason": "NotFound"}).encode())

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""


@contextmanager
def serve_kubernetes(config: Path) -> Iterator[dict[str, dict[str, object]]]:
    """Run a server on loopback, write how `kubectl` finds it, and yield its Jobs by name."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.jobs = {}
    Thread(target=server.serve_forever, daemon=True).start()
    where = f"http://127.0.0.1:{server.server_port}"
    context = {"cluster": "c", "user": "u", "namespace": "study"}
    values = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": where}}],
        "contexts": [{"name": "c", "context": context}],
        "users": [{"name": "u", "user": {}}],
    }
    config.write_text(json.dumps(values))
    try:
        yield server.jobs
    finally:
        server.shutdown()
        server.server_close()
