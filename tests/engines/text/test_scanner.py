"""The scanner: overlaps, characters of several bytes, the choice of detectors, custom patterns, and linear time."""

import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.engines.text.custom import custom
from gimbal.engines.text.registry import DETECTORS, FAMILIES, chosen
from gimbal.engines.text.scanner import Scanner
from gimbal.kernel.errors import BadInput

EVERYTHING = Scanner(DETECTORS.values())
MEGABYTE = 1_000_000


def test_findings_are_placed_by_characters() -> None:
    """What stands before may have characters of up to four bytes."""
    text = "日本😀 ada@example.com é 4111 1111 1111 1111 €"

    assert [(one.kind, text[one.start : one.end]) for one in EVERYTHING.find(text)] == [
        ("email", "ada@example.com"),
        ("card", "4111 1111 1111 1111"),
    ]
    assert EVERYTHING.redact(text) == ("日本😀 [email] é [card] €", {"email": 1, "card": 1})


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_text_can_be_read(before: str, after: str) -> None:
    """Whatever the characters, lone surrogates too; findings lie in order and apart, and what is between them stays."""
    text = f"{before}\ud800 ada@example.com {after}"

    found = EVERYTHING.find(text)

    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert any("ada@example.com" in text[one.start : one.end] for one in found)


@pytest.mark.parametrize(
    "value", ["ada@example.com", "4111111111111111", "+14155552671", "203.0.113.7", "DE89370400440532013000"]
)
def test_escaped_lines_end_words(value: str) -> None:
    """JSON within JSON stays JSON: the escape is left whole, and what follows it is found."""
    inner = json.dumps({"text": f"a\n{value}\nb\t{value}\r\n"})

    redacted = EVERYTHING.redact(json.dumps({"arguments": inner})).text

    kind = EVERYTHING.find(value)[0].kind
    assert json.loads(json.loads(redacted)["arguments"]) == {"text": f"a\n[{kind}]\nb\t[{kind}]\r\n"}


def test_of_two_findings_the_longer_names_the_whole() -> None:
    """No end of the shorter one sticks out; of two as long, the more specific one gives the name."""
    longer = Scanner([custom("short", "abc"), custom("long", "bcdef")])
    specific = Scanner([*chosen(["phone"]), custom("customer", r"\d{3}-\d{3}-\d{4}")])

    assert longer.redact("x abcdef y") == ("x [long] y", {"long": 1})
    assert specific.redact("415-555-2671").text == "[customer]"


def test_neighbours_stay_two_findings() -> None:
    """What touches does not overlap."""
    assert Scanner([custom("a", "a+"), custom("b", "b+")]).redact("aabb").text == "[a][b]"


def test_detectors_are_chosen_by_name_and_by_family() -> None:
    """Each once; an unknown name is refused with those that there are."""
    assert [one.name for one in chosen(["card", "payment", "email"])] == ["card", "iban", "email"]
    assert {one.family for one in chosen(FAMILIES)} == set(FAMILIES)
    assert set(chosen(FAMILIES)) == set(DETECTORS.values())
    with pytest.raises(BadInput) as refused:
        chosen(["emails"])
    assert "email" in refused.value.todo


def test_only_chosen_detectors_look() -> None:
    """A policy for cards leaves addresses."""
    assert Scanner(chosen(["card"])).redact("ada@example.com 4111111111111111").text == "ada@example.com [card]"
    assert Scanner([]).redact("ada@example.com") == ("ada@example.com", {})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(\w+) \1", "escape"),
        (r"(?=secret)x", "perl operator"),
        (r"(?<!a)b", "perl operator"),
        ("(", "missing )"),
        ("[z-a]", "range"),
        ("a{2000}", "repetition"),
        ("((a{100}){100}){10}", "repetition"),
        ("a*", "empty"),
        ("", "characters"),
        ("a" * 1001, "characters"),
        ("\ud800", "text"),
    ],
)
def test_a_pattern_that_cannot_be_run_safely_is_refused(pattern: str, reason: str) -> None:
    """With RE2's own reason and what to do."""
    with pytest.raises(BadInput) as refused:
        custom("own", pattern)

    assert reason in refused.value.message
    assert refused.value.where == "pattern"
    assert refused.value.todo


