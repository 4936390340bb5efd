"""PostgreSQL's protocol against servers that are none, that lie, that announce too much, and ways to log in."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from checks.base import Reason
from checks.parts.postgres.login import NotScram, Scram, salted_password
from checks.parts.sql.text import masked
from checks.postgres import Postgres
from checks.sql import Sql
from monitor.demo.servers import Postgres as Server
from tests.checks.probing import asked, errs, fails
from tests.servers import NewPostgres


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def refused(state: str, words: str, severity: str = "FATAL") -> bytes:
    return message(b"E", f"S{severity}\0V{severity}\0C{state}\0M{words}\0\0".encode())


LET_IN = message(b"R", struct.pack("!i", 0)) + message(b"S", b"server_version\x0017.1\0") + message(b"Z", b"I")
DONE = message(b"C", b"BEGIN\0") + message(b"Z", b"T")
ROW = message(b"T", struct.pack("!H", 1) + b"a\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0))


@asynccontextmanager
async def answering(*pieces: bytes, closing: bool = True) -> AsyncIterator[str]:
    """A server that does no TLS, says one piece for each thing that it is told, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for piece in pieces:
                if not await reader.read(65536):
                    break
                writer.write(piece)
                await writer.drain()
            if not closing:
                await reader.read()
        except ConnectionError:
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"postgresql://u:open-sesame@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable"


def check(dsn: str) -> Sql:
    return Sql(name="orders", dsn=dsn, query="SELECT 1 AS a", measure=["a"], timeout="1s")


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "it answers 'HTTP/1.1 400"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "it answers 'SSH-2.0"),
        ((b"\x00\x00\x00\x00\x00",), "does not speak PostgreSQL's protocol"),
        ((b"R\x00\x00\x00\x03",), "does not speak PostgreSQL's protocol"),
        ((b"R\xff\xff\xff\xff",), "does not speak PostgreSQL's protocol"),
        ((b"R\x7f\xff\xff\xff",), "does not speak PostgreSQL's protocol"),
        ((message(b"D", b"x"),), "it answers a login with b'D'"),
        ((b"",), "closed the connection in the middle"),
        ((LET_IN[:-3],), "closed the connection in the middle"),
        ((LET_IN,), "closed the connection in the middle"),
        ((LET_IN, DONE + message(b"G")), "it answers a question with b'G'"),
        ((LET_IN, DONE + message(b"T", b"\x00\x02a")), "not as it announces them"),
        ((LET_IN, DONE + message(b"T", b"\x00\x01a\0\x00")), "not as it announces them"),
        ((LET_IN, DONE + message(b"T", b"\xff\xff" + (b"a\0" + b"\0" * 18) * 65535)), "not as it announces them"),
        ((LET_IN, DONE + message(b"D", b"\x00\x01")), "not as it announces them"),
        ((LET_IN, DONE + ROW + message(b"D", b"\x00\x01\x00\x00\x00\x09x")), "not as it announces them"),
        ((LET_IN, DONE + ROW + message(b"D", b"\x00\x00")), "not as it announces them"),
        ((LET_IN, DONE + ROW + message(b"D", b"\x00\x01\xff\xff\xff\xff") * 30_000), "more rows than were asked for"),
        ((LET_IN, message(b"N", b"x" * 8000) * 1100), "it answers more than 8388608 bytes"),
        ((LET_IN, DONE + b"D" + struct.pack("!i", 2**30)), "at once"),
    ],
)
async def test_what_is_no_postgresql_has_failed_and_says_how(pieces: tuple[bytes, ...], words: str) -> None:
    async with answering(*pieces) as dsn:
        await fails(check(dsn), Reason.PROTOCOL, words)


async def test_thousands_of_parameters_and_notices_take_no_memory() -> None:
    flood = b"".join(message(b"S", f"p{n}\0v\0".encode()) for n in range(10_000)) + message(b"N", b"SNOTICE\0\0") * 1000
    async with answering(flood + LET_IN) as dsn:
        await fails(check(dsn), Reason.PROTOCOL, "closed the connection in the middle")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (struct.pack("!i", 7), "another way to log in than a password (method 7)"),
        (struct.pack("!i", 10) + b"SCRAM-SHA-512\0\0", "another way to log in"),
        (struct.pack("!i", 5) + b"abc", "another way to log in"),
    ],
)
async def test_an_unknown_way_to_log_in_is_our_error(how: bytes, words: str) -> None:
    async with answering(message(b"R", how)) as dsn:
        await errs(check(dsn), Reason.AUTH, words)


