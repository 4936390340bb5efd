"""How to get into a cluster: the pod's own account, a token, or a kubeconfig with its certificates and plugins."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from checks.base import Errored, Reason, Run
from checks.parts.json_values import dig, moment, text, values
from checks.parts.pool import in_pool
from checks.parts.program import run_program
from checks.wire.certificates import visible

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LARGEST = 2**20
EARLY = 60.0
"""Seconds before its end at which a credential is asked for anew."""
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True, slots=True)
class Access:
    """Where a cluster is and as whom to appear. Certificates are PEM; `plugin` is what makes the credential."""

    server: str
    token: str = ""
    namespace: str = ""
    ca: bytes = b""
    cert: bytes = b""
    key: bytes = b""
    verify: bool = True
    server_name: str = ""
    plugin: tuple[tuple[str, ...], tuple[tuple[str, str], ...], str, str] | None = None
    """Its argv, its environment, the version of its protocol, and the folder it is relative to."""

    def context(self) -> ssl.SSLContext:
        """The TLS context: some milliseconds of work. Raises Errored."""
        try:
            context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
            if not self.verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if self.cert:
                with ExitStack() as stack:
                    context.load_cert_chain(_in_memory(stack, self.cert), _in_memory(stack, self.key))
        except (ssl.SSLError, UnicodeError, OSError, ValueError) as why:
            raise unusable("its certificates", str(why)) from None
        return context


def _in_memory(stack: ExitStack, content: bytes) -> str:
    """A file that is on no disk, since OpenSSL reads keys out of files only."""
    descriptor = os.memfd_create("pem")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"


def unusable(what: str, why: str) -> Errored:
    """Our own credentials can't be used."""
    return Errored(Reason.INTERNAL, f"cannot ask the cluster: {what} can't be used: {visible(why, 200)}")


def read_file(path: str | Path) -> bytes:
    """A small file. Raises Errored."""
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except OSError as why:
        raise unusable(str(path), (why.strerror or str(why)).lower()) from None


def of_the_pod(account: Path = ACCOUNT) -> Access:
    """The account of the pod that we run in; its token changes, so it is read for each probe. Raises Errored."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise Errored(
            Reason.INTERNAL,
            "cannot ask the cluster: runwatch is in no pod (no KUBERNETES_SERVICE_HOST): give url or kubeconfig",
        )
    where = f"[{host}]" if ":" in host else host
    token = read_file(account / "token").decode("utf-8", "replace").strip()
    namespace = read_file(account / "namespace").decode("utf-8", "replace").strip()
    return Access(f"https://{where}:{port}", token, namespace, ca=read_file(account / "ca.crt"))


def of_a_kubeconfig(path: str, context: str) -> Access:
    """What a kubeconfig says of a context, its current one for "". Raises Errored."""
    import yaml

    try:
        held = yaml.load(read_file(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as why:
        raise unusable(path, f"it is no YAML: {why}") from None
    folder = Path(path).parent
    name = context or text(held, "current-context")
    chosen = _named(held, "contexts", "context", name, path)
    cluster = _named(held, "clusters", "cluster", text(chosen, "cluster"), path)
    user = _named(held, "users", "user", text(chosen, "user"), path) if text(chosen, "user") else {}
    for old in ("auth-provider", "username"):
        if dig(user, old):
            raise unusable(path, f"{old} is not known to clusters any more: use a token, a certificate or exec")
    token = text(user, "token")
    if text(user, "tokenFile"):
        token = read_file(folder / text(user, "tokenFile")).decode("utf-8", "replace").strip()
    return Access(
        server=text(cluster, "server").rstrip("/"),
        token=token,
        namespace=text(chosen, "namespace"),
        ca=_pem(cluster, "certificate-authority", folder, path),
        cert=_pem(user, "client-certificate", folder, path),
        key=_pem(user, "client-key", folder, path),
        verify=dig(cluster, "insecure-skip-tls-verify") is not True,
        server_name=text(cluster, "tls-server-name"),
        plugin=_plugin(user, folder, path),
    )


def _named(held: Any, group: str, inside: str, name: str, path: str) -> Any:
    for entry in values(held, group):
        if text(entry, "name") == name and isinstance(dig(entry, inside), dict):
            return dig(entry, inside)
    raise unusable(path, f"it has no {inside} {visible(name, 80)!r}")


def _pem(held: Any, name: str, folder: Path, path: str) -> bytes:
    data = text(held, f"{name}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error:
            raise unusable(path, f"{name}-data is no base64") from None
    return read_file(folder / text(held, name)) if text(held, name) else b""


def _plugin(user: Any, folder: Path, path: str) -> Any:
    plugin = dig(user, "exec")
    if not isinstance(plugin, dict):
        return None
    command, version = text(plugin, "command"), text(plugin, "apiVersion")
    if not command or version not in EXEC_VERSIONS:
        raise unusable(
            path, f"its exec plugin speaks {visible(version, 60) or 'no version'}; known is {EXEC_VERSIONS[0]}"
        )
    if "/" in command:
        command = str(folder / command)
    arguments = [str(one) for one in values(plugin, "args")]
    environment = [(text(one, "name"), text(one, "value")) for one in values(plugin, "env") if text(one, "name")]
    return (command, *arguments), tuple(environment), version, str(folder)


async def with_credential(run: Run, access: Access, seconds: float) -> Access:
    """With the credential that its plugin makes, which is kept until it ends. Raises Errored."""
    if access.plugin is None:
        return access
    held = run.memory.get("credential")
    if held is None or held[0] != access or (held[2] and run.at > held[2] - EARLY):
        argv, environment, version, folder = access.plugin
        asked = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        env = {**os.environ, "KUBERNETES_EXEC_INFO": orjson.dumps(asked).decode(), **dict(environment)}
        ended = await run_program(run, argv, env, folder, seconds)
        if ended.code != 0:
            said = visible(" ".join(ended.errors.decode("utf-8", "replace").split()), 200)
            start = f"cannot log in to the cluster: {argv[0]} ended with exit code"
            raise Errored(Reason.AUTH, f"{start} {ended.code}: {said}")
        held = run.memory["credential"] = access, *_made(argv[0], ended.output, access)
    return held[1]


def _made(name: str, output: bytes, access: Access) -> tuple[Access, float]:
    """With the credential that a plugin wrote, and when that ends (0: never)."""
    try:
        status = dig(orjson.loads(output), "status")
    except orjson.JSONDecodeError:
        status = None
    token = text(status, "token")
    cert, key = text(status, "clientCertificateData").encode(), text(status, "clientKeyData").encode()
    if not token and not (cert and key):
        # What it wrote may hold a part of a secret, so it is not shown.
        raise Errored(Reason.AUTH, f"cannot log in to the cluster: {name} wrote no credential")
    made = replace(access, token=token or access.token, cert=cert or access.cert, key=key or access.key)
    return made, moment(text(status, "expirationTimestamp"))


async def tls_context(run: Run, access: Access) -> ssl.SSLContext | None:
    """The TLS context, made once for the same certificates."""
    if not access.server.startswith("https:"):
        return None
    key = access.ca, access.cert, access.key, access.verify
    held = run.memory.get("context")
    if held is None or held[0] != key:
        held = run.memory["context"] = key, await in_pool(run, access.context)
    return held[1]
