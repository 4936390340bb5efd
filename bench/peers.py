"""Prometheus with blackbox_exporter, the peers, at the same targets and the same rate as we."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.daemon import cpu

PROMETHEUS = shutil.which("prometheus")
BLACKBOX = shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")
MISSING = "" if PROMETHEUS and BLACKBOX else "prometheus and blackbox_exporter are not installed here"
RULES = """\
groups:
  - name: bench
    interval: 15s
    rules:
      - {alert: Down, expr: probe_success == 0}
      - {alert: Slow, expr: "quantile_over_time(0.95, probe_duration_seconds[5m]) > 0.5", for: 2m}
"""


class Peers:
    """Both processes, running."""

    def __init__(self, prometheus: subprocess.Popen[bytes], blackbox: subprocess.Popen[bytes], port: int) -> None:
        self._processes = prometheus, blackbox
        self._port = port

    def cpu(self) -> float:
        """Seconds of CPU that both have used."""
        return cpu(*(process.pid for process in self._processes))

    def ask(self, query: str) -> float:
        """The value of an instant query that yields one number."""
        url = f"http://127.0.0.1:{self._port}/api/v1/query?query={urllib.request.quote(query)}"  # type: ignore[attr-defined]
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


@contextmanager
def peers(folder: Path, port: int, count: int, interval: str, authority: str = "") -> Iterator[Peers]:
    """Both, asking `count` targets each once in `interval`."""
    assert PROMETHEUS and BLACKBOX
    folder.mkdir(parents=True, exist_ok=True)
    ports = _free_ports(2)
    http = {
        "valid_status_codes": [200],
        "fail_if_body_not_matches_regexp": ['"status":"healthy"'],
        "preferred_ip_protocol": "ip4",
    }
    if authority:
        http |= {"tls_config": {"ca_file": authority}, "fail_if_not_ssl": True}
    module = {"prober": "http", "timeout": "4s", "http": http}
    (folder / "blackbox.yml").write_text(json.dumps({"modules": {"bench": module}}))
    scheme = "https" if authority else "http"
    job = {
        "job_name": "bench",
        "metrics_path": "/probe",
        "params": {"module": ["bench"]},
        "scrape_interval": interval,
        "scrape_timeout": "4s",
        "static_configs": [{"targets": [f"{scheme}://127.0.0.1:{port}/c{number}" for number in range(count)]}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"127.0.0.1:{ports[1]}"},
        ],
    }
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "scrape_configs": [job]}))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    blackbox = subprocess.Popen(
        [BLACKBOX, "--config.file=blackbox.yml", f"--web.listen-address=127.0.0.1:{ports[1]}"], **quiet
    )  # type: ignore[call-overload]
    prometheus = subprocess.Popen(
        [
            PROMETHEUS,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=tsdb",
            f"--web.listen-address=127.0.0.1:{ports[0]}",
        ],
        **quiet,
    )  # type: ignore[call-overload]
    try:
        _listening(ports[0])
        yield Peers(prometheus, blackbox, ports[0])
    finally:
        for process in (prometheus, blackbox):
            process.terminate()
        for process in (prometheus, blackbox):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _listening(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("Prometheus did not begin to listen")
