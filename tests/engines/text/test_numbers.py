"""Cards, accounts and national ids: a valid one is found in any text, one with a changed digit is none."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.text.numbers import CHECKED, VALID, randoms, surroundings

from gimbal.engines.text.registry import DETECTORS, chosen
from gimbal.engines.text.scanner import Scanner

EVERYTHING = Scanner(DETECTORS.values())


def scanner(name: str) -> Scanner:
    return Scanner(chosen(["es_dni" if name == "es_nie" else name]))


def bare(name: str, number: str) -> str:
    """Return the number without the word that stands before it."""
    worded = {"uk_nhs", "nl_bsn", "pl_pesel", "se_personnummer"}
    return number.split(" ", 1)[1] if name in worded else number


@pytest.mark.parametrize("name", sorted(VALID))
@given(rng=randoms, before=surroundings, after=surroundings)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_a_valid_number_is_found_inside_any_text(name: str, rng: random.Random, before: str, after: str) -> None:
    """The finding is the number, from its first character to its last; with all detectors on, nothing of it is left."""
    worded = VALID[name](rng)
    number = bare(name, worded)
    text = f"{before} {worded} {after}"
    start = len(before) + 1 + len(worded) - len(number)

    places = [text[one.start : one.end] for one in scanner(name).find(text) if one.start == start]
    covered = [one for one in EVERYTHING.find(text) if one.start <= start and start + len(number) <= one.end]

    assert places == [number]
    assert len(covered) == 1
    assert number not in EVERYTHING.redact(text).text or number in before + after


@pytest.mark.parametrize("name", CHECKED)
@given(rng=randoms, data=st.data())
@settings(max_examples=60, derandomize=True, deadline=None)
def test_one_changed_digit_is_no_number(name: str, rng: random.Random, data: st.DataObject) -> None:
    """The check digits catch every single wrong digit."""
    worded = VALID[name](rng)
    places = [i for i, c in enumerate(worded) if c in string.digits]
    if name == "se_personnummer" and len(places) == 12:
        places = places[2:]  # the century has no check digit
    place = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([c for c in string.digits if c != worded[place]]))

    wrong = f"so {worded[:place]}{other}{worded[place + 1 :]} it is"

    assert scanner(name).find(wrong) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # Test numbers that the networks and payment services publish.
        *[("card", n) for n in ("4111111111111111", "4242 4242 4242 4242", "5555-5555-5555-4444", "378282246310005")],
        *[("card", n) for n in ("3782 822463 10005", "6011111111111117", "30569309025904", "3530111333300000")],
        *[("card", n) for n in ("2223003122003222", "6200000000000005", "4222222222222")],
        # Of the registry of IBANs.
        *[("iban", n) for n in ("DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NO93 8601 1117 947")],
        *[
            ("iban", n)
            for n in ("FR1420041010050500013M02606", "MT84MALT011000012345MTLCAST001S", "gb29nwbk60161331926819")
        ],
        # Of the issuers' descriptions.
        ("us_ssn", "536-90-4399"),
        ("uk_nino", "AB 12 34 56 C"),
        ("de_tax_id", "86095742719"),
        ("de_tax_id", "47 036 892 816"),
        ("fr_nir", "2 55 08 14 168 025 38"),
        ("fr_nir", "255081416802538"),
        ("es_dni", "12345678Z"),
        ("es_dni", "X1234567L"),
        ("it_codice_fiscale", "RSSMRA85T10A562S"),
        ("br_cpf", "529.982.247-25"),
        ("in_aadhaar", "2341 2341 2346"),
    ],
)
def test_published_examples_are_found(name: str, text: str) -> None:
    """As written, and in a sentence, a JSON value and a URL."""
    for around in ("{}", "It is {}, thanks.", '{{"number":"{}"}}', "https://host/pay?number={}&go=1", "({})", "n={}\n"):
        found = scanner(name).find(around.format(text))

        assert [around.format(text)[one.start : one.end] for one in found] == [text]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uk_nhs", "NHS number: 943 476 5919"),
        ("uk_nhs", '{"nhs_number": "9434765919"}'),
        ("uk_nhs", "patientNhs=9434765919"),
        ("nl_bsn", "BSN 111222333"),
        ("pl_pesel", "PESEL: 44051401359"),
        ("se_personnummer", "811228-9874"),
        ("se_personnummer", "born 811228+9874"),
        ("se_personnummer", "personnummer 198112289874"),
        ("us_ssn", "social security number 536904399"),
        ("us_ssn", "userSsn: 536904399"),
        ("br_cpf", "cpf=52998224725"),
        ("in_aadhaar", "Aadhaar 234123412346"),
    ],
)
def test_what_is_bare_digits_is_found_behind_its_word(name: str, text: str) -> None:
    """However the word is written; without any, order numbers would be found as often."""
    assert [one.kind for one in scanner(name).find(text)] == [name]


INNOCENT = [
    "version 4.1.1.1111111111111",
    "numpy==1.26.4 torch>=2.3.1+cu121",
    "2024-05-01T10:00:00.123456Z",
    "2024-05-01 10:00:00,123 +0200",
    "1714557600",
    "1714557600123",
    "1714557600123456",
    "1714557600123456789",
    "start_time_unix_nano: 1714557600123456789",
    "550e8400-e29b-41d4-a716-446655440000",
    "00000000-0000-4000-8000-411111111111",
    "41111111-1111-1111-8111-111111111111",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "order-4111111111111111",
    "ORD4111111111111111",
    "order 4111111111111112",
    "order 1234567890",
    "order 123456789",
    "invoice 12345678901",
    "0.4111111111111111",
    "4111111111111111.5",
    "-73.985130 40.758896",
    "3.141592653589793",
    "6.02214076e23",
    "12:34:56.789",
    "20240131-1234",
    "240131-1234",
    "chunk 0000-0000 of 1000-1000",
    "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
    "1,234,567,890.12",
    "$1 234 567 890",
    "+0.123456789",
    "+1.5555555555",
    "2 + 12345678",
    "tokens: 123456 / 1234567",
    "CVE-2024-1234567",
    "RFC 7231, section 6.5.1",
    "ISBN 978-3-16-148410-0",
    "1.3.6.1.4.1.311.21.20",
    "AA:BB:CC:DD:EE:FF",
    "std::vector<int> abc::def1 a::b",
    "Mozilla/5.0 Chrome/120.0.0.0 Safari/537.36",
    "127.0.0.1:8080 0.0.0.0 ::1 ::",
    "256.1.1.1 1.2.3",
    "01/02/2024 03-04-2024 05.06.2024",
    "DE00370400440532013000",
    "DE89 3704 0044 0532 0130 01",
    "@media (min-width: 100px) user@localhost image@2x.png git@github.com:team/repo.git lodash@4.17.21",
    "span_id=00f067aa0ba902b7 trace=4bf92f3577b34da6a3ce929d0e0e4736",
    "ZZ999999A GB123456A AB123456E",
    "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
]


def test_a_number_is_found_behind_one_that_runs_into_it() -> None:
    """What only looked like the beginning is given up from its second character on."""
    assert scanner("card").redact("1234 4111 1111 1111 1111").text == "1234 [card]"
    assert scanner("iban").redact("DE89 DE89 3704 0044 0532 0130 00").text == "DE89 [iban]"


def test_a_part_of_a_longer_number_is_none() -> None:
    """Three groups of four are an id; with a fourth, of whichever side, they are not."""
    assert scanner("in_aadhaar").find("2341 2341 2346 1111 or 1111 2341 2341 2346") == []


@pytest.mark.parametrize("text", INNOCENT)
def test_nothing_is_found_in_what_only_looks_like_it(text: str) -> None:
    """Versions, times, ids, hashes, amounts and floats stay as they are, with every detector on."""
    assert EVERYTHING.redact(text).text == text


@pytest.mark.parametrize(
    ("drawn", "kinds"), [("1{:09d}", 10), ("9{:010d}", 11), ("17{:014d}", 16), ("{:08x}{:08x}", 16)]
)
def test_drawn_identifiers_are_seldom_taken_for_numbers(drawn: str, kinds: int) -> None:
    """Of two thousand random order numbers, times and hex ids, at most one in a hundred is taken for something."""
    rng = random.Random(5)
    texts = [drawn.format(rng.randrange(10 ** (kinds - 2)) % 10**9, rng.randrange(2**32)) for _ in range(2000)]

    wrong = [text for text in texts if EVERYTHING.find(f"id {text} done")]

    assert len(wrong) <= 20, wrong[:10]