async def test_a_server_that_wants_a_password_where_there_is_none_is_our_error(postgres: Server) -> None:
    await errs(check(f"postgresql://postgres@{postgres.address}/postgres"), Reason.AUTH, "write it before the host")


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (b"r=stranger,s=AAAA,i=4096", "not an answer to our question"),
        (b"s=AAAA,i=4096", "not an answer to our question"),
        (b"\xff\xff", "its answer is none"),
        (b"x" * 5000, "its answer is none"),
    ],
)
async def test_a_server_that_does_not_do_scram_has_failed(challenge: bytes, words: str) -> None:
    first = message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
    async with answering(first, message(b"R", struct.pack("!i", 11) + challenge)) as dsn:
        await fails(check(dsn), Reason.PROTOCOL, words)


def test_scram_is_that_of_rfc_7677() -> None:
    # Section 3 of the RFC, whose client gives a name where PostgreSQL's gives none: hence other proofs than there.
    scram = Scram("rOprNGfwEbeRWgbNEkqO")
    assert scram.first() == b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
    scram.challenge(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    salted = salted_password("pencil", scram.salt, scram.rounds)
    assert salted.hex() == "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d"
    assert scram.final(salted).startswith(b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=")
    with pytest.raises(NotScram, match="does not know the password itself"):
        scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize("rounds", ["0", "-1", "99999999", "x", "", "٣"])
def test_rounds_without_measure_are_refused(rounds: str) -> None:
    scram = Scram("abc")
    with pytest.raises(NotScram):
        scram.challenge(f"r=abcdef,s=AAAA,i={rounds}".encode())


@pytest.mark.parametrize("method", ["md5", "password", "scram-sha-256", "trust"])
async def test_every_way_that_postgresql_has_lets_us_in(new_postgres: NewPostgres, method: str) -> None:
    server = await new_postgres(password_encryption="md5" if method == "md5" else "scram-sha-256")
    connection = await server.connect()
    await connection.execute("CREATE ROLE odd LOGIN PASSWORD 'p@ss wörd/#%'")
    await connection.close()
    rules = server.data / "pg_hba.conf"
    rules.write_text(f"host all odd 127.0.0.1/32 {method}\n" + rules.read_text())
    await server.stop()
    await server.start()
    memory: dict[object, object] = {}
    for _ in range(2):
        await asked(check(server.address_for("odd", "p%40ss%20w%C3%B6rd%2F%23%25")), memory)
    if method != "trust":
        await errs(check(server.address_for("odd", "other")), Reason.AUTH, "does not let us in", memory=memory)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full", "prefer", "disable"])
async def test_sslmode_decides_about_encryption(new_postgres: NewPostgres, tmp_path: Path, mode: str) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1" if mode == "verify-full" else "other.example")
    files = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(files[0])
    files[1].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    files[2].touch(mode=0o600)
    certificate.private_key_pem.write_to_path(files[2])
    server = await new_postgres(ssl="on", ssl_cert_file=str(files[1]), ssl_key_file=str(files[2]))
    root = f"&sslrootcert={files[0]}" if mode.startswith("verify") else ""
    query = "SELECT ssl AS a FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    one = Sql(
        name="tls", dsn=f"{server.dsn}?sslmode={mode}{root}", query=query, expect={"values": {"a": mode != "disable"}}
    )
    await asked(one)
    if mode == "verify-ca":
        stranger = tmp_path / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(stranger)
        for untrusting in ("verify-ca", "require"):
            dsn = f"{server.dsn}?sslmode={untrusting}&sslrootcert={stranger}"
            await fails(check(dsn), Reason.TLS_HANDSHAKE, "is not trusted")


async def test_a_server_without_tls_has_failed_where_it_is_required(postgres: Server) -> None:
    await fails(check(f"{postgres.dsn}?sslmode=require"), Reason.PROTOCOL, "it does no TLS")
    await asked(check(f"{postgres.dsn}?sslmode=prefer"))


async def test_an_address_taken_over_from_an_application_is_understood(postgres: Server) -> None:
    extras = "schema=public&connection_limit=5&pgbouncer=true&channel_binding=require&options=-c%20work_mem%3D1234kB"
    one = Sql(
        name="o", dsn=f"{postgres.dsn}?{extras}", query="SELECT current_setting('work_mem') AS a",
        expect={"values": {"a": "1234kB"}},
    )  # fmt: skip
    await asked(one)


@pytest.mark.parametrize(
    ("tail", "why"),
    [("sslmode=yes", "there is no sslmode 'yes'"), ("sslmod=require", "there is no parameter 'sslmod'")],
)
def test_a_parameter_that_is_none_is_refused(tail: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check(f"postgresql://u@h/d?{tail}")


@pytest.mark.parametrize(
    ("answer", "outcome", "reason", "words"),
    [
        (refused("57P03", "the database system is starting up"), fails, Reason.CONNECT_REFUSED, "starting up"),
        (refused("53300", "sorry, too many clients already"), fails, Reason.CONNECT_REFUSED, "too many clients"),
        (refused("28P01", "password authentication failed"), errs, Reason.AUTH, "does not let us in"),
        (refused("08P01", "SASL authentication failed"), errs, Reason.AUTH, "does not let us in"),
        (refused("08P01", "server login failed: auth failed"), fails, Reason.PROTOCOL, "server login failed"),
        (refused("08P01", "no more connections allowed"), fails, Reason.CONNECT_REFUSED, "max_client_conn"),
        (refused("08P01", "unsupported startup parameter: options"), errs, Reason.INTERNAL, "take it out"),
        (refused("XX000", "a\x1b[31m\nb" + "x" * 5000), fails, Reason.PROTOCOL, "cannot connect"),
        (message(b"E", b""), fails, Reason.PROTOCOL, "an error without words"),
        (LET_IN + refused("57P01", "terminating connection"), fails, Reason.PROTOCOL, "terminating connection"),
    ],
)  # fmt: skip
async def test_what_the_server_s_words_mean(answer: bytes, outcome: object, reason: Reason, words: str) -> None:
    async with answering(answer) as dsn:
        assert callable(outcome)
        result = await outcome(check(dsn), reason, words)
        assert "\x1b" not in result.sentence and "\n" not in result.sentence and len(result.sentence) < 500


@pytest.mark.parametrize("version", ["11.22", "9.6.24", "8.0.2", "", "many", "1" * 50])
async def test_a_version_that_is_too_old_is_our_error(version: str) -> None:
    let_in = (
        message(b"R", struct.pack("!i", 0))
        + message(b"S", f"server_version\0{version}\0".encode())
        + message(b"Z", b"I")
    )
    async with answering(let_in, message(b"C", b"SELECT 1\0") + message(b"Z", b"I"), closing=False) as dsn:
        await errs(Postgres(name="d", dsn=dsn, timeout="1s"), Reason.INTERNAL, "is too old, 12 is the oldest")


async def test_a_stranger_that_speaks_the_protocol_is_unknown_and_never_well() -> None:
    row = message(b"D", b"\x00\x01" + struct.pack("!i", 2) + b"[]")
    said = DONE * 2 + ROW + row + DONE + ROW + row + DONE + DONE
    async with answering(LET_IN, message(b"C", b"SELECT 1\0") + message(b"Z", b"I"), said, closing=False) as dsn:
        await errs(
            Postgres(name="d", dsn=dsn, timeout="1s"), Reason.INTERNAL, "answers something else than was asked for"
        )


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 'a''b', E'x\\'y' FROM t1 WHERE a = 1.5e3", "SELECT ?, ? FROM t1 WHERE a = ?"),
        ("SELECT a FROM t WHERE b = $1 -- don't\n AND c='z'", "SELECT a FROM t WHERE b = $1 AND c=?"),
        ("/* don't */ SELECT 'secret'", "SELECT ?"),
        ("SELECT 1 /* a /* b */ ' */ 'secret'", "SELECT ?"),
        ("INSERT INTO o VALUES ('cut off", "INSERT INTO o VALUES (?"),
        ("DO $x$ secret 'a' $x$; $$b$$", "DO ?; ?"),
        ('SELECT "we\'ird" FROM "Order2"', 'SELECT "we\'ird" FROM "Order2"'),
        ("ALTER ROLE a PASSWORD 'sesame'", "ALTER ROLE a PASSWORD ?"),
    ],
)  # fmt: skip
def test_values_are_taken_out_of_statements(sql: str, shown: str) -> None:
    assert masked(sql) == shown


@given(st.text(alphabet="ab1 ,=('$\\\n\"", max_size=40), st.text(alphabet="xyz' ", max_size=12))
def test_a_literal_is_never_shown_whatever_surrounds_it(after: str, literal: str) -> None:
    quoted = "'" + literal.replace("'", "''") + "SESAME'"
    assert "SESAME" not in masked(f"SELECT {quoted}{after}")
