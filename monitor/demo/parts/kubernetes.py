"""A stand-in for a Kubernetes API server over real TLS, with objects as the published schema (1.30) has them."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web

from monitor.demo.certificates import Authority
from monitor.demo.parts.served import Served, trusting

KEPT = 1_000
"""Requests that it remembers; the oldest go first."""
OLD = "2026-11-01T00:00:00Z"
KINDS = {
    "deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet", "jobs": "Job",
    "cronjobs": "CronJob", "pods": "Pod", "nodes": "Node", "events": "Event",
}  # fmt: skip

APPS = ("deployments", "statefulsets", "daemonsets")
HANGS, CUTS = 0, -1
"""In place of a status: no answer, half of one."""


async def broken(request: web.Request, how: int) -> None:
    """No answer, or half of one and the end of the connection."""
    if how == HANGS:
        await asyncio.get_running_loop().create_future()
    half = web.StreamResponse(headers={"Content-Length": "1000"})
    await half.prepare(request)
    await half.write(b'{"kind": "Dep')
    assert request.transport is not None
    request.transport.close()


def meta(name: str, **fields: Any) -> dict[str, Any]:
    """An object's metadata, in the namespace retail unless told otherwise."""
    return {
        "name": name, "namespace": "retail", "uid": f"uid-{name}", "generation": 2, "creationTimestamp": OLD, **fields
    }  # fmt: skip


def template(name: str) -> dict[str, Any]:
    """What a workload's pods are made by."""
    box = {"name": name, "image": f"registry.example.com/{name}:1"}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [box]}}


def deployment(name: str, replicas: int = 3, /, **status: Any) -> dict[str, Any]:
    """A deployment that is complete, but for what `status` says otherwise; None leaves a field out."""
    whole = {
        "observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
        **status,
    }  # fmt: skip
    return {
        "metadata": meta(name),
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name)},
        "status": {key: value for key, value in whole.items() if value is not None},
    }


def statefulset(name: str, replicas: int = 2, strategy: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """A stateful set that is complete, but for what `status` says otherwise."""
    whole = {
        "observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
        "availableReplicas": replicas, "currentRevision": "r2", "updateRevision": "r2", **status,
    }  # fmt: skip
    return {
        "metadata": meta(name),
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
            "template": template(name), "updateStrategy": strategy or {"type": "RollingUpdate"},
        },
        "status": {key: value for key, value in whole.items() if value is not None},
    }  # fmt: skip


def daemonset(name: str, nodes: int = 2, strategy: str = "RollingUpdate", **status: Any) -> dict[str, Any]:
    """A daemon set that is complete, but for what `status` says otherwise."""
    whole = {
        "observedGeneration": 2, "desiredNumberScheduled": nodes, "currentNumberScheduled": nodes, "numberReady": nodes,
        "numberMisscheduled": 0, "updatedNumberScheduled": nodes, "numberAvailable": nodes, **status,
    }  # fmt: skip
    return {
        "metadata": meta(name),
        "spec": {
            "selector": {"matchLabels": {"app": name}}, "template": template(name), "updateStrategy": {"type": strategy}
        },
        "status": {key: value for key, value in whole.items() if value is not None},
    }  # fmt: skip


def pod(name: str, *boxes: dict[str, Any], owner: tuple[str, str] = ("ReplicaSet", "api-5d9"), **status: Any) -> Any:
    """A pod of the deployment api."""
    reference = {"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": "u", "controller": True}
    labels = {"app": "api", "pod-template-hash": "5d9"}
    return {
        "metadata": meta(name, ownerReferences=[reference], labels=labels),
        "spec": template("api")["spec"],
        "status": {"phase": "Running", "containerStatuses": list(boxes) or [box()], **status},
    }


def box(restarts: int = 0, waits: str = "", ended: dict[str, Any] | None = None) -> dict[str, Any]:
    """A container's status."""
    state: dict[str, Any] = {"running": {"startedAt": OLD}}
    if waits:
        state = {"waiting": {"reason": waits, "message": f"because of {waits}"}}
    return {
        "name": "api", "ready": not waits, "restartCount": restarts, "image": "api:1", "imageID": "", "state": state,
        "lastState": {"terminated": ended} if ended else {},
    }  # fmt: skip


def end(reason: str, code: int, at: str, message: str = "") -> dict[str, Any]:
    """How a container's last run ended."""
    return {"reason": reason, "exitCode": code, "finishedAt": at, "message": message}


def cron_job(name: str, suspend: bool = False, **status: Any) -> dict[str, Any]:
    """A cron job, every night at three."""
    job_template = {"spec": {"template": template(name)}}
    return {
        "metadata": meta(name),
        "spec": {"schedule": "0 3 * * *", "suspend": suspend, "jobTemplate": job_template},
        "status": status,
    }


