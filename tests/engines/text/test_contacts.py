"""Email addresses, phone numbers and IP addresses: what is one, what is none, and from where to where it stands."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.text.numbers import surroundings

from gimbal.engines.text.registry import chosen
from gimbal.engines.text.scanner import Scanner

EMAILS, PHONES, ADDRESSES = Scanner(chosen(["email"])), Scanner(chosen(["phone"])), Scanner(chosen(["ip"]))


def found(scanner: Scanner, text: str) -> list[str]:
    return [text[one.start : one.end] for one in scanner.find(text)]


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "ada.lovelace+tag@mail.example.co.uk",
        "o'neil@example.ie",
        "user_1%x@sub-domain.example.museum",
        "jürgen@müller.de",
        "info@xn--mller-kva.xn--p1ai",
        "A@B.IO",
    ],
)
def test_email_addresses_are_found_whole(address: str) -> None:
    """Alone, in a sentence, in a header, in JSON, and between signs of other scripts."""
    for around in (
        "{}",
        "Write to {}.",
        "Ada <{}>, Bob",
        '{{"to":["{}"]}}',
        "邮箱{}。",
        "mailto:{}?subject=x",
        "a@b {}",
    ):
        assert found(EMAILS, around.format(address)) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "user@localhost",
        "@decorator.call",
        "image@2x.png",
        "git@github.com:team/it.git",
        "npm i lodash@4.17.21",
        "a @ b.com",
        "C@ x",
        "rate 5@10.5",
        "@media screen",
        "user@-bad.com",
        "actions/checkout@v4.1.1",
        "x@y.c",
    ],
)
def test_what_only_has_an_at_sign_is_no_address(text: str) -> None:
    """Files, packages, hosts without a name, decorators."""
    assert found(EMAILS, text) == []


@given(
    local=st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z0-9]{1,10})?", fullmatch=True),
    domain=st.from_regex(r"[a-z][a-z0-9]{0,15}\.(com|org|io|co\.uk|dev)", fullmatch=True),
    before=surroundings,
    after=surroundings,
)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_an_address_is_found_inside_any_text(local: str, domain: str, before: str, after: str) -> None:
    """The placeholder stands where the address stood."""
    address = f"{local}@{domain}"

    assert EMAILS.redact(f"{before} {address} {after}").text.count(address) == (before + after).count(address)


@pytest.mark.parametrize(
    "number",
    [
        "+14155552671",
        "+1 (415) 555-2671",
        "+1-415-555-2671",
        "+1 415 555 2671",
        "+44 20 7946 0958",
        "+44 (0)20 7946 0958",
        "+49 171 1234567",
        "+49/171/1234567",
        "+33 6 12 34 56 78",
        "+33.6.12.34.56.78",
        "+91 98765 43210",
        "+5511912345678",
        "+86 138 1234 5678",
        "+48 512 345 678",
    ],
)
def test_international_numbers_are_found(number: str) -> None:
    """With every usual separator, from the plus sign to the last digit."""
    for around in ("{}", "Call {} now.", "tel:{}", "({})", '"{}"', "{};ext=5"):
        assert found(PHONES, around.format(number)) == [number]


@pytest.mark.parametrize(
    "number",
    [
        "(415) 555-2671",
        "415-555-2671",
        "415.555.2671",
        "415 555 2671",
        "1-415-555-2671",
        "020 7946 0958",
        "07700 900123",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "0171/1234567",
        "030 12345678",
        "(030) 1234 5678",
        "(11) 91234-5678",
    ],
)
def test_common_national_numbers_are_found(number: str) -> None:
    """Forms that are written for nothing else need no word."""
    for around in ("{}", "My number is {}.", '"{}"', "{}, please"):
        assert found(PHONES, around.format(number)) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "phone 4155552671",
        "Tel.: 2671 555",
        "mobile=07700900123",
        '{"phone_number": "9876543210"}',
        "userPhone: 98765 43210",
        "my phone number is 555 2671",
        "Fax no. 1234567",
    ],
)
def test_digits_behind_a_word_are_a_phone_number(text: str) -> None:
    """The word says what the digits are."""
    assert len(found(PHONES, text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "4155552671",
        "2024-05-01",
        "01-02-2024 10:11:12",
        "1714557600",
        "3.14159265358",
        "+3.14159265358",
        "5 + 12345678",
        "550e8400-e29b-41d4-a716-446655440000",
        "192.168.100.200",
        "1e+10000000",
        "+1 234",
        "999-999",
        "x+14155552671",
        "12345-6789",
        "123-45-6789",
        "call 0.25 of 1.7142857142",
        "2021 2022 2023",
        "100 200 3000",
        "[415, 555, 2671]",
        "00 00 00 00 00",
        "v415.555.2671",
        "phone: 2024-05-01 10:00",
        "phone_updated_at: 1714557600",
        "tool call 1234567890",
        "a telling 1234567",
    ],
)
def test_other_digits_are_no_phone_number(text: str) -> None:
    """Dates, times, floats, sums, versions, postal codes, lists."""
    assert found(PHONES, text) == []


@given(
    address=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6, network="2000::/3")),
    before=surroundings,
    after=surroundings,
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_addresses_are_found_inside_any_text(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, before: str, after: str
) -> None:
    """All but those that name no host; version six also written in full."""
    text = str(address)
    expected = not (address.is_loopback or address.is_unspecified)

    assert (text in found(ADDRESSES, f"{before} {text} {after}")) is expected
    assert (address.exploded in found(ADDRESSES, f"from {address.exploded}: refused")) is expected


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("http://192.168.1.10:8080/x", ["192.168.1.10"]),
        ("10.0.0.1-10.0.0.9", ["10.0.0.1", "10.0.0.9"]),
        ("10.0.0.0/8, 172.16.0.1.", ["10.0.0.0", "172.16.0.1"]),
        ("[2001:db8::1]:443", ["2001:db8::1"]),
        ("peer=2001:db8::1: refused", ["2001:db8::1"]),
        ("fe80::1%eth0", ["fe80::1"]),
        ("::ffff:10.1.2.3", ["::ffff:10.1.2.3"]),
        ("127.0.0.1 ::1 0.0.0.0 ::", []),
        ("version 10.1.2.3", []),
        ("pkg==10.1.2.3", []),
        ("Chrome/120.0.6099.109", []),
        ("v10.1.2.3", []),
        ("1.3.6.1.4.1.311", []),
        ("256.300.1.1", []),
        ("12:34:56", []),
        ("2024-05-01T12:34:56:789", []),
        ("00:1a:2b:3c:4d:5e", []),
        ("abc::def1 std::vector fed::cafe1", []),
        ("a[1::2]", []),
    ],
)
def test_addresses_end_where_they_end(text: str, addresses: list[str]) -> None:
    """Ports, masks and brackets stay; versions, times and hardware addresses are none."""
    assert found(ADDRESSES, text) == addresses
