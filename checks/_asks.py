"""What a probe asks of whom, as a number that can be held against a limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asks:
    """What one probe asks of one address, retries left out: `usual` while all is well, never more than `most`.

    `what` is the plural of what it asks with, `method` that of HTTP, `diagnosis` what `diagnose` may ask besides.
    Redirects are not among them: nobody knows beforehand where one leads.
    """

    target: str
    usual: float = 1.0
    most: int = 1
    what: str = "requests"
    method: str = ""
    diagnosis: int = 0
