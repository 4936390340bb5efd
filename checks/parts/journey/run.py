"""One run of a journey: asks step by step with the cookies so far, judges, captures, and remembers what to mask."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from checks.base import Failed, Reason, Run, Url
from checks.parts import network as _network
from checks.parts.http import answer as _answer
from checks.parts.http.exchange import REDIRECTS, exchange
from checks.parts.http.expect import Expect, brief, evaluated
from checks.parts.http.jsonpath import compile_path
from checks.parts.http.request import Hop, Sender, redirected
from checks.parts.journey.cookies import Cookies
from checks.parts.journey.placeholders import as_text, fill_json, wanted
from checks.parts.journey.requests import request
from checks.parts.journey.steps import Capture, Step
from checks.parts.masking import masked
from checks.parts.regex import compiled
from checks.units import show_size
from checks.wire.fault import WireError
from checks.wire.http1 import Answer
from checks.wire.patience import Patience

SEARCHED = 256 * 1024
"""Characters of a body that a regular expression is searched in."""
LARGEST_VALUE = 64 * 1024
"""Characters of a captured value."""
SHOWN = 500
"""Characters of a body that become evidence."""
WIDEST = 6
"""Characters that one may take where it is escaped."""
HOPS = 10

_QUERY = re.compile(r"\?\S+")


class Course:
    """What one run knows on its way: captured values, cookies, and the last answer of the step that is being done."""

    def __init__(self, base: Url, sender: Sender, family: str, body_most: int, unique: str) -> None:
        self.values: dict[str, Any] = {"unique": unique}
        self.answer: Answer | None = None
        self._base = base
        self._sender = sender
        self._family = family
        self._body_most = body_most
        self._cookies = Cookies()
        self._hidden: set[str] = set()

    async def do(self, step: Step, seconds: float, trip: _network.Trip, run: Run) -> None:
        """One step within `seconds`. Raises Failed or Errored; what it learned is kept even then."""
        self.answer = None
        if seconds <= 0:
            raise Failed(Reason.READ_TIMEOUT, "the steps before it left no time for it")
        hop, sender = await request(step, self._base, self._sender, self.values, run)
        try:
            with Patience(seconds) as patience:
                answer = self.answer = await self._travel(step, hop, sender, patience, trip)
        except WireError as error:
            # The query of an address that a redirect chose may hold a code that lets people in.
            raise _network.translated(
                WireError(error.step, error.reason, _QUERY.sub("?…", error.sentence), ours=error.ours)
            ) from None
        try:
            self._judge(step, answer, bool(sender.authorization))
        except Failed:
            for capture in step.capture.values():
                with suppress(Failed):
                    self._learn(self._captured(capture, answer), capture)
            raise
        for name, capture in step.capture.items():
            value = self._captured(capture, answer)
            self._learn(value, capture)
            self.values[name] = value

    async def _travel(self, step: Step, hop: Hop, sender: Sender, patience: Patience, trip: _network.Trip) -> Answer:
        home = hop.origin
        for _ in range(HOPS + 1):
            hop = self._with_cookies(hop, sender if hop.origin == home else sender.stripped())
            answer = await exchange(
                hop, self._family, patience, trip, body_most=self._body_most, plain_most=self._body_most
            )
            self._cookies.take(answer, hop.url.reveal())
            location = answer.header(b"location") if answer.status in REDIRECTS else None
            if location is None or not step.follow_redirects:
                return answer
            hop = redirected(hop, answer.status, location, sender, home)
        raise WireError("read", "protocol", f"more than {HOPS} redirects, the next to {hop.url}")

    def _with_cookies(self, hop: Hop, sender: Sender) -> Hop:
        cookies = self._cookies.header(hop.url.reveal())
        if not cookies:
            return hop
        own = "; ".join(value for name, value in sender.headers if name.lower() == "cookie")
        rest = tuple((name, value) for name, value in sender.headers if name.lower() != "cookie")
        together = "; ".join(filter(None, (own, cookies)))
        return Hop(replace(sender, headers=(*rest, ("Cookie", together))), hop.url, hop.method, hop.body)

    def _judge(self, step: Step, answer: Answer, with_credentials: bool) -> None:
        expect = step.expect
        _answer.check_status(answer, expect, with_credentials)
        expect.check_headers(answer.headers)
        if not (expect.values or expect.wants_text):
            return
        if answer.encoding:
            raise Failed(Reason.BODY, f"cannot read the body: it is compressed with {brief(answer.encoding)}")
        if expect.wants_text:
            expect.check_text(partial(_answer.text, answer), len(answer.body) + answer.truncated)
        if expect.values:
            if any(wanted(expect.values)):
                expect = Expect(json=fill_json(expect.values, self.values))
            expect.check_values(_answer.document(answer))

    def _captured(self, capture: Capture, answer: Answer) -> Any:
        """The value; Failed where it is not there."""
        if capture.path is not None:
            value = evaluated(compile_path(capture.path), _answer.document(answer), capture.path)
            where = f"{capture.path} of the answer"
        elif capture.cookie:
            value, where = self._cookies.named(capture.cookie), f"the cookie {capture.cookie}"
        else:
            where = f"the header {capture.header}" if capture.header else "the body"
            held = answer.header(capture.header.lower().encode()) if capture.header else None
            value = None if held is None else held.decode("latin-1")
            if not capture.header:
                value = _answer.text(answer, SEARCHED)
            if capture.regex is not None and value is not None:
                match = compiled(capture.regex).search(value)
                value = match and match[1 if match.re.groups else 0]
                where += f", by {capture.regex}"
        if value is None or value == "":
            raise Failed(Reason.ASSERTION, f"cannot capture {where}: there is nothing")
        if len(as_text(value)) > LARGEST_VALUE:
            raise Failed(Reason.BODY, f"cannot capture {where}: it is larger than {show_size(LARGEST_VALUE)}")
        return value

    def _learn(self, value: Any, capture: Capture) -> None:
        if not capture.show:
            self._hidden.update(_texts(value))

    def hide(self, text: str) -> str:
        """The text without what was captured, without cookies, and without what looks like a secret."""
        return masked(text, self._hidden | self._cookies.values)

    def excerpt(self) -> str:
        """The last answer's first line and the beginning of its body, masked before it is cut; "" for none."""
        if self.answer is None:
            return ""
        kind = (self.answer.header(b"content-type") or b"no content type").decode("latin-1")
        longest = max(map(len, self._hidden | self._cookies.values), default=0)
        body = self.hide(_answer.text(self.answer, SHOWN + longest * WIDEST))
        more = "…" if len(body) > SHOWN or self.answer.truncated else ""
        return f"HTTP/{self.answer.version} {self.answer.status}, {brief(kind)}\n{body[:SHOWN]}{more}"


def _texts(value: Any) -> set[str]:
    """A captured value as text, and every text inside it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {as_text(value)}.union(*map(_texts, inner))
