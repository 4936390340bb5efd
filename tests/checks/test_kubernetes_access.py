"""The ways into a cluster: the pod's own account, kubeconfigs, exec plugins."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.base import Reason
from checks.kubernetes import Kubernetes
from checks.parts.kubernetes import access
from monitor.demo.parts.kubernetes import ApiServer
from tests.checks.cluster import AT
from tests.checks.probing import Memory, asked, errs, fails, result_of, value

JUST_NOW, LATELY, SUCCESS = "2026-11-23T00:59:30Z", "2026-11-23T00:55:00Z", "2026-11-22T03:05:00Z"


def kubeconfig(folder: Path, cluster: ApiServer, user: dict[str, Any], **of_cluster: Any) -> str:
    """A kubeconfig for the cluster, with a namespace of its own."""
    certificate = base64.b64encode(cluster.authority.pem).decode()
    path = folder / "config"
    config = {
        "current-context": "shop",
        "contexts": [{"name": "shop", "context": {"cluster": "c", "user": "u", "namespace": "retail"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": cluster.url, "certificate-authority-data": certificate, **of_cluster}}
        ],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(config))
    return str(path)


async def test_in_a_cluster_the_pods_own_account_is_used_and_its_token_read_anew(
    cluster: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("sesame\n")
    (tmp_path / "namespace").write_text("retail")
    cluster.authority.write(tmp_path / "ca.crt")
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(access.of_the_pod, "__defaults__", (tmp_path,))
    memory: Memory = {}
    assert value(await asked(Kubernetes(name="shop"), memory), "rollout_complete", namespace="retail") == 1
    cluster.token = "sesame2"
    await errs(Kubernetes(name="shop"), Reason.AUTH, "it does not know", memory=memory)
    (tmp_path / "token").write_text("sesame2")
    await asked(Kubernetes(name="shop"), memory)
    (tmp_path / "token").unlink()
    await errs(Kubernetes(name="shop"), Reason.INTERNAL, f"{tmp_path}/token can't be used: no such file")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    await errs(Kubernetes(name="shop"), Reason.INTERNAL, "runwatch is in no pod")


async def test_a_kubeconfig_gives_tokens_certificates_and_files_beside_it(cluster: ApiServer, tmp_path: Path) -> None:
    def into(user: dict[str, Any], **of_cluster: Any) -> Kubernetes:
        return Kubernetes(name="shop", kubeconfig=kubeconfig(tmp_path, cluster, user, **of_cluster))

    (tmp_path / "token").write_text("sesame")
    mine = cluster.client()
    data = base64.b64encode(mine).decode()
    (tmp_path / "mine.pem").write_bytes(mine)
    for user in (
        {"token": "sesame"}, {"tokenFile": "token"},
        {"client-certificate-data": data, "client-key-data": data},
        {"client-certificate": "mine.pem", "client-key": "mine.pem"},
    ):  # fmt: skip
        assert value(await asked(into(user)), "rollout_complete", namespace="retail") == 1
    assert (await result_of(into({"token": "sesame"}, **{"tls-server-name": "kubernetes.default"}))).outcome == "ok"
    await fails(into({"token": "sesame"}, **{"tls-server-name": "elsewhere"}), Reason.TLS_NAME)
    blind = {"certificate-authority-data": "", "insecure-skip-tls-verify": True}
    assert (await result_of(into({"token": "sesame"}, **blind))).outcome == "ok"
    await fails(into({"token": "sesame"}, **{"certificate-authority-data": ""}), Reason.TLS_HANDSHAKE)
    await errs(into({"token": "wrong"}), Reason.AUTH, "it does not know the monitor's credential")
    await errs(into({"token": "wr\x07ng"}), Reason.INTERNAL, "its token can't be used")
    await errs(into({"client-certificate-data": data, "client-key-data": "?"}), Reason.INTERNAL, "no base64")
    await errs(
        into({"client-certificate-data": data, "client-key-data": base64.b64encode(b"x").decode()}),
        Reason.INTERNAL,
        "certificates can't be used",
    )
    await errs(into({"auth-provider": {"name": "gcp"}}), Reason.INTERNAL, "auth-provider is not known")
    await errs(into({"token": "x"}, server="nowhere"), Reason.INTERNAL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (": : :\n- [", "it is no YAML"), ("", "it has no context ''"), ("[]", "it has no context"),
        ("current-context: x", "it has no context 'x'"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]", "it has no cluster 'c'"),
        ("a: &a [x]\nb: *a\ncurrent-context: 5", "it has no context ''"),
    ],
)  # fmt: skip
async def test_a_kubeconfig_that_is_none_is_our_error(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "config").write_text(content)
    await errs(Kubernetes(name="shop", kubeconfig=str(tmp_path / "config")), Reason.INTERNAL, said)


async def test_a_kubeconfig_that_is_not_there_is_our_error(tmp_path: Path) -> None:
    await errs(Kubernetes(name="shop", kubeconfig=str(tmp_path / "no")), Reason.INTERNAL, "no such file")


PLUGIN = """\
import json, os, pathlib, sys
counter = pathlib.Path(sys.argv[1])
counter.write_text(str(int(counter.read_text() or 0) + 1) if counter.exists() else "1")
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert asked["kind"] == "ExecCredential" and asked["spec"]["interactive"] is False
status = {"token": os.environ["TOKEN"]}
if len(sys.argv) > 2:
    status["expirationTimestamp"] = sys.argv[2]
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


