"""What retail runs on: containers with the API's log, a Kubernetes cluster, a machine; and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from monitor.demo.installation import CannotDo, Installation, fault
from monitor.demo.parts.engine import Engine
from monitor.demo.parts.kubernetes import ApiServer, box, deployment, end, pod
from monitor.demo.parts.machine import Machine
from monitor.demo.parts.recorded_engine import RecordedEngine

PART = "containers"
CONTAINERS = ("api", "web", "postgres", "redis", "nginx")
MEMORY = "64m"
HELD = 59 * 2**20
"""Bytes of that which the API can be told to hold; what is left is enough to tell it to let go."""
API = """
echo LOG [NestApplication] Nest application successfully started
while true; do
  if test -f /tmp/say; then cat /tmp/say; rm /tmp/say; fi
  if test -f /tmp/leak; then rm /tmp/leak; exec tail /dev/zero; fi
  sleep 0.02
done
"""
"""What the API's container runs: it logs what it is given, and takes all memory when it is told to."""


class RetailRuntime(Installation):
    """Containers, Kubernetes, the machine."""

    async def start_runtime(self) -> None:
        """Start them; only the shape of containers where this machine lets nobody run any."""
        self.engine = Engine()
        self.recorded: RecordedEngine | None = None
        self.stack.push_async_callback(self.engine.stop)
        if not await self.if_possible(PART, self._start_containers()):
            self.recorded = await self.stack.enter_async_context(RecordedEngine(*CONTAINERS))
        self.cluster = await self.stack.enter_async_context(ApiServer(lambda: self.now()))
        self.cluster.objects["deployments"] = [deployment("retail-api"), deployment("retail-web")]
        self._pods(box())
        self.machine = Machine(self.folder / "machine", lambda: self.now())
        self.every(30, self.machine.passes)
        self.environment |= {
            "RETAIL_ENGINE": self.recorded.url if self.recorded else self.engine.url,
            "RETAIL_KUBECONFIG": str(self.cluster.kubeconfig(self.folder / "kubeconfig")),
            "RETAIL_NAMESPACE": "retail",
            "RETAIL_ROOT": str(self.machine.root),
        }

    async def _start_containers(self) -> None:
        await self.engine.start()
        for name in CONTAINERS:
            await asyncio.to_thread(self._run, name)

    def _run(self, name: str) -> None:
        health = ("--health-cmd", "test ! -e /tmp/sick", "--health-interval=disable", "--health-retries=1")
        more = ("--memory", MEMORY) if name == "api" else health
        self.engine.run(name, *more, command=API if name == "api" else "exec sleep 1000000")

    async def podman(self, *arguments: str, check: bool = True) -> str:
        """What a podman command prints; CannotDo where there is no engine."""
        if self.recorded is not None:
            raise CannotDo(self.missing[PART])
        return await asyncio.to_thread(self.engine.podman, *arguments, check=check)

    async def _make_anew(self, name: str) -> None:
        await self.podman("rm", "-f", "-t", "0", name)
        await asyncio.to_thread(self._run, name)

    async def _in(self, container: str, script: str) -> None:
        await self.podman("exec", container, "/bin/sh", "-c", script)

    # --- containers ----------------------------------------------------------------------------------------------

    @fault("R08", "the container of the shop is killed")
    async def container_killed(self) -> AsyncIterator[None]:
        await self.podman("kill", "web")
        await self.podman("wait", "web")
        yield
        await self._make_anew("web")

    @fault("R08.unhealthy", "the health check of Nginx' container fails")
    async def container_unhealthy(self) -> AsyncIterator[None]:
        await self._in("nginx", "touch /tmp/sick")
        await self.podman("healthcheck", "run", "nginx", check=False)
        yield
        await self._in("nginx", "rm /tmp/sick")
        await self.podman("healthcheck", "run", "nginx")

    @fault("R08.restart", "somebody restarts the container of Redis")
    async def container_restarts(self) -> AsyncIterator[None]:
        await self.podman("restart", "-t", "0", "redis")
        yield

    @fault("R08.oom", "the API takes all the memory that it may have, and the kernel kills it")
    async def out_of_memory(self) -> AsyncIterator[None]:
        # Not every kernel tells the engine why it killed. Where one does, this is the engine's note of it.
        bundle = Path(await self.podman("inspect", "-f", "{{.OCIConfigPath}}", "api")).parent
        (bundle / "oom").touch()
        await self._in("api", "touch /tmp/leak")
        await self.podman("wait", "api")
        yield
        await self._make_anew("api")

    @fault("R08.memory", "the API holds nearly all the memory that it may have")
    async def memory_near(self) -> AsyncIterator[None]:
        await self._in("api", f"/bin/busybox head -c {HELD} /dev/zero > /dev/shm/held")
        yield
        await self._in("api", "rm /dev/shm/held")

    @fault("R16", "the API logs forty errors")
    async def errors_logged(self) -> AsyncIterator[None]:
        line = "ERROR [ExceptionsHandler] order req_{} could not be written"
        if self.recorded is not None:
            for number in range(1000, 1040):
                self.recorded.log("api", line.format(number))
            yield
            return
        lines = f"while test $i -lt 1040; do echo {line.format('$i')}; i=$((i+1)); done"
        await self._in("api", f"i=1000; {lines} > /tmp/new")
        await self._in("api", "/bin/busybox mv /tmp/new /tmp/say; while test -f /tmp/say; do sleep 0.02; done")
        yield

    # --- Kubernetes ----------------------------------------------------------------------------------------------

    def _pods(self, api: dict[str, object]) -> None:
        pods = []
        for name, state in (("api", api), ("web", box())):
            one = pod(f"retail-{name}-5d9-1", state, owner=("ReplicaSet", f"retail-{name}-5d9"))
            one["metadata"]["labels"]["app"] = f"retail-{name}"
            pods.append(one)
        self.cluster.objects["pods"] = pods

    @fault("R09", "the rollout of retail-api makes no progress")
    async def rollout_stuck(self) -> AsyncIterator[None]:
        late = {
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": 'ReplicaSet "retail-api-5d9" has timed out progressing.',
        }  # fmt: skip
        stuck = deployment("retail-api", updatedReplicas=1, conditions=[late])
        self.cluster.objects["deployments"] = [stuck, deployment("retail-web")]
        yield
        self.cluster.objects["deployments"] = [deployment("retail-api"), deployment("retail-web")]

    @fault("R09.crash", "a pod of retail-api ends again and again")
    async def pod_crashes(self) -> AsyncIterator[None]:
        self._pods(box(4, "CrashLoopBackOff", self._end("Error", 1)))
        self.cluster.log = b"Error: connect ECONNREFUSED 10.0.0.7:6379\n"
        yield
        self._pods(box())
        self.cluster.log = b""

    @fault("R09.restart", "a pod of retail-api was started again")
    async def pod_restarts(self) -> AsyncIterator[None]:
        self._pods(box(1, ended=self._end("Error", 1)))
        yield
        self._pods(box())

    def _end(self, reason: str, code: int) -> dict[str, object]:
        return end(reason, code, datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    # --- the machine ---------------------------------------------------------------------------------------------

    @fault("R11", "the machine's CPUs are busy")
    async def cpu_busy(self) -> AsyncIterator[None]:
        async with self.machine.under(cpu=0.97):
            yield

    @fault("R11.memory", "nine tenths of the machine's memory are taken")
    async def memory_used(self) -> AsyncIterator[None]:
        async with self.machine.under(memory=0.89):
            yield

    @fault("R11.disk", "the machine's disk has a request under way all the time")
    async def disk_busy(self) -> AsyncIterator[None]:
        async with self.machine.under(disk=1.0):
            yield

    @fault("R11.network", "the machine's network carries nearly all that it can")
    async def network_busy(self) -> AsyncIterator[None]:
        async with self.machine.under(network=0.95):
            yield
