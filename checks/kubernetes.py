"""Asks a Kubernetes cluster how workloads are: rollouts, restarts, crash loops, pods that wait, jobs, nodes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, model_validator

from checks.base import DIAGNOSIS, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network
from checks.parts.api import Answer, Api
from checks.parts.json_values import header_date, moment, number, text, values
from checks.parts.kubernetes import access
from checks.parts.kubernetes.access import Access
from checks.parts.kubernetes.lists import MOST_PAGES, Cluster, path_of
from checks.parts.kubernetes.measurements import MEASUREMENTS, RECOMMENDED
from checks.parts.kubernetes.pods import Pod, cron_job, job, node, pod
from checks.parts.kubernetes.records import (
    Patience,
    Wrong,
    record_cron_jobs,
    record_jobs,
    record_nodes,
    record_pods,
    record_rollouts,
    shown,
)
from checks.parts.kubernetes.rollout import KINDS, Rollout, rollout
from checks.parts.pool import in_pool
from checks.units import Duration
from checks.wire.certificates import visible

LARGEST, LARGEST_LOG = 4 * 2**20, 2**18
SAID, LOOKED_AT, SHOWN_EVENTS, LOG_LINES = 8, 3, 8, 20
RESOURCES = {**{kind: resource for resource, kind in KINDS.items()}, "cronjob": "cronjobs", "job": "jobs"}


def _server(url: Url) -> Url:
    if url.parts.scheme not in ("http", "https"):
        raise ValueError("an address such as https://kubernetes.example.com:6443 is wanted")
    network.endpoint(url, 443)
    return url


def _workload(name: str) -> str:
    kind, slash, rest = name.partition("/")
    kind = {"deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "cj": "cronjob"}.get(kind, kind)
    kind = kind if kind in RESOURCES else kind.removesuffix("s")
    if kind not in RESOURCES or not slash or not rest or "/" in rest:
        raise ValueError(f"{name!r} is no workload: write {', '.join(f'{kind}/NAME' for kind in RESOURCES)}")
    return f"{kind}/{rest}"


class Kubernetes(Check):
    """Workloads of a Kubernetes cluster, by the rules of `kubectl rollout status`."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    url: Annotated[Url, AfterValidator(_server)] | None = Field(
        default=None,
        description="The API server; without it and kubeconfig, that of the cluster that runwatch runs in.",
    )
    token: SecretStr = Field(default=SecretStr(""), description="Token for url.")
    token_file: str = Field(default="", description="File of the token for url; read for each probe.")
    tls: network.TlsSettings = Field(
        default=network.TlsSettings(), description="Whom to believe at url, as whom to appear."
    )
    kubeconfig: str = Field(default="", description="A kubeconfig, in place of url; exec plugins are run.")
    context: str = Field(default="", description="Its context; without it, its current one.")
    namespace: str = Field(
        default="", pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?|\*)?$",
        description="Namespace to watch, * for all; without it, that of the pod or of the kubeconfig, else default.",
    )  # fmt: skip
    workloads: tuple[Annotated[str, AfterValidator(_workload)], ...] = Field(
        default=(),
        description="Workloads such as deployment/api; each has to be there. Without it, all that there are.",
    )
    exclude: tuple[str, ...] = Field(default=(), description="Workloads to leave out, as shell patterns.")
    selector: str = Field(default="", description="Only what has these labels, as in kubectl -l.")
    pods: bool = Field(default=True, description="Whether to look at pods too.")
    cronjobs: bool = Field(default=False, description="Whether to look at all cron jobs and jobs too.")
    nodes: bool = Field(default=False, description="Whether to look at the cluster's nodes too.")
    recent: Duration = Field(default=600.0, gt=0, description="For how long a restart or a kill counts as recent.")
    pending_after: Duration = Field(default=300.0, gt=0, description="How long a pod may be pending.")
    rollout_within: Duration = Field(default=900.0, gt=0, description="How long a rollout may take.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Kubernetes:
        if self.url is not None and self.kubeconfig:
            raise ValueError("give url or kubeconfig, not both")
        if self.url is None and (self.token.get_secret_value() or self.token_file):
            raise ValueError("token and token_file need url beside them")
        if self.context and not self.kubeconfig:
            raise ValueError("context needs kubeconfig beside it")
        if self.token.get_secret_value() and self.token_file:
            raise ValueError("give token or token_file, not both")
        return self

    @property
    def target(self) -> str:
        """The cluster and the namespace."""
        where = str(self.url) if self.url is not None else self.kubeconfig or "in-cluster"
        return f"{where} {self.namespace}".rstrip()

    def asks(self) -> tuple[Asks, ...]:
        """A list of each sort of object, page by page; a diagnosis asks for events and last lines."""
        sorts = sum(self._wants_any(kind, True) for kind in KINDS.values()) + self.pods + self.nodes
        sorts += self._wants_any("cronjob", self.cronjobs) + self._wants_any("job", self.cronjobs)
        most = sorts + self._wants_any("cronjob", self.cronjobs)
        return (Asks(self.target, sorts, most * MOST_PAGES, diagnosis=3 * LOOKED_AT),)

    async def probe(self, run: Run) -> None:
        """List workloads, pods, jobs and nodes as configured, judge them, record them."""
        into = await self._access(run)
        namespace = "" if self.namespace == "*" else self.namespace or into.namespace or "default"
        wrong = Wrong()
        try:
            async with await self._api(run, into, self.timeout) as api:
                await self._look(Cluster(api, into.token), namespace, run, wrong)
        except Errored as why:
            if why.reason is Reason.AUTH:
                run.memory.pop("credential", None)  # a plugin makes another
            raise
        run.memory["look at"] = namespace, wrong
        if wrong.sentences:
            more = len(wrong.sentences) - SAID
            said = wrong.sentences[:SAID] + ([f"and {more} more"] if more > 0 else [])
            raise Failed(Reason.ASSERTION, "; ".join(said))

    async def diagnose(self, run: Run) -> None:
        """The events of what is wrong, what containers said at their end, and their last lines before it."""
        looked = run.memory.get("look at")
        if looked is None:
            return
        _, wrong = looked
        into = await self._access(run)
        for one in wrong.pods[:LOOKED_AT]:
            for box in one.boxes:
                if box.message:
                    title = f"end of {visible(box.name, 60)} in {shown(one.namespace, one.name)}"
                    run.evidence(title, visible(box.message, 1_000))
        async with await self._api(run, into, DIAGNOSIS) as api:
            cluster = Cluster(api, into.token)
            objects = [(one.namespace, one.name) for one in wrong.pods]
            objects += [(namespace, name.partition("/")[2]) for namespace, name in wrong.workloads]
            for namespace, name in objects[:LOOKED_AT]:
                try:
                    said = _events((await _asked(cluster, namespace, name)).json())
                except (Failed, Errored) as why:
                    said = why.sentence
                run.evidence(f"events of {shown(namespace, name)}", said or "there are none")
            for one in wrong.pods[:LOOKED_AT]:
                await _last_lines(run, cluster, one)

    async def _access(self, run: Run) -> Access:
        """Where the cluster is and as whom to appear. Raises Errored."""
        if self.kubeconfig:
            into = await in_pool(run, access.of_a_kubeconfig, self.kubeconfig, self.context)
            return await access.with_credential(run, into, self.timeout * 0.8)
        if self.url is None:
            return await in_pool(run, access.of_the_pod)
        token = self.token.get_secret_value()
        if self.token_file:
            token = (await in_pool(run, access.read_file, self.token_file)).decode("utf-8", "replace").strip()
        return Access(self.url.reveal().rstrip("/"), token)

    async def _api(self, run: Run, into: Access, seconds: float) -> Api:
        if not into.token.isascii() or not into.token.isprintable():
            raise access.unusable("its token", "it holds what is no letter, digit or sign")
        headers = {"Authorization": f"Bearer {into.token}"} if into.token else {}
        name = f"the cluster at {Url(into.server)}"
        if self.url is not None:
            return Api(name, into.server, seconds, headers=headers, tls=self.tls, largest=LARGEST)
        context = await access.tls_context(run, into)
        tls = network.TlsSettings(server_name=into.server_name)
        return Api(name, into.server, seconds, headers=headers, tls=tls, largest=LARGEST, context=context)

    async def _look(self, cluster: Cluster, namespace: str, run: Run, wrong: Wrong) -> None:
        query = {"labelSelector": self.selector} if self.selector else {}
        rollouts: list[Rollout] = []
        for resource, kind in KINDS.items():
            if self._wants_any(kind, True):
                listed = await cluster.each(resource, namespace, query, partial(rollout, resource=resource))
                rollouts += [one for one in listed if self._wants(one.name)]
        crons = jobs = []
        if self._wants_any("cronjob", self.cronjobs):
            crons = await cluster.each("cronjobs", namespace, query, cron_job)
        if crons or self._wants_any("job", self.cronjobs):
            jobs = await cluster.each("jobs", namespace, {}, job)
        pods = await cluster.each("pods", namespace, query, pod) if self.pods else []
        nodes = await cluster.each("nodes", "", {}, node) if self.nodes else []
        pods = [one for one in pods if self._wants(one.workload)]
        now = header_date(cluster.date, run.at)
        patience = Patience(now, self.recent, self.pending_after, self.rollout_within)
        record_rollouts(run, rollouts, patience, wrong)
        record_pods(run, pods, patience, wrong)
        crons = [one for one in crons if self._wants(one.name)]
        record_cron_jobs(run, crons, jobs, now, wrong)
        single = [one for one in jobs if f"job/{one.name}" in self.workloads]
        for one in single:
            record_jobs(run, (one.namespace, f"job/{one.name}"), [one], 0.0, now, wrong)
        if self.nodes:
            record_nodes(run, nodes, wrong)
        self._miss({one.name for one in [*rollouts, *crons]} | {f"job/{one.name}" for one in single}, namespace, wrong)
        if not (rollouts or crons or pods or nodes or wrong.sentences):
            where = f"the namespace {namespace}" if namespace else "the cluster"
            wrong.add(f"there is nothing to watch in {where}" + (f" with {self.selector}" if self.selector else ""))

    def _miss(self, there: set[str], namespace: str, wrong: Wrong) -> None:
        for name in self.workloads:
            if name not in there:
                wrong.add(f"there is no {visible(name)}" + (f" in the namespace {namespace}" if namespace else ""))

    def _wants(self, name: str) -> bool:
        if self.workloads and name not in self.workloads:
            return False
        return not any(fnmatchcase(name, like) for like in self.exclude)

    def _wants_any(self, kind: str, usually: bool) -> bool:
        if self.workloads:
            return any(name.startswith(f"{kind}/") for name in self.workloads)
        return usually


async def _asked(cluster: Cluster, namespace: str, name: str) -> Answer:
    query = {"fieldSelector": f"involvedObject.name={name}", "limit": "50"}
    return await cluster.ask("events", path_of("events", namespace), namespace, query)


def _events(answer: Any) -> str:
    """The last events, the newest last, one a line."""
    lines = []
    for one in values(answer, "items"):
        at = next((text(one, name) for name in ("lastTimestamp", "eventTime", "firstTimestamp") if text(one, name)), "")
        count = number(one, "count") or 1
        times = f" ({count:.0f} times)" if count > 1 else ""
        said = f"{visible(text(one, 'reason'), 60)}{times}: {visible(text(one, 'message'), 300)}"
        lines.append((moment(at), f"{visible(at[:19])} {said}"))
    return "\n".join(line for _, line in sorted(lines)[-SHOWN_EVENTS:])


async def _last_lines(run: Run, cluster: Cluster, one: Pod) -> None:
    """What the container wrote before it ended, where the monitor may read logs: it need not."""
    box = next((box for box in one.boxes if box.waits == "CrashLoopBackOff"), None)
    if box is None:
        return
    query = {"container": box.name, "previous": "true", "tailLines": str(LOG_LINES)}
    path = f"{path_of('pods', one.namespace)}/{quote(one.name, safe='')}/log"
    answer = await cluster.api.ask("GET", path, query, accept=(), enough=LARGEST_LOG)
    if answer.status == 200 and answer.body:
        run.evidence(f"last lines of {visible(box.name, 60)}", answer.text(3_500))
