"""What Alertmanager's files may say and runwatch says otherwise: its global settings, its integrations, their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from alerts.notifiers.base import HookUrl
from alerts.templates import go_template
from checks.base import Url
from checks.units import Duration
from monitor.config.problems import Step


class GlobalEntry(BaseModel):
    """Defaults for all receivers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolve_timeout: Duration = Field(
        default=300.0, gt=0, description="When an alert that was sent to us without an end is over, unless sent again."
    )
    slack_api_url: HookUrl | None = Field(default=None, description="For slack_configs without one.")
    pagerduty_url: Url | None = Field(default=None, description="For pagerduty_configs without a url or a region.")
    smtp_smarthost: str | None = Field(default=None, description="For email_configs, as the others: host and port.")
    smtp_from: str | None = Field(default=None, description="Sender.")
    smtp_hello: str | None = Field(default=None, description="The name by which we introduce ourselves.")
    smtp_auth_username: str | None = Field(default=None, description="User.")
    smtp_auth_password: SecretStr | None = Field(default=None, description="Password.")
    smtp_auth_identity: str | None = Field(default=None, description="Identity for PLAIN.")
    smtp_require_tls: bool | None = Field(default=None, description="Whether to refuse to send without TLS.")
    smtp_tls_config: dict[str, Any] | None = Field(default=None, description="See email_configs.")
    http_config: dict[str, Any] | None = Field(default=None, description="Only what changes nothing.")


SLACK_ALTERNATIVES = frozenset({"api_url", "bot_token"})
PAGERDUTY_ALTERNATIVES = frozenset({"url", "region"})


def defaults(values: Mapping[str, Any], kind: str) -> dict[str, tuple[str, Any, frozenset[str]]]:
    """What `global` gives notifiers of a kind: by their key its name there, the value, and the keys that go before."""
    match kind:
        case "slack":
            given = {"api_url": ("slack_api_url", SLACK_ALTERNATIVES)}
        case "pagerduty":
            given = {"url": ("pagerduty_url", PAGERDUTY_ALTERNATIVES)}
        case "email":
            names = [name for name in GlobalEntry.model_fields if name.startswith("smtp_")]
            given = {name.removeprefix("smtp_"): (name, frozenset({name.removeprefix("smtp_")})) for name in names}
        case _:
            given = {}
    return {key: (name, values[name], before) for key, (name, before) in given.items() if values.get(name) is not None}


def _apprise(address: str) -> str:
    return f'write apprise_configs: [{{urls: ["{address}"]}}]'


FOREIGN: Mapping[str, str] = {
    "opsgenie": _apprise("opsgenie://<API key>"),
    "victorops": _apprise("splunk://<routing key>@<API key>"),
    "pushover": _apprise("pover://<user key>@<token>"),
    "sns": _apprise("sns://<access key>/<secret key>/<region>/<topic>"),
    "telegram": _apprise("tgram://<bot token>/<chat id>"),
    "webex": _apprise("wxteams://<access token>/<room id>"),
    "discord": _apprise("discord://<webhook id>/<webhook token>"),
    "msteams": _apprise("workflows://<host>/<workflow>/<signature>") + ", for a workflow that takes a webhook",
    "msteamsv2": _apprise("workflows://<host>/<workflow>/<signature>"),
    "wechat": _apprise("wecombot://<bot key>"),
    "rocketchat": _apprise("rockets://<webhook>@<host>"),
    "mattermost": _apprise("mmosts://<host>/<token>"),
    "incidentio": _apprise("incidentio://<source>/<token>"),
    "jira": "let a webhook_configs start one of Jira's automation rules, or "
    + _apprise("jira://<user>@<API key>")
    + " for its alerts",
}
"""Alertmanager's integrations that are none of ours, and what to write in their place."""

FOREIGN_GLOBALS = (
    "opsgenie_", "victorops_", "pushover_", "sns_", "telegram_", "webex_", "wechat_", "jira_", "rocketchat_",
    "mattermost_", "msteams_", "discord_", "incidentio_",
)  # fmt: skip

_OWN_LAYOUT = "leave it out: the message's layout is runwatch's own"
_FILLED_IN = "leave it out: it is filled in from the alert"
_OWN_LOOK = "leave it out: the name and the picture are those of the Slack app"
_OWN_DEADLINE = "leave it out: an attempt has 10 seconds"

KEYS: Mapping[str, Mapping[str, str]] = {
    "slack": {
        **dict.fromkeys(
            (
                "color", "fields", "short_fields", "footer", "pretext", "fallback", "title_link", "image_url",
                "thumb_url", "link_names", "mrkdwn_in", "callback_id", "actions", "title", "text", "update_message",
            ),
            _OWN_LAYOUT,
        ),
        **dict.fromkeys(("username", "icon_emoji", "icon_url"), _OWN_LOOK),
        "app_token": "write bot_token in its place",
        "app_url": "write api_url in its place",
        "timeout": _OWN_DEADLINE,
    },
    "pagerduty": {
        "service_key": "write routing_key in its place: the key of the service's Events API v2 integration",
        **dict.fromkeys(
            ("severity", "source", "class", "component", "group", "images", "links", "description", "details"),
            _FILLED_IN,
        ),
        "client": "leave it out: it is runwatch",
        "client_url": "leave it out: it is the server's external_url",
        "timeout": _OWN_DEADLINE,
    },
    "webhook": {"timeout": _OWN_DEADLINE, "payload": _OWN_LAYOUT},
    "email": {
        "auth_secret": "CRAM-MD5 is not carried out: write auth_username and auth_password in its place",
        "force_implicit_tls": "leave it out: port 465 means TLS from the start",
        "threading": "leave it out: mails of one group are one thread",
        "timeout": _OWN_DEADLINE,
    },
}  # fmt: skip
"""Keys of Alertmanager's that notifiers of ours may lack, and what to do."""

NO_EFFECT = {"follow_redirects": (True, False), "enable_http2": (True, False), "proxy_from_environment": (False,)}
"""Settings of `http_config` that change nothing here, with these values."""

HTTP_CONFIG: Mapping[str, str] = {
    **dict.fromkeys(
        ("basic_auth", "authorization", "bearer_token", "bearer_token_file"),
        "leave it out: its own keys say who we are; a webhook and an Alertmanager take this in their http_config",
    ),
    "tls_config": "leave it out, and add the authority to the system's trust store; "
    "a webhook and an Alertmanager take this in their http_config",
    "oauth2": "leave it out: OAuth is not carried out for receivers",
    "http_headers": "leave it out: further headers are not sent",
    **dict.fromkeys(
        ("proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header"),
        "leave it out: receivers are called without a proxy",
    ),
}
"""Settings of `http_config` that would do something, and what to do where the notifier does not have them."""


def go_templates(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Every text inside a value that is a Go template: its path, and what to write in its place."""
    if isinstance(value, str):
        found = go_template(value) if "{{" in value else None
        if found is not None:
            yield path, found[0]
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from go_templates(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from go_templates(inner, (*path, index))
