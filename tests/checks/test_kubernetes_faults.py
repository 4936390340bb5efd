"""The kubernetes kind without rights, and against clusters that are malformed, cut off, busy or not there."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Failed, Reason
from checks.kubernetes import Kubernetes
from checks.parts.kubernetes.pods import job as read_job
from checks.parts.kubernetes.pods import node as read_node
from checks.parts.kubernetes.pods import pod as read_pod
from checks.parts.kubernetes.rollout import rollout
from monitor.demo.parts.kubernetes import (
    APPS,
    CUTS,
    HANGS,
    ApiServer,
    box,
    deployment,
    node,
    pod,
)
from tests.checks.cluster import AT
from tests.checks.probing import Memory, asked, errs, fails, value
from tests.checks.web import closed_port, hang, reply, serving


async def test_a_missing_right_is_named(cluster: ApiServer, kube: Any) -> None:
    cluster.forbidden = {"deployments"}
    await errs(
        kube(), Reason.AUTH, "cannot list deployments in the namespace retail",
        'apiGroups: ["apps"], resources: ["deployments"], verbs: ["list"]', "cannot list it",
    )  # fmt: skip
    cluster.forbidden = {"nodes"}
    await errs(kube(nodes=True), Reason.AUTH, "cannot list nodes: give", 'apiGroups: [""], resources: ["nodes"]')


async def test_a_wrong_token_is_our_error_and_is_not_shown(cluster: ApiServer, kube: Any) -> None:
    cluster.said["/deployments"] = 401, b'{"message": "wrong-token is not known"}'
    result = await errs(kube(token="wrong-token"), Reason.AUTH, "*** is not known")
    assert "wrong-token" not in result.sentence


@pytest.mark.parametrize(
    ("status", "body", "reason", "said"),
    [
        (200, b"", Reason.BODY, "did not answer with JSON"),
        (200, b'{"kind": "DeploymentList", "items": [{"meta', Reason.BODY, "did not answer with JSON"),
        (200, b"[" * 50_000, Reason.BODY, "did not answer with JSON"),
        (200, b"[]", Reason.PROTOCOL, "no list of deployments"),
        (200, b'{"kind": "Status"}', Reason.PROTOCOL, "no list of deployments"),
        (200, b'{"kind": "DeploymentList", "items": {}}', Reason.PROTOCOL, "no list of deployments"),
        (200, b'{"kind": "DeploymentList", "items": [5]}', Reason.PROTOCOL, "has no name"),
        (200, b'{"kind": "DeploymentList", "items": [{"metadata": {"name": ""}}]}', Reason.PROTOCOL, "has no name"),
        (200, b'"' + b"x" * 5_000_000 + b'"', Reason.BODY, "larger than 4 MiB"),
        (404, b'{"message": "not found"}', Reason.PROTOCOL, "knows no deployments of apps/v1"),
        (410, b'{"message": "the continue token is too old"}', Reason.STATUS, "answered 410"),
        (500, b"<html>\x1b[31m", Reason.STATUS, "answered 500"),
    ],
)
async def test_malformed_answers_are_never_ok(
    cluster: ApiServer, kube: Any, status: int, body: bytes, reason: Reason, said: str
) -> None:
    cluster.said["/deployments"] = status, body
    await fails(kube(), reason, said)


@pytest.mark.parametrize("tail", ["/deployments", "/pods", "/nodes"])
async def test_a_cluster_that_stops_in_the_middle_is_told(cluster: ApiServer, kube: Any, tail: str) -> None:
    memory: Memory = {}
    cluster.objects["nodes"] = [node("one")]
    cluster.said[tail] = HANGS, b""
    await fails(kube(nodes=True, timeout="1s"), Reason.READ_TIMEOUT, "no answer within 1 s", memory=memory)
    cluster.said[tail] = CUTS, b""
    await fails(kube(nodes=True), Reason.PROTOCOL, "cannot ask the cluster", memory=memory)
    cluster.said.clear()
    await asked(kube(nodes=True), memory)


async def test_a_busy_cluster_asks_us_to_come_less_often(cluster: ApiServer, kube: Any) -> None:
    cluster.said["/pods"] = 429, b'{"message": "too many requests"}'
    await errs(kube(), Reason.RATE_LIMITED, "429")


async def test_no_cluster_no_answer_and_a_stranger_are_told_apart(cluster: ApiServer, ca_file: str) -> None:
    async with serving(hang) as web:
        slow = Kubernetes(name="shop", url=web.url(""), token="x", namespace="retail", timeout="1s")
        await fails(slow, Reason.READ_TIMEOUT, "no answer within 1 s")
    gone = Kubernetes(name="shop", url=f"http://127.0.0.1:{closed_port()}", namespace="retail")
    await fails(gone, Reason.CONNECT_REFUSED)
    async with serving(reply(b"hello")) as web:
        await fails(
            Kubernetes(name="shop", url=web.url(""), namespace="retail"), Reason.BODY, "did not answer with JSON"
        )
    await fails(Kubernetes(name="shop", url=cluster.url, token="x", namespace="retail"), Reason.TLS_HANDSHAKE)


@pytest.mark.parametrize(
    "kept",
    [
        {"unfinished": 5, "restarts": [], "recent": "x"},
        {"unfinished": {"retail/deployment/api/2": "x"}, "restarts": {"uid-api-5d9-1/api": "x"}},
        {"unfinished": {"retail/deployment/api/2": AT + 10**6}, "restarts": {"uid-api-5d9-1/api": 10**9}},
    ],
)
async def test_whatever_an_older_version_kept_does_no_harm(cluster: ApiServer, kube: Any, kept: dict[str, Any]) -> None:
    cluster.objects["deployments"] = [deployment("api", updatedReplicas=1)]
    cluster.objects["pods"] = [pod("api-5d9-1", box(5))]
    run = await asked(kube(), {"kept": kept})
    assert value(run, "rollout_unfinished_seconds") == 0
    assert value(run, "restarts_recent") == 0


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS = st.sampled_from(
    ["metadata", "name", "spec", "status", "conditions", "type", "replicas", "containerStatuses", "state", "waiting",
     "ownerReferences", "lastState", "terminated", "generation", "restartCount"]
)  # fmt: skip


READERS = (read_pod, read_job, read_node, *(partial(rollout, resource=resource) for resource in APPS))


@given(
    st.recursive(PLAIN, lambda one: st.lists(one) | st.dictionaries(FIELDS, one), max_leaves=20), st.text(min_size=1)
)
def test_any_object_is_read_or_refused(item: Any, name: str) -> None:
    if isinstance(item, dict):
        item["metadata"] = {"name": name}
    for read in READERS:
        try:
            read(item)
        except Failed as why:
            assert why.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "https://x", "kubeconfig": "/x"}, "not both"),
        ({"token": "x"}, "need url"),
        ({"context": "x"}, "context needs kubeconfig"),
        ({"url": "https://x", "token": "x", "token_file": "y"}, "not both"),
        ({"url": "unix:///x"}, "is wanted"),
        ({"workloads": ["api"]}, "no workload"),
        ({"workloads": ["service/api"]}, "no workload"),
        ({"namespace": "Retail/../x"}, "should match pattern"),
    ],
)
def test_bad_configuration_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Kubernetes(name="shop", **fields)
