"""A check of the stand-in cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks.kubernetes import Kubernetes
from monitor.demo.parts.kubernetes import ApiServer


@pytest.fixture
def ca_file(cluster: ApiServer, tmp_path: Path) -> str:
    return str(cluster.authority.write(tmp_path / "ca.pem"))


@pytest.fixture
def kube(cluster: ApiServer, ca_file: str) -> Any:
    def make(**fields: Any) -> Kubernetes:
        given_ = {"token": cluster.token, "namespace": "retail", "tls": {"ca_file": ca_file}, **fields}
        return Kubernetes(name="shop", url=cluster.url, **given_)

    return make