def plugin(
    folder: Path, cluster: ApiServer, *arguments: str, token: str = "sesame", program: str = PLUGIN
) -> Kubernetes:
    (folder / "plugin.py").write_text(program)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable,
            "args": [str(folder / "plugin.py"), str(folder / "count"), *arguments],
            "env": [{"name": "TOKEN", "value": token}], "interactiveMode": "Never",
        }
    }  # fmt: skip
    return Kubernetes(name="shop", kubeconfig=kubeconfig(folder, cluster, user), timeout="5s")


async def test_an_exec_plugin_is_run_once_until_its_credential_ends(cluster: ApiServer, tmp_path: Path) -> None:
    memory: Memory = {}
    one = plugin(tmp_path, cluster, "2026-11-23T02:00:00Z")
    for at in (AT, AT + 30):
        await asked(one, memory, at)
    assert (tmp_path / "count").read_text() == "1"
    assert "sesame" not in str(memory.get("kept"))
    await asked(one, memory, AT + 3590)
    assert (tmp_path / "count").read_text() == "2", "it would have ended within the minute"
    cluster.token = "sesame2"
    await errs(one, Reason.AUTH, memory=memory)
    assert "credential" not in memory, "the next probe asks the plugin anew"


@pytest.mark.parametrize(
    ("program", "reason", "said"),
    [
        ("import sys; sys.exit('no \\x1b credentials')", Reason.AUTH, "ended with exit code 1: no \ufffd credentials"),
        ("print('sesame')", Reason.AUTH, "wrote no credential"),
        ('print(\'{"status": {"token": 5}}\')', Reason.AUTH, "wrote no credential"),
        ("import time; time.sleep(60)", Reason.READ_TIMEOUT, "did not end within"),
    ],
)
async def test_an_exec_plugin_that_fails_is_our_error(
    cluster: ApiServer, tmp_path: Path, program: str, reason: Reason, said: str
) -> None:
    one = plugin(tmp_path, cluster, program=program).model_copy(update={"timeout": 2.0})
    result = await errs(one, reason, said)
    assert "sesame" not in result.sentence


async def test_an_exec_plugin_that_is_not_there_or_speaks_something_else_is_our_error(
    cluster: ApiServer, tmp_path: Path
) -> None:
    def into(**fields: Any) -> Kubernetes:
        return Kubernetes(name="shop", kubeconfig=kubeconfig(tmp_path, cluster, {"exec": fields}))

    version = "client.authentication.k8s.io/v1beta1"
    await errs(into(apiVersion=version, command="no-such-plugin"), Reason.INTERNAL, "no-such-plugin")
    await errs(into(apiVersion="v1alpha1", command="x"), Reason.INTERNAL, "speaks v1alpha1")
