"""Lists the objects of a cluster page by page, and says which right is missing where one is."""

from __future__ import annotations

from typing import Any

import orjson

from checks.base import Errored, Failed, Reason
from checks.parts.api import Answer, Api, refused
from checks.parts.json_values import text
from checks.wire.certificates import visible

PAGE = 50
"""Objects of an answer: a pod is 10 KB of JSON, and reading it must not hold up the loop."""
MOST_PAGES = 100
GROUPS = {
    "deployments": "apps", "statefulsets": "apps", "daemonsets": "apps", "jobs": "batch", "cronjobs": "batch",
    "pods": "", "nodes": "", "events": "",
}  # fmt: skip


def path_of(resource: str, namespace: str) -> str:
    """The path of a resource; of all namespaces for "", and of those that are in none."""
    group = GROUPS[resource]
    start = f"/apis/{group}/v1" if group else "/api/v1"
    return f"{start}/namespaces/{namespace}/{resource}" if namespace else f"{start}/{resource}"


class Cluster:
    """A cluster that is being asked. `now` is its own clock, once it has answered."""

    def __init__(self, api: Api, token: str) -> None:
        self.api = api
        self.date = ""
        self._token = token

    async def each(self, resource: str, namespace: str, query: dict[str, str], read: Any) -> list[Any]:
        """What `read` makes of each object, page by page so that no more than a page is held."""
        found: list[Any] = []
        asked = {"limit": str(PAGE), **query}
        for _ in range(MOST_PAGES):
            answer = await self.ask(resource, path_of(resource, namespace), namespace, asked)
            held = answer.json()
            items = held.get("items") if isinstance(held, dict) and text(held, "kind").endswith("List") else ()
            if items is not None and not isinstance(items, list):
                raise Failed(Reason.PROTOCOL, f"{self.api.name} answered with something that is no list of {resource}")
            found.extend(read(item) for item in items or ())  # Go writes null for an empty list
            more = text(held, "metadata", "continue")
            if not more:
                return found
            asked["continue"] = more
        raise Errored(
            Reason.INTERNAL, f"there are more than {PAGE * MOST_PAGES} {resource}: narrow them by namespace or selector"
        )

    async def ask(self, resource: str, path: str, namespace: str, query: dict[str, str]) -> Answer:
        """One answer with 200. Raises Failed or Errored with what is missing."""
        answer = await self.api.ask("GET", path, query, accept=())
        self.date = self.date or answer.headers.get("Date", "")
        if answer.status == 200:
            return answer
        said = self._message(answer)
        where = f" in the namespace {namespace}" if namespace else ""
        if answer.status == 403:
            rule = f'apiGroups: ["{GROUPS[resource]}"], resources: ["{resource}"], verbs: ["list"]'
            raise Errored(Reason.AUTH, f"cannot list {resource}{where}: give the monitor's role {{{rule}}}: {said}")
        if answer.status == 401:
            raise Errored(
                Reason.AUTH, f"cannot log in to {self.api.name}: it does not know the monitor's credential: {said}"
            )
        if answer.status == 404 and GROUPS[resource]:
            raise Failed(
                Reason.PROTOCOL,
                f"{self.api.name} knows no {resource} of {GROUPS[resource]}/v1: Kubernetes 1.21 or newer is needed",
            )
        if answer.status == 429:
            raise refused(answer)
        raise Failed(
            Reason.STATUS, f"{self.api.name} answered {answer.status} to the list of {resource}{where}: {said}"
        )

    def _message(self, answer: Answer) -> str:
        """The words of a Status object, without our own token in them."""
        try:
            said = text(orjson.loads(answer.body), "message")
        except orjson.JSONDecodeError:
            said = answer.text(200)
        return visible(said.replace(self._token, "***") if self._token else said, 300)
