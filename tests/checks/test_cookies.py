"""The cookies of a journey: a table of what is set where and what goes along, and any header that a stranger sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.parts.journey.cookies import MOST_AT_ALL, Cookies
from checks.wire.http1 import Answer

SHOP = "https://www.shop.test/a/login"


def jar(address: str, *set_cookies: bytes) -> Cookies:
    cookies = Cookies()
    for one in set_cookies:
        answer = Answer()
        answer.headers = [(b"Content-Type", b"x=y"), (b"SET-Cookie", one)]
        cookies.take(answer, address)
    return cookies


@pytest.mark.parametrize(
    ("set_cookies", "asked", "sent"),
    [
        ([b"a=1"], "https://www.shop.test/a/", "a=1"),
        ([b"a=1"], "https://www.shop.test/a/login/x", "a=1"),
        ([b"a=1"], "https://www.shop.test/b", ""),
        ([b"a=1"], "https://www.shop.test/ab", ""),
        ([b"a=1; Path=/"], "https://www.shop.test:8443/b", "a=1"),
        ([b"a=1; path=a"], "https://www.shop.test/a/b", "a=1"),
        ([b"a=1; Path=/"], "https://api.www.shop.test/", ""),
        ([b"a=1; Path=/; Domain=.shop.test"], "https://api.shop.test/", "a=1"),
        ([b"a=1; Path=/; Domain=shop.test"], "https://notshop.test/", ""),
        ([b"a=1; Path=/; Domain=api.shop.test"], "https://api.shop.test/", ""),
        ([b"a=1; Path=/; Domain=test"], "https://www.shop.test/", ""),
        ([b"a=1; Path=/; Secure"], "http://www.shop.test/", ""),
        ([b"a=1; Path=/; Secure; HttpOnly"], "https://WWW.shop.test/", "a=1"),
        ([b"a=1; Path=/", b"a=2; Path=/"], SHOP, "a=2"),
        ([b"b=1; Path=/", b"a=2; Path=/a"], SHOP, "a=2; b=1"),
        ([b"a=1; Path=/", b"a=; Path=/; Max-Age=0"], SHOP, ""),
        ([b"a=1; Path=/", b"a=; Path=/; Max-Age=-1"], SHOP, ""),
        ([b"a=1; Path=/", b"a=; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], SHOP, ""),
        ([b"a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"], SHOP, "a=1"),
        ([b"a=1; Expires=Thu, 01 Jan 2999 00:00:00 GMT"], SHOP, "a=1"),
        ([b"a=1; Expires=whenever; Max-Age=x"], SHOP, "a=1"),
        ([b'a="x y"', b"b=YWJj,=="], SHOP, 'a="x y"; b=YWJj,=='),
        ([b"a", b"=b", b"", b";;", b"a=\x01", b"x=" + b"y" * 5000], SHOP, ""),
    ],
)
def test_what_is_set_and_what_goes_along(set_cookies: list[bytes], asked: str, sent: str) -> None:
    assert jar(SHOP, *set_cookies).header(asked) == sent


def test_a_number_has_no_domain_above_it_and_plain_http_sets_nothing_secure() -> None:
    assert jar("http://10.0.0.7:80/", b"a=1; Domain=0.7", b"b=1; Secure", b"c=1").header("http://10.0.0.7/") == "c=1"


def test_the_last_one_of_a_name_is_captured_and_all_are_known_as_secrets() -> None:
    cookies = jar(SHOP, b"a=old; Path=/", b'a="new"')
    assert (cookies.named("a"), cookies.named("b")) == ('"new"', None)
    assert cookies.values == {"old", '"new"', "new"}


def test_no_more_than_so_many_are_kept() -> None:
    cookies = jar(SHOP, *(f"c{number}=1".encode() for number in range(MOST_AT_ALL + 5)))
    assert cookies.header(SHOP).count("=") == MOST_AT_ALL


@given(
    st.binary(max_size=80) | st.text('=;, "a1\t\x00é-:', max_size=40).map(str.encode),
    st.sampled_from([SHOP, "http://[::1]:80/"]),
)
def test_no_header_of_a_stranger_breaks_the_next_request(text: bytes, address: str) -> None:
    sent = jar(address, text, b"a=1; " + text).header(address)
    assert sent.isprintable()
    sent.encode("latin-1")
