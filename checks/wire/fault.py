"""What went wrong on the wire: the step, the reason, whose fault, and a sentence for the person on call."""

from __future__ import annotations


class WireError(Exception):
    """A question that got no answer.

    `step` is resolve, connect, tls, send or read. `reason` is a word of the closed list that checks use (dns,
    connect_refused, connect_timeout, tls_handshake, tls_expired, tls_name, read_timeout, protocol). `ours` says that
    the cause is on this machine, so that nothing is known about the target.
    """

    def __init__(self, step: str, reason: str, sentence: str, *, ours: bool = False) -> None:
        super().__init__(sentence)
        self.step = step
        self.reason = reason
        self.sentence = sentence
        self.ours = ours
