"""Cases of the kinds that ask servers, services behind them and what they leave behind."""

from __future__ import annotations

import gzip
import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from checks.base import KEPT
from monitor.demo.parts.aws import REGION
from tests.system.estate import Case, Estate, case


@case
async def postgres(estate: Estate) -> Case:
    server = await estate.postgres()
    return Case({"dsn": server.dsn}, server.kill, "connect_refused")


@case
async def redis(estate: Estate) -> Case:
    server = await estate.valkey()
    return Case({"url": server.url}, server.kill, "connect_refused")


@case
async def stripe(estate: Estate) -> Case:
    from monitor.demo.parts.stripe import KEY, Account, refusal

    account = await estate.stack.enter_async_context(Account())

    async def refuse() -> None:
        account.answers["/v1/balance"] = [refusal(401, "api_key_expired", "Expired API Key provided")] * 2

    fields = {"api_key": KEY, "api_url": account.url, "own_key": False}
    return Case(fields, refuse, "auth")


@case
async def host(estate: Estate) -> Case:
    proc = estate.folder / "proc"

    async def gone() -> None:
        fields["proc"] = str(proc)

    fields: dict[str, Any] = {}
    return Case(fields, gone, "internal", "error")


@case
async def command(estate: Estate) -> Case:
    plugin = estate.folder / "check_queue"
    plugin.write_text("#!/bin/sh\necho 'OK - 3 waiting | waiting=3;10;20'\n")
    plugin.chmod(0o755)

    async def fill() -> None:
        plugin.write_text("#!/bin/sh\necho 'CRITICAL - 30 waiting | waiting=30;10;20'\nexit 2\n")

    return Case({"argv": [str(plugin)]}, fill, "assertion")


@case
async def sql(estate: Estate) -> Case:
    server = await estate.postgres()
    connection = await server.connect()
    await connection.execute("CREATE TABLE IF NOT EXISTS charges (intent text, amount int)")
    await connection.execute("TRUNCATE charges; INSERT INTO charges VALUES ('pi_1', 10), ('pi_2', 20)")
    await connection.close()

    async def charge_twice() -> None:
        again = await server.connect()
        await again.execute("INSERT INTO charges VALUES ('pi_1', 10)")
        await again.close()

    query = "SELECT intent, count(*) AS times FROM charges GROUP BY intent HAVING count(*) > 1"
    return Case({"dsn": server.dsn, "query": query, "expect": {"rows": 0}}, charge_twice, "assertion")


@case
async def pgbouncer(estate: Estate) -> Case:
    from tests.checks.pgbouncer_server import PgBouncer

    pooler = PgBouncer(estate.folder / "pgbouncer", await estate.postgres())
    estate.stack.push_async_callback(pooler.kill)
    await pooler.start()
    return Case({"dsn": pooler.console}, pooler.kill, "connect_refused")


@case
async def queue(estate: Estate) -> Case:
    server = await estate.valkey()
    await server.command("HSET", "bull:email:meta", "opts.maxLenEvents", "10000")

    async def lose() -> None:
        await server.command("DEL", "bull:email:meta")

    return Case({"url": server.url, "bullmq": {"name": "email"}}, lose, "assertion", "error")


@case
async def temporal(estate: Estate) -> Case:
    server = await estate.temporal()
    return Case({"address": server.address}, server.kill, "connect_refused")


@case
async def container(estate: Estate) -> Case:
    from tests.checks.docker import Docker, ended
    from tests.checks.docker import container as described

    docker = Docker()
    folder = Path(await estate.short_folder())
    url = await estate.stack.enter_async_context(docker.serving(folder))

    async def end() -> None:
        docker.containers["db"] = described("db", State=ended(1))

    return Case({"url": url, "containers": ["app", "db"]}, end, "assertion")


