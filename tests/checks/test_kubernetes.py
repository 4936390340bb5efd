"""The kubernetes kind against a stand-in API server over real TLS: rollouts, pods, jobs, nodes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from alerts.thresholds import parse
from checks.base import Reason, Run
from checks.kubernetes import Kubernetes
from checks.parts.kubernetes.pods import pod as read_pod
from checks.parts.kubernetes.rollout import rollout
from monitor.demo.parts.kubernetes import (
    OLD,
    ApiServer,
    box,
    cron_job,
    daemonset,
    deployment,
    end,
    job,
    node,
    pod,
    statefulset,
)
from tests.checks.probing import Memory, asked, errs, evidence, fails, value, values

JUST_NOW, LATELY, SUCCESS = "2026-11-23T00:59:30Z", "2026-11-23T00:55:00Z", "2026-11-22T03:05:00Z"


def test_what_it_recommends_can_be_asked() -> None:
    known = {one.name: one for one in Kubernetes.measurements}
    for one in Kubernetes.recommended:
        assert parse(one.when, known).names, one.alert


async def test_a_cluster_that_is_well_is_well(cluster: ApiServer, kube: Any) -> None:
    cluster.objects["statefulsets"] = [statefulset("db")]
    cluster.objects["daemonsets"] = [daemonset("agent")]
    run = await asked(kube())
    for workload, count in (("deployment/api", 3), ("statefulset/db", 2), ("daemonset/agent", 2)):
        labels = {"namespace": "retail", "workload": workload}
        assert value(run, "rollout_complete", **labels) == 1
        assert value(run, "replicas_desired", **labels) == value(run, "replicas_available", **labels) == count
        assert value(run, "rollout_unfinished_seconds", **labels) == value(run, "replicas_unavailable", **labels) == 0
    assert value(run, "pods", phase="Running") == 2
    assert value(run, "restarts_recent", workload="deployment/api") == 0
    assert [path.split("?")[0].rpartition("/")[2] for path in cluster.asked] == [
        "deployments", "statefulsets", "daemonsets", "pods",
    ]  # fmt: skip


def updating(partition: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


ROLLOUTS: list[tuple[str, Any, str]] = [
    ("deployments", deployment("x"), ""),
    ("deployments", deployment("x", 0, updatedReplicas=None, availableReplicas=None, replicas=None), ""),
    ("deployments", deployment("x", observedGeneration=1), "not been seen by the cluster yet"),
    ("deployments", deployment("x", updatedReplicas=1), "1 of 3 replicas are of the new version"),
    ("deployments", deployment("x", updatedReplicas=None), "0 of 3 replicas are of the new version"),
    ("deployments", deployment("x", replicas=4), "1 replicas of the old version are still there"),
    ("deployments", deployment("x", availableReplicas=2), "2 of 3 replicas are available"),
    ("deployments", deployment("x", conditions=None), ""),
    ("statefulsets", statefulset("x"), ""),
    ("statefulsets", statefulset("x", observedGeneration=None), "not been seen by the cluster yet"),
    ("statefulsets", statefulset("x", readyReplicas=1), "1 of 2 replicas are ready"),
    ("statefulsets", statefulset("x", updateRevision="r3", updatedReplicas=1), "1 of 2 replicas are of the new"),
    ("statefulsets", statefulset("x", strategy={"type": "OnDelete"}, updateRevision="r3"), ""),
    ("statefulsets", statefulset("x", strategy={"type": "OnDelete"}, readyReplicas=1), "1 of 2 replicas are ready"),
    ("statefulsets", statefulset("x", 3, updating(2), updatedReplicas=1, updateRevision="r3"), ""),
    ("statefulsets", statefulset("x", 3, updating(1), updatedReplicas=1), "1 of 2 replicas are of the new version"),
    ("statefulsets", statefulset("x", 2, updating(0), currentRevision="r1"), ""),
    ("statefulsets", statefulset("x", 2, updating(0), updatedReplicas=1), "1 of 2 replicas are of the new version"),
    ("daemonsets", daemonset("x"), ""),
    ("daemonsets", daemonset("x", updatedNumberScheduled=None), "0 of 2 nodes have the new version"),
    ("daemonsets", daemonset("x", numberAvailable=1), "1 of 2 nodes have it available"),
    ("daemonsets", daemonset("x", strategy="OnDelete", updatedNumberScheduled=0), ""),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "item", "waits"), ROLLOUTS)
def test_a_rollout_is_complete_when_kubectl_says_so(resource: str, item: Any, waits: str) -> None:
    found = rollout(item, resource)
    assert waits in found.waits and bool(waits) == bool(found.waits)
    assert found.complete == (not waits)


async def test_a_rollout_past_its_deadline_has_failed(cluster: ApiServer, kube: Any) -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": 'ReplicaSet "x"'}
    cluster.objects["deployments"] = [deployment("api", updatedReplicas=1, conditions=[late])]
    result = await fails(
        kube(),
        Reason.ASSERTION,
        "retail/deployment/api: its rollout failed: it exceeded its progress deadline",
    )
    assert value(result, "rollout_complete") == 0


async def test_a_rollout_may_take_its_time_and_no_more(cluster: ApiServer, kube: Any) -> None:
    memory: Memory = {}
    cluster.objects["deployments"] = [deployment("api", updatedReplicas=1)]
    one = kube(rollout_within="15m")
    assert value(await asked(one, memory), "rollout_unfinished_seconds") == 0
    memory = {"kept": orjson.loads(orjson.dumps(memory["kept"]))}  # runwatch was started anew
    [key] = memory["kept"]["unfinished"]
    memory["kept"]["unfinished"][key] -= 1000.0
    result = await fails(one, Reason.ASSERTION, "not been complete for 16m 40s: 1 of 3 replicas", memory=memory)
    assert value(result, "rollout_unfinished_seconds") == 1000
    paused = deployment("api", updatedReplicas=1)
    paused["spec"]["paused"] = True
    cluster.objects["deployments"] = [paused]
    await asked(one, memory)
    newer = deployment("api", updatedReplicas=1, observedGeneration=3)
    newer["metadata"]["generation"] = 3
    cluster.objects["deployments"] = [newer]
    assert value(await asked(one, memory), "rollout_unfinished_seconds") == 0, "another rollout has begun"


async def test_none_available_is_an_outage_at_once_unless_it_is_new(cluster: ApiServer, kube: Any) -> None:
    cluster.objects["deployments"] = [deployment("api", availableReplicas=None)]
    await fails(kube(), Reason.ASSERTION, "retail/deployment/api: none of its 3 replicas is available")
    cluster.objects["deployments"][0]["metadata"]["creationTimestamp"] = JUST_NOW
    assert value(await asked(kube()), "replicas_unavailable") == 3


async def test_named_workloads_have_to_be_there_and_others_do_not_matter(cluster: ApiServer, kube: Any) -> None:
    cluster.objects["deployments"] += [deployment("other", availableReplicas=None)]
    cluster.objects["pods"] += [pod("other-1", box(waits="CrashLoopBackOff"), owner=("ReplicaSet", "other-5d9"))]
    run = await asked(kube(workloads=("deploy/api",)))
    assert {dict(labels)["workload"] for labels in values(run, "pods_crash_looping")} == {"deployment/api"}
    assert not [path for path in cluster.asked if "statefulsets" in path]
    run = await asked(kube(exclude=("deployment/oth*",)))
    assert {dict(labels)["workload"] for labels in values(run, "rollout_complete")} == {"deployment/api"}
    await fails(
        kube(workloads=("deployments/api", "statefulset/db")), Reason.ASSERTION,
        "there is no statefulset/db in the namespace retail",
    )  # fmt: skip


async def test_nothing_to_watch_is_not_well(cluster: ApiServer, kube: Any) -> None:
    await fails(kube(namespace="retial"), Reason.ASSERTION, "there is nothing to watch in the namespace retial")
    run = await asked(kube(namespace="*"))
    assert value(run, "rollout_complete", namespace="retail") == 1
    assert "/api/v1/pods?limit=50" in cluster.asked[-1]
    await asked(kube(selector="app=api"))
    assert "labelSelector=app%3Dapi" in cluster.asked[-1] or "labelSelector=app=api" in cluster.asked[-1]


@pytest.mark.parametrize(
    ("status", "measured", "said"),
    [
        (box(7, "CrashLoopBackOff", end("Error", 1, OLD)), "pods_crash_looping",
         "retail/api-5d9-2 of deployment/api crashes again and again: container api ended with exit code 1 (Error)"),
        (box(0, "ImagePullBackOff"), "pods_image_failing", "the image of api: ImagePullBackOff, because of Image"),
        (box(0, "InvalidImageName"), "pods_image_failing", "the image of api: InvalidImageName"),
        (box(0, "CreateContainerConfigError"), "pods_config_failing", "can't make container api: CreateContainerCo"),
    ],
)  # fmt: skip
async def test_pods_in_trouble_are_named(cluster: ApiServer, kube: Any, status: Any, measured: str, said: str) -> None:
    cluster.objects["pods"][1] = pod("api-5d9-2", status, phase="Pending")
    result = await fails(kube(), Reason.ASSERTION, said)
    assert value(result, measured, workload="deployment/api") == 1
    cluster.objects["pods"][0] = pod("api-5d9-1", status)
    await fails(kube(), Reason.ASSERTION, "pod retail/api-5d9-1 (and 1 more of deployment/api)")


async def test_an_init_container_that_crashes_counts(cluster: ApiServer, kube: Any) -> None:
    crashes = box(3, "CrashLoopBackOff", end("Error", 2, OLD))
    cluster.objects["pods"] = [
        pod("api-5d9-1", box(0, "PodInitializing"), initContainerStatuses=[crashes], phase="Pending")
    ]
    await fails(kube(), Reason.ASSERTION, "crashes again and again", "exit code 2")


async def test_a_pod_may_be_pending_for_a_while(cluster: ApiServer, kube: Any) -> None:
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: too little cpu"}
    waiting = pod("api-5d9-3", conditions=[why], phase="Pending")
    waiting["status"]["containerStatuses"] = []
    cluster.objects["pods"] = [waiting]
    result = await fails(kube(), Reason.ASSERTION, "has been pending for 22d 1h: 0/3 nodes: too little cpu")
    assert value(result, "pods_pending") == value(result, "pods", phase="Pending") == 1
    waiting["metadata"]["creationTimestamp"] = LATELY
    await asked(kube(pending_after="10m"))


async def test_restarts_are_counted_between_probes_and_remembered(cluster: ApiServer, kube: Any) -> None:
    memory: Memory = {}
    cluster.objects["pods"] = [pod("api-5d9-1", box(5, ended=end("Error", 1, OLD)))]
    assert value(await asked(kube(), memory, 1000.0), "restarts_recent") == 0, "it was long ago"
    cluster.objects["pods"] = [pod("api-5d9-1", box(7, ended=end("OOMKilled", 137, JUST_NOW)))]
    run = await asked(kube(), memory, 1030.0)
    assert (value(run, "restarts_recent"), value(run, "oom_kills_recent")) == (2, 1)
    memory = {"kept": orjson.loads(orjson.dumps(memory["kept"]))}  # runwatch was started anew
    assert value(await asked(kube(), memory, 1060.0), "restarts_recent") == 2
    cluster.objects["pods"] = [pod("api-5d9-9", box(1, ended=end("Error", 1, JUST_NOW)))]
    assert value(await asked(kube(), memory, 1090.0), "restarts_recent") == 3, "another pod has come, and ended since"
    assert value(await asked(kube(), memory, 1700.0), "restarts_recent") == 0


@pytest.mark.parametrize(
    ("owner", "workload"),
    [
        (("ReplicaSet", "api-5d9"), "deployment/api"), (("StatefulSet", "db"), "statefulset/db"),
        (("DaemonSet", "agent"), "daemonset/agent"), (("Job", "backup-29334420"), "cronjob/backup"),
        (("Job", "migrate"), "jobs"), (("Rollout", "x"), "rollouts"),
    ],
)  # fmt: skip
def test_a_pod_belongs_to_what_a_person_has_made(owner: tuple[str, str], workload: str) -> None:
    assert read_pod(pod("x", owner=owner)).workload == workload


def test_a_pod_of_nobody_is_one_of_the_pods() -> None:
    alone = pod("x")
    del alone["metadata"]["ownerReferences"]
    assert read_pod(alone).workload == "pods"


async def test_pages_are_read_to_the_end_and_their_number_is_bounded(cluster: ApiServer, kube: Any) -> None:
    cluster.objects["pods"] = [pod(f"api-5d9-{number}") for number in range(120)]
    assert value(await asked(kube()), "pods", phase="Running") == 120
    assert sum("/pods" in path for path in cluster.asked) == 3
    endless = {"kind": "PodList", "metadata": {"continue": "again"}, "items": []}
    cluster.said["/pods"] = 200, orjson.dumps(endless)
    await errs(kube(), Reason.INTERNAL, "there are more than 5000 pods", "narrow them")


async def test_cron_jobs_are_judged_by_their_last_job_and_their_last_success(cluster: ApiServer, kube: Any) -> None:
    failed = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "Job has reached its limit",
    }
    done = {"type": "Complete", "status": "True", "lastTransitionTime": SUCCESS}
    cluster.objects["cronjobs"] = [
        cron_job("backup", lastSuccessfulTime=SUCCESS),
        cron_job("never", True),
    ]
    cluster.objects["jobs"] = [
        job("backup-1", "backup", failed, "2026-11-21T03:00:00Z"),
        job("backup-2", "backup", done, "2026-11-22T03:00:00Z"),
        job("backup-3", "backup", None, "2026-11-23T00:50:00Z"),
    ]
    run = await asked(kube(cronjobs=True))
    assert value(run, "job_failed", workload="cronjob/backup") == 0, "what failed was followed by a success"
    assert value(run, "job_running_seconds", workload="cronjob/backup") == 600
    assert value(run, "job_success_age_seconds", workload="cronjob/backup") == 21 * 3600 + 55 * 60
    assert value(run, "cronjob_suspended", workload="cronjob/never") == 1
    assert value(run, "job_success_age_seconds", workload="cronjob/never") == pytest.approx(22 * 86400 + 3600)
    cluster.objects["jobs"].append(job("backup-4", "backup", failed, "2026-11-23T00:51:00Z"))
    named = kube(workloads=("cronjob/backup",), pods=False)
    await fails(
        named, Reason.ASSERTION, "retail/cronjob/backup: its last job backup-4 failed: BackoffLimitExceeded, Job"
    )
    cluster.objects["jobs"].append(job("migrate", "", failed))
    await fails(kube(workloads=("job/migrate",), pods=False), Reason.ASSERTION, "retail/job/migrate: its last job")


async def test_nodes_that_are_not_ready_are_named(cluster: ApiServer, kube: Any) -> None:
    cluster.objects["nodes"] = [node("one", MemoryPressure="False", DiskPressure="True"), node("two", "Unknown")]
    result = await fails(kube(nodes=True), Reason.ASSERTION, "node two is not ready: kubelet stopped posting")
    assert (value(result, "nodes"), value(result, "nodes_not_ready")) == (2, 1)
    assert value(result, "node_pressure", node="one", condition="DiskPressure") == 1
    assert value(result, "node_ready", node="two") == 0


async def test_a_diagnosis_shows_events_last_words_and_last_lines(cluster: ApiServer, kube: Any) -> None:
    memory: Memory = {}
    crashed = box(7, "CrashLoopBackOff", end("Error", 1, OLD, "cannot reach\x1b the database"))
    cluster.objects["pods"] = [pod("api-5d9-1", crashed)]
    await fails(kube(), Reason.ASSERTION, memory=memory)
    about = {"kind": "Pod", "name": "api-5d9-1", "namespace": "retail"}
    cluster.objects["events"] = [
        {"metadata": meta_of(at), "involvedObject": about, "reason": "BackOff", "count": 9, "message": f"said {at}",
         "lastTimestamp": at}
        for at in ("2026-11-23T00:50:00Z", "2026-11-23T00:40:00Z")
    ]  # fmt: skip
    cluster.log = b"line one\nline two\n"
    run = Run(memory)
    await kube().diagnose(run)
    assert evidence(run, "end of api in retail/api-5d9-1") == "cannot reach\ufffd the database"
    assert (
        evidence(run, "events of retail/api-5d9-1")
        .splitlines()[-1]
        .endswith("BackOff (9 times): said 2026-11-23T00:50:00Z")
    )
    assert "line two" in evidence(run, "last lines of api")
    cluster.forbidden = {"events"}
    run = Run(memory)
    await kube().diagnose(run)
    assert 'resources: ["events"]' in evidence(run, "events of retail/api-5d9-1")


def meta_of(at: str) -> dict[str, Any]:
    return {"name": f"event-{at}", "namespace": "retail"}
