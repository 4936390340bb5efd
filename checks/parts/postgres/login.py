"""How PostgreSQL wants to be shown a password: SCRAM-SHA-256 (RFC 5802, RFC 7677), and the older MD5."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata

MOST_ROUNDS = 1_000_000
"""Of hashing that a server may ask for; PostgreSQL's default is 4,096, which takes 1 to 2 ms."""
LONGEST = 2048

Salted = tuple[str, str, int]
"""What a salted password was made of: the password, the server's salt as it sent it, the rounds."""


class NotScram(Exception):
    """What the server said is no SCRAM, or shows that it does not know the password; the text says what."""


def md5_response(user: str, password: str, salt: bytes) -> str:
    """The answer to AuthenticationMD5Password, as in the manual's chapter "Message Flow"."""
    inner = hashlib.md5(password.encode() + user.encode(), usedforsecurity=False).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()


class Scram:
    """One login: `first`, then `challenge` with what the server says, `final` with the key, and `verify` at the end."""

    def __init__(self, nonce: str = "") -> None:
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(18)).decode()
        # The name is that of the startup message, so PostgreSQL wants none here.
        self._bare = f"n=,r={self._nonce}"
        self._signed = ""
        self._key = b""
        self.salt, self.rounds = "", 0

    def first(self) -> bytes:
        """The client's first message: without channel binding."""
        return f"n,,{self._bare}".encode()

    def challenge(self, data: bytes) -> None:
        """Read the server's first message. Raises NotScram."""
        fields = _fields(data)
        nonce, self.salt, rounds = fields.get("r", ""), fields.get("s", ""), fields.get("i", "")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise NotScram("its challenge is not an answer to our question")
        if not rounds.isascii() or not rounds.isdigit() or len(rounds) > 9 or not 0 < int(rounds) <= MOST_ROUNDS:
            raise NotScram(f"it wants {rounds[:20]!r} rounds of hashing")
        self.rounds = int(rounds)
        try:
            base64.b64decode(self.salt, validate=True)
        except (binascii.Error, ValueError):
            raise NotScram("its salt is no base64") from None
        # c=biws is the header of `first`, n,, in base64.
        self._final = f"c=biws,r={nonce}"
        self._signed = f"{self._bare},{data.decode('ascii')},{self._final}"

    def final(self, salted: bytes) -> bytes:
        """The client's last message, from the password as `salted_password` made it."""
        self._key = salted
        client = _mac(salted, b"Client Key")
        signature = _mac(hashlib.sha256(client).digest(), self._signed.encode())
        proof = bytes(one ^ other for one, other in zip(client, signature, strict=True))
        return f"{self._final},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, data: bytes) -> None:
        """See that the server knows the password too. Raises NotScram."""
        signature = _mac(_mac(self._key, b"Server Key"), self._signed.encode())
        if not hmac.compare_digest(_fields(data).get("v", ""), base64.b64encode(signature).decode()):
            raise NotScram("it does not know the password itself: it is another server, or something between us")


def salted_password(password: str, salt: str, rounds: int) -> bytes:
    """The costly part: 1 to 2 ms for 4,096 rounds. The same for every login until the password changes."""
    text = password if password.isascii() else unicodedata.normalize("NFKC", password)
    return hashlib.pbkdf2_hmac("sha256", text.encode(), base64.b64decode(salt), rounds)


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _fields(data: bytes) -> dict[str, str]:
    if len(data) > LONGEST or not data.isascii():
        raise NotScram("its answer is none")
    pairs = (part.partition("=") for part in data.decode("ascii").split(","))
    return {name: value for name, _, value in pairs}