@case
async def cloudwatch(estate: Estate) -> Case:
    moto = await estate.moto()
    with closing(moto.client("logs")) as logs:
        logs.create_log_group(logGroupName="/shop/api")
        logs.create_log_stream(logGroupName="/shop/api", logStreamName="app")
        said = [{"timestamp": int(time.time() * 1000) - 5_000, "message": "served"}]
        logs.put_log_events(logGroupName="/shop/api", logStreamName="app", logEvents=said)

    async def drop() -> None:
        with closing(moto.client("logs")) as logs:
            logs.delete_log_group(logGroupName="/shop/api")

    keys = {"access_key_id": moto.key_id, "secret_access_key": moto.secret}
    fields = {"log_groups": ["/shop/api"], "endpoint_url": moto.url, "region": REGION, "credentials": keys}
    return Case({**fields, "patterns": {"errors": "ERROR"}}, drop, "assertion")


@case
async def s3(estate: Estate) -> Case:
    moto = await estate.moto()
    with closing(moto.client("s3")) as store:
        store.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": REGION})
        store.put_object(Bucket="backups", Key="pg/1.sql.gz", Body=b"x" * 100)

    async def lose() -> None:
        with closing(moto.client("s3")) as store:
            store.delete_object(Bucket="backups", Key="pg/1.sql.gz")

    keys = {"access_key_id": moto.key_id, "secret_access_key": moto.secret}
    return Case(
        {"bucket": "backups", "endpoint_url": moto.url, "region": REGION, "credentials": keys}, lose, "assertion"
    )


@case
async def logfile(estate: Estate) -> Case:
    log = estate.folder / "app.log"
    log.write_text("2026-11-22T10:00:00Z INFO served\n")

    async def lose() -> None:
        log.unlink()

    return Case({"path": str(log), "patterns": {"errors": "ERROR"}, "start_at": "beginning"}, lose, "assertion")


@case
async def heartbeat(estate: Estate) -> Case:
    from checks.heartbeat import Heartbeat, Ping
    from monitor.store.history import History

    keys = {"uuid": "5f2c9a3e-7d41-4c60-9a55-0c8e3b1f2a77", "period": "1d", "grace": "1h"}
    job = Heartbeat(name="heartbeat", system="default", **keys)

    async def fail() -> None:
        memory: dict[Any, Any] = {}
        job.take(memory, Ping(at=time.time() - 5, action="fail", body="disk full"))
        (estate.folder / "runwatch").mkdir()
        history = History(estate.folder / "runwatch" / "runwatch.results.db")
        history.keep_memory(job.key, time.time(), f"{job.kind} {job.target}", json.dumps(memory[KEPT]).encode())
        history.close()

    return Case(keys, fail, "assertion")


@case
async def kubernetes(estate: Estate) -> Case:
    from monitor.demo.parts.kubernetes import ApiServer, deployment, pod

    server = ApiServer()
    server.objects["deployments"], server.objects["pods"] = [deployment("api")], [pod("api-5d9-1"), pod("api-5d9-2")]
    await estate.stack.enter_async_context(server)
    authority = server.authority.write(estate.folder / "cluster.pem")

    async def stall() -> None:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "…"}
        server.objects["deployments"] = [deployment("api", updatedReplicas=1, conditions=[late])]

    fields = {"url": server.url, "token": server.token, "namespace": "retail", "tls": {"ca_file": str(authority)}}
    return Case(fields, stall, "assertion")


@case
async def backup(estate: Estate) -> Case:
    folder = estate.folder / "backups"
    folder.mkdir()
    dump = gzip.compress(
        b"--\n-- PostgreSQL database dump\n--\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n"
    )
    for day in range(3):
        file = folder / f"shop_{day}.sql.gz"
        file.write_bytes(dump)
        at = time.time() - day * 86_400 - 600
        os.utime(file, (at, at))

    async def age() -> None:
        for file in folder.iterdir():
            at = file.stat().st_mtime - 2 * 86_400
            os.utime(file, (at, at))

    return Case({"path": f"{folder}/*.sql.gz"}, age, "assertion")


@case
async def secret_age(estate: Estate) -> Case:
    file = estate.folder / "app.env"
    file.write_text(f"# rotated: {time.strftime('%Y-%m-%d')}\nSESSION_SECRET=0123456789abcdef\n")
    file.chmod(0o600)

    async def age() -> None:
        file.write_text("# rotated: 2025-01-01\nSESSION_SECRET=0123456789abcdef\n")

    return Case({"path": str(file), "variable": "SESSION_SECRET", "since": "marker"}, age, "assertion")
