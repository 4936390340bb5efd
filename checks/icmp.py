"""Pings a host: which share of packets gets lost, and how long the others take."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from checks.base import Asks, Check, Failed, Measurement, Reason, Recommended, Run
from checks.parts import network as _network
from checks.units import Duration, Share, show_duration
from checks.wire.echo import Echoes, Volley, ping
from checks.wire.fault import WireError
from checks.wire.icmpmessage import PASSED_ON
from checks.wire.patience import Patience
from checks.wire.resolve import Address, numeric, resolve

SAID_MOST = 3
PATH_MOST = 16
"""Routers that are looked for on the way."""
PATH_WAIT = 1.0
SILENT = "(silent)"


def _host(text: str) -> str:
    if numeric(text.strip("[]"), 0) is not None:
        return text.strip("[]")
    if not text or ":" in text:
        raise ValueError(f"{text!r} is no host; ICMP has no ports")
    return _network.to_ascii(text)


class Icmp(Check):
    """Pings a host by ICMP echo, over IPv4 or IPv6."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "duration_seconds", "seconds", "How long the target took: resolving and the average round trip.",
            also="probe_duration_seconds",
        ),
        Measurement(
            "phase_seconds", "seconds", "Time by phase: resolve, setup, rtt (the average).",
            labels=("phase",), also="probe_icmp_duration_seconds",
        ),
        Measurement("sent", "count", "Packets sent."),
        Measurement("received", "count", "Packets answered."),
        Measurement("loss_ratio", "ratio", "Share of packets that were not answered."),
        Measurement("duplicates", "count", "Answers that came more than once."),
        Measurement("rtt_min_seconds", "seconds", "The shortest round trip."),
        Measurement("rtt_avg_seconds", "seconds", "The average round trip."),
        Measurement("rtt_max_seconds", "seconds", "The longest round trip."),
        Measurement("jitter_seconds", "seconds", "By how much a round trip differs from the one before, on average."),
        Measurement("hop_limit", "number", "Hop limit (TTL) of the last answer.", also="probe_icmp_reply_hop_limit"),
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
    )  # fmt: skip
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "PacketsLost", "avg(loss_ratio, 5m) > 10%", "medium",
            "TCP slows to a crawl where one packet in ten is lost, long before anything is down.", hold=120,
        ),
    )  # fmt: skip

    host: Annotated[str, AfterValidator(_host)] = Field(description="Name or address.")
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")
    count: int = Field(default=3, ge=1, le=100, description="Packets to send.")
    gap: Duration = Field(default=0.2, ge=0.01, description="Time from one packet to the next.")
    wait: Duration = Field(default=2.0, gt=0, description="Time to wait for answers after the last packet.")
    size: int = Field(default=56, ge=0, le=65507, description="Bytes of payload; headers add 28, with IPv6 48.")
    hop_limit: int | None = Field(default=None, ge=1, le=255, description="Hop limit (TTL) to send with.")
    dont_fragment: bool = Field(default=False, description="Whether packets may not be cut on their way.")
    max_loss: Share = Field(
        default=0.99, ge=0, lt=1, description="Share of lost packets above which it fails; at 100% it always does."
    )

    @model_validator(mode="after")
    def _in_time(self) -> Icmp:
        needed = self.gap * (self.count - 1) + self.wait
        if needed > self.timeout:
            raise ValueError(
                f"{self.count} packets and their answers take up to {show_duration(needed)}, longer than the timeout "
                f"of {show_duration(self.timeout)}; set a shorter wait, fewer packets or a longer timeout"
            )
        return self

    @property
    def target(self) -> str:
        """The host."""
        return self.host

    def asks(self) -> tuple[Asks, ...]:
        """Packets; those of a diagnosis end on the way, all but the last."""
        return (Asks(self.target, self.count, self.count, "packets", diagnosis=PATH_MOST),)

    async def probe(self, run: Run) -> None:
        """Send, wait, record, judge."""
        trip, echoes = _network.Trip(), Echoes()
        try:
            with Patience(self.timeout) as patience:
                await self._ping(patience, trip, echoes)
        except WireError as error:
            # Past the deadline by a slow name server: what came by then counts.
            if error.step != "read" or not echoes.received:
                self._said(run, echoes)
                raise _network.translated(error) from None
        self._record(run, trip, echoes)
        self._judge(run, echoes)

    async def _ping(self, patience: Patience, trip: _network.Trip, echoes: Echoes) -> None:
        began = patience.loop.time()
        addresses = await resolve(self.host, 0, self.ip_family, patience)
        trip.add("resolve", 0.0 if numeric(self.host, 0) else patience.loop.time() - began)
        trip.family = _network.version_of(addresses[0])
        patience.doing("read", "read_timeout", f"no answer from {self.host}")
        volley = Volley(self.count, self.gap, self.wait, self.size, self.hop_limit, self.dont_fragment)
        trip.family = _network.version_of(await ping(addresses, volley, patience, echoes))

    def _record(self, run: Run, trip: _network.Trip, echoes: Echoes) -> None:
        run.record("sent", echoes.sent)
        run.record("received", echoes.received)
        run.record("loss_ratio", 1 - echoes.received / echoes.sent)
        run.record("duplicates", echoes.duplicates)
        run.record("ip_protocol", trip.family)
        run.record("dns_lookup_seconds", trip.resolve or 0.0)
        run.record("phase_seconds", trip.resolve or 0.0, phase="resolve")
        run.record("phase_seconds", echoes.setup, phase="setup")
        times = [echoes.round_trips[number] for number in sorted(echoes.round_trips)]
        if not times:
            return
        average = sum(times) / len(times)
        run.timed((trip.resolve or 0.0) + average, "kernel" if echoes.kernel else "loop")
        run.record("phase_seconds", average, phase="rtt")
        run.record("rtt_min_seconds", min(times))
        run.record("rtt_avg_seconds", average)
        run.record("rtt_max_seconds", max(times))
        if len(times) > 1:
            differences = [abs(later - earlier) for earlier, later in pairwise(times)]
            run.record("jitter_seconds", sum(differences) / len(differences))
        if echoes.hop_limit is not None:
            run.record("hop_limit", echoes.hop_limit)

    def _judge(self, run: Run, echoes: Echoes) -> None:
        lost = 1 - echoes.received / echoes.sent
        if echoes.received and lost <= self.max_loss:
            return
        self._said(run, echoes)
        why = f": {echoes.errors[0]}" if echoes.errors else ""
        if not echoes.received:
            packets = "packet" if echoes.sent == 1 else f"{echoes.sent} packets"
            within = f" within {show_duration(self.wait)}"
            raise Failed(Reason.READ_TIMEOUT, f"no answer from {self.host} to {packets}{why or within}")
        share = f"{echoes.sent - echoes.received} of {echoes.sent} packets to {self.host} were lost"
        raise Failed(Reason.ASSERTION, f"{share}, more than {self.max_loss * 100:.4g} %{why}")

    async def diagnose(self, run: Run) -> None:
        """Which routers a packet passes: one packet for each distance, all at once."""
        try:
            with Patience(self.timeout) as patience:
                addresses = await resolve(self.host, 0, self.ip_family, patience)
        except WireError as error:
            raise _network.translated(error) from None
        hops = await asyncio.gather(*(self._hop(addresses, limit) for limit in range(1, PATH_MOST + 1)))
        lines = []
        for limit, (there, said) in enumerate(hops, 1):
            lines.append(f"{limit}  {said}")
            if there:
                break
        while lines and lines[-1].endswith(SILENT):
            lines.pop()
        run.evidence("Path", "\n".join(lines) or "nobody on the way says anything")

    async def _hop(self, addresses: list[Address], limit: int) -> tuple[bool, str]:
        """Whether a packet with this hop limit ends the path, and who says what to it."""
        echoes = Echoes()
        volley = Volley(1, 0.0, min(PATH_WAIT, self.wait), self.size, limit, self.dont_fragment)
        try:
            with Patience(self.timeout) as patience:
                await ping(addresses, volley, patience, echoes)
        except WireError as error:
            return True, error.sentence
        if echoes.received:
            return True, f"{self.host} answers after {show_duration(echoes.round_trips[0])}"
        said = echoes.errors[0] if echoes.errors else SILENT
        return bool(echoes.errors) and PASSED_ON not in said, said.removesuffix(f" says {PASSED_ON}")

    def _said(self, run: Run, echoes: Echoes) -> None:
        if echoes.errors:
            run.evidence("On the way", "\n".join(echoes.errors[:SAID_MOST]))
