"""What a vendor's status page says, in one form for all formats, and what of it concerns us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

OPERATIONAL, NOTICE, DEGRADED, PARTIAL_OUTAGE, MAJOR_OUTAGE = range(5)
LEVELS = ("operational", "notice", "degraded", "partial outage", "major outage")
"""The words for a severity."""


class Unreadable(ValueError):
    """The body is not what its format says; the text says what is odd."""


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the vendor's service. `level` is None where its state is a word that nobody knows."""

    name: str
    level: int | None
    said: str
    id: str = ""
    group: str = ""
    maintenance: bool = False

    def is_called(self, wanted: str) -> bool:
        """Whether this is meant by a name, an identifier, or `group/name`, without regard to case."""
        names = {self.name, self.id, f"{self.group}/{self.name}" if self.group else ""} - {""}
        return wanted.strip().lower() in {name.strip().lower() for name in names}


@dataclass(frozen=True, slots=True)
class Incident:
    """What the vendor has announced and not ended. `components` and `regions` are those it names; () for none.

    `level` is None where its gravity is a word that nobody knows.
    """

    title: str
    level: int | None
    said: str = ""
    since: str = ""
    url: str = ""
    update: str = ""
    components: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    maintenance: bool = False

    def __str__(self) -> str:
        gravity = "maintenance" if self.maintenance else "unknown" if self.level is None else LEVELS[self.level]
        head = f"{gravity}: {self.title}"
        details = [text for text in (self.said, f"since {self.since}" if self.since else "", self.url) if text]
        return head + (f" ({', '.join(details)})" if details else "") + (f"\n  {self.update}" if self.update else "")


@dataclass(frozen=True, slots=True)
class Page:
    """`level` is the page's own word for the whole; None where it has none. `places`: regions that it tells apart.

    `lists_components`: whether a component that is not there is none, or just has nothing to be told of.
    """

    level: int | None
    said: str = ""
    maintenance: bool = False
    components: tuple[Component, ...] = ()
    incidents: tuple[Incident, ...] = ()
    places: tuple[str, ...] = ()
    lists_components: bool = True


@dataclass(slots=True)
class Finding:
    """What concerns us: the worst of it, the chosen components, what is open."""

    level: int
    maintenance: bool
    components: list[Component] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)


def finding(page: Page, components: Sequence[str], regions: Sequence[str]) -> Finding:
    """The worst that a page says of these components (none: of the whole) in these regions (none: everywhere).

    A page may call itself operational while an incident is open, so that both count. An incident that names no
    component says nothing of a chosen one: that one's own state does. Raises Unreadable where something chosen is not
    on the page, or a state is not understood: that is no reason to call it well.
    """
    chosen = _chosen(page, components, regions)
    open_now = [one for one in page.incidents if _concerns(one, chosen, page, components, regions)]
    judged: list[tuple[str, str, int | None]] = [(one.title, one.said, one.level) for one in open_now]
    if components or page.level is None:
        judged += [(one.name, one.said, one.level) for one in chosen]
    if not components and not (regions and page.places) and page.level is not None:
        judged.append(("the whole", page.said, page.level))
    if not judged and not components and page.level is None:
        raise Unreadable("it says nothing of any component, nor of the whole")
    worst = max((level for _, _, level in judged if level is not None), default=OPERATIONAL)
    unknown = [(name, said) for name, said, level in judged if level is None]
    if unknown and worst < DEGRADED:
        raise Unreadable(f"it says {unknown[0][1]!r} of {unknown[0][0]!r}, a word that nobody knows")
    at_work = page.maintenance and not components and not regions
    at_work = at_work or any(one.maintenance for one in (*open_now, *(chosen if components else ())))
    return Finding(worst, at_work, chosen if components else [], open_now)


def _chosen(page: Page, components: Sequence[str], regions: Sequence[str]) -> list[Component]:
    for region in regions:
        if page.places and region not in page.places:
            raise Unreadable(f"it knows no region {region!r}; it knows {_listed(page.places)}")
    if not components:
        return list(page.components)
    chosen: list[Component] = []
    for wanted in components:
        called = [one for one in page.components if one.is_called(wanted)]
        if not called and page.lists_components:
            raise Unreadable(f"it has no component {wanted!r}; it has {_listed([one.name for one in page.components])}")
        chosen += called
    return list(dict.fromkeys(chosen))


def _concerns(
    incident: Incident, chosen: list[Component], page: Page, components: Sequence[str], regions: Sequence[str]
) -> bool:
    if regions and incident.regions and not set(regions) & set(incident.regions):
        return False
    if not components or not (incident.components or page.lists_components):
        return True
    named = {name.strip().lower() for name in incident.components}
    meant = {name.strip().lower() for name in components} | {one.name.strip().lower() for one in chosen}
    return bool(named & meant)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:15]) + (f" and {len(names) - 15} more" if len(names) > 15 else "") or "none"