def job(name: str, maker: str = "", condition: dict[str, Any] | None = None, started: str = OLD) -> dict[str, Any]:
    """A job, made by the cron job `maker` where that is given."""
    owners = [{"apiVersion": "batch/v1", "kind": "CronJob", "name": maker, "uid": "u", "controller": True}]
    return {
        "metadata": meta(name, ownerReferences=owners if maker else []),
        "spec": {"template": template(name)},
        "status": {"startTime": started, "conditions": [condition] if condition else []},
    }


def node(name: str, ready: str = "True", **pressures: str) -> dict[str, Any]:
    """A node; `pressures` are further conditions."""
    conditions = [{"type": "Ready", "status": ready, "reason": "Kubelet", "message": "kubelet stopped posting"}]
    conditions += [{"type": kind, "status": status} for kind, status in pressures.items()]
    return {"metadata": meta(name, namespace=None), "spec": {}, "status": {"conditions": conditions}}


class ApiServer(Served):
    """A cluster's API server: change what it holds between probes. `token` is the one that it knows.

    `now` is the time that it says it is, in Unix seconds.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.authority = Authority()
        super().__init__(self.authority.issue("127.0.0.1", "kubernetes.default"))
        assert self.tls is not None
        trusting(self.tls, self.authority.pem)
        self.token = "sesame"
        self.objects: dict[str, list[Any]] = {resource: [] for resource in KINDS}
        self.forbidden: set[str] = set()
        self.said: dict[str, tuple[int, bytes]] = {}
        """Answers in place of the usual, by the end of the path."""
        self.log = b""
        self.asked: list[str] = []
        self._now = now

    def client(self) -> bytes:
        """A client certificate with its key that it accepts."""
        return self.authority.issue("runwatch@example.com").pem

    def kubeconfig(self, file: Path, namespace: str = "retail") -> Path:
        """Write a kubeconfig that knows it, with the token; its authority lies beside it."""
        authority = self.authority.write(file.with_name(f"{file.name}.pem"))
        content = {
            "apiVersion": "v1", "kind": "Config", "current-context": "shop",
            "contexts": [{"name": "shop", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority": str(authority)}}],
            "users": [{"name": "u", "user": {"token": self.token}}],
        }  # fmt: skip
        file.touch(mode=0o600)
        file.write_text(json.dumps(content))
        return file

    async def handle(self, request: web.Request) -> web.Response:
        """The answer to a request, with the server's time."""
        if request.method != "GET":
            return self._refuse(405, "the server does not allow this method on the requested resource")
        self.asked.append(request.path_qs)
        del self.asked[:-KEPT]
        for tail, (status, body) in self.said.items():
            if request.path.endswith(tail):
                if status in (HANGS, CUTS):
                    await broken(request, status)
                return web.Response(status=status, body=body, headers=self._date)
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        if not certificate and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._refuse(401, "Unauthorized")
        if request.path.endswith("/log"):
            return web.Response(body=self.log)
        group, resource = request.path.rsplit("/", 1)[0], request.path.rpartition("/")[2]
        wanted = (
            "batch" if "job" in resource else "apps" if resource.endswith("sets") or resource == "deployments" else ""
        )
        if resource not in KINDS or (f"/apis/{wanted}/v1" if wanted else "/api/v1") not in group:
            return self._refuse(404, "the server could not find the requested resource")
        if resource in self.forbidden:
            return self._refuse(403, f'{resource} is forbidden: User "system:serviceaccount:x" cannot list it')
        return web.json_response(self._page(request, resource), headers=self._date)

    def _page(self, request: web.Request, resource: str) -> dict[str, Any]:
        found = copy.deepcopy(self.objects[resource])
        if "/namespaces/" in request.path:
            namespace = request.path.split("/")[-2]
            found = [one for one in found if not isinstance(one, dict) or one["metadata"].get("namespace") == namespace]
        field = request.query.get("fieldSelector", "").removeprefix("involvedObject.name=")
        if field:
            found = [one for one in found if one["involvedObject"]["name"] == field]
        start, limit = int(request.query.get("continue") or 0), int(request.query.get("limit") or 500)
        more = str(start + limit) if start + limit < len(found) else ""
        return {
            "kind": f"{KINDS[resource]}List", "apiVersion": "v1",
            "metadata": {"resourceVersion": "5", "continue": more} if more else {"resourceVersion": "5"},
            "items": found[start : start + limit] or None,
        }  # fmt: skip

    def _refuse(self, status: int, message: str) -> web.Response:
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
        return web.json_response(said, status=status, headers=self._date)

    @property
    def _date(self) -> dict[str, str]:
        return {"Date": formatdate(self._now(), usegmt=True)}
