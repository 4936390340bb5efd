"""A configuration of every part, and how one is read."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from monitor.config import Config, load

HOME = {"HOME": "/home/somebody"}


def configured(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    file = folder / "runwatch.yaml"
    file.write_text(dedent(text))
    return load(file, HOME | (environ or {}))


ENVIRON = {
    "DAKKAH_URL": "https://dakkah.example",
    "DATABASE_URL": "postgresql://watcher:p%40ssword@db.example/shop",
    "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
    "SLACK_BOT_TOKEN": "xoxb-1111-2222",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/secret-part",
}

MAIN = """\
include: [systems/*/system.yaml]
server: {listen: "127.0.0.1:9876", external_url: "https://watch.example.com"}
store: sqlite:///var/lib/runwatch/runwatch.db
defaults: {interval: 30s, timeout: 7s, retries: 2, retry_interval: 2s}
watchdog: {url: "https://hc.example/ping/uuid", interval: 2m}
route:
  receiver: team-chat
  group_by: [system, alertname]
  group_wait: 0s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: ['severity=~"critical|high"']
      receiver: on-call
      group_by: ['...']
      continue: true
      routes: [{match: {system: dakkah}, repeat_interval: 1h}]
receivers:
  - name: on-call
    pagerduty_configs: [{routing_key: "${PAGERDUTY_ROUTING_KEY}"}]
    slack_configs: [{bot_token: "${SLACK_BOT_TOKEN}", channel: "#incidents"}]
    fallback: team-chat
  - name: team-chat
    slack_configs: [{api_url: "${SLACK_WEBHOOK_URL}", channel: "#ops"}]
"""

SYSTEM = """\
system: dakkah
severities: {P0: critical, P1: high, P2: medium, P3: low}
respond_within: {P0: 15m, P1: 1h, P2: 4h, P3: 24h}
runbook: playbooks.md
labels: {team: shop}
checks:
  - name: store-health
    kind: http
    url: "${DAKKAH_URL}/store/health"
    interval: 60s
    expect: {status: 200, json: {status: healthy}}
    measure: {heap_bytes: "system.memory.heap_used_mb * `1048576`"}
    depends_on: [database]
    labels: {tier: front}
    alerts:
      - {alert: StoreDown, when: failed, severity: P0, runbook: "#health-checks"}
      - alert: StoreSlow
        when: duration_seconds > 2s
        resolve_when: duration_seconds < 1s
        for: 2m
        keep_firing_for: 5m
        severity: P1
        labels: {kind_of: latency}
        annotations: {summary: slow}
      - {alert: HeapFull, when: heap_bytes > 2GiB}
  - name: database
    kind: postgres
    dsn: "${DATABASE_URL}"
    severity: P2
"""