@pytest.mark.parametrize("kind", ["", "Email", "1st", "a b", "x" * 41, "]["])
def test_a_kind_is_a_short_plain_name(kind: str) -> None:
    """It stands in every placeholder and as a label of a metric."""
    with pytest.raises(BadInput):
        custom(kind, "a")


def test_custom_patterns_find_what_they_say() -> None:
    """Also characters of several bytes, whole words, and in any case."""
    scanner = Scanner([custom("customer", r"(?i)\bkd-\d{4}\b"), custom("name", "Zoë|日本+")])

    assert scanner.redact("KD-1234 of Zoë, 日本本; kd-12345").text == "[customer] of [name], [name]; kd-12345"


HOSTILE = {
    "digits": "4",
    "valid card, then digits": "4111111111111111 1",
    "grouped digits": "4111 1111 1111 1112 ",
    "digits and hyphens": "1-",
    "digits and dots": "1.",
    "letters": "a",
    "at signs": "a@",
    "domains": "a@a.a.",
    "dots before at": "a.b.c.d@",
    "colons": "1:",
    "double colons": "::1",
    "plus signs": "+1(",
    "account starts": "DE89 3704",
    "begin of keys": "-----BEGIN PRIVATE KEY-----",
    "begin and lines": "-----BEGIN RSA PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAA\n",
    "words": "key key=",
    "word and value": "token=aB3dE5gH7jK9mN1pQ3 ",
    "one long value": "password=" + "x",
    "token starts": "eyJhbGciOi.",
    "key starts": "sk-",
    "tokens behind hyphens": "-eyJaaaaaaaa-eyJaaaaaaaa.eyJaaaaaaaaa.",
    "urls": "a://b:",
    "url characters": "aa:a://",
    "ids": "123-45-6789",
    "fiscal": "RSSMRA85T10A562",
    "spaces": " ",
    "letters of four bytes": "😀1",
}


def seconds(scanner: Scanner, text: str) -> float:
    start = time.thread_time()
    scanner.find(text)
    return time.thread_time() - start


@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_a_megabyte_of_hostile_text_is_read_in_seconds(detector: str) -> None:
    """Of every hostile piece as much; the bound is ten times what it takes, and a hundredth of a quadratic reading."""
    text = "\n".join(piece * (MEGABYTE // len(HOSTILE) // len(piece)) for piece in HOSTILE.values())

    assert seconds(Scanner([DETECTORS[detector]]), text) < 15


@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_time_is_linear_in_hostile_text(detector: str) -> None:
    """Eight times as much of one piece takes eight times as long; a quadratic reading would take sixty-four times."""
    scanner = Scanner([DETECTORS[detector]])
    slow = {}
    for name, piece in HOSTILE.items():
        whole = seconds(scanner, piece * (MEGABYTE // 8 // len(piece)))
        if whole > 0.03:
            part = max(seconds(scanner, piece * (MEGABYTE // 64 // len(piece))) for _ in range(3))
            whole = min(whole, seconds(scanner, piece * (MEGABYTE // 8 // len(piece))))
            if whole > 24 * part:
                slow[name] = (whole, part)

    assert slow == {}


def test_a_custom_pattern_that_reads_on_after_each_match_ends() -> None:
    """What its time does not suffice for is one finding: nothing that was not read passes."""
    scanner = Scanner([custom("own", "a(.*b)?")])
    start = time.thread_time()

    redacted = scanner.redact("a " * (MEGABYTE // 8) + "end")

    assert time.thread_time() - start < 20
    assert "a" not in redacted.text.replace("[own]", "")
    assert "end" not in redacted.text


def test_a_custom_pattern_with_many_matches_finds_each() -> None:
    """A hundred thousand honest matches are well within the time."""
    assert Scanner([custom("own", r"\bC\d{4}\b")]).redact("C1234 ok " * 100_000).counts == {"own": 100_000}
