"""Texts under guards: what is found whole is found in pieces, wherever they are cut, and nothing of it gets out before."""

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.engines.text.registry import DETECTORS
from gimbal.generative.guards.checks import check_manifest
from gimbal.generative.guards.model import CustomPattern, Guard, PolicyManifest
from gimbal.generative.guards.prepared import Policy
from gimbal.generative.guards.window import Window
from gimbal.kernel.errors import BadInput

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1\nq9Vn3kzLw8Yd7Rt2PbQf\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
# For each detector something that it finds, with what stands around it where that matters.
EXAMPLES = {
    "email": "bob.smith+x@mail.example.co.uk",
    "phone": "+44 20 7946 0958",
    "card": "4111 1111 1111 1111",
    "iban": "GB29 NWBK 6016 1331 9268 19",
    "us_ssn": "SSN: 078-05-1120",
    "ip": "2001:db8:85a3::8a2e:370:7334",
    "known_secret": "sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2m3N4",
    "random_secret": "api_key = 'q7Xb29Lm4Zt81Rk0Wp5V'",
}
SECRETS = [
    *EXAMPLES.values(),
    PEM,
    JWT,
    "https://bob:hunter22x@db.internal/",
    "AKIAIOSFODNN7EXAMPLE",
    "RSSMRA85T10A562S",
]
GUARD = Guard(
    name="all",
    detectors=tuple(DETECTORS),
    patterns=(CustomPattern(kind="ticket", pattern=r"TCK-[0-9]{6}", longest=10),),
    words=("Project Falcon", "naïve", "猫", "straße"),
    action="mask",
)


def ready(**changes):
    guard = Guard(**{"name": "g", "action": "mask", **changes})
    return Policy(check_manifest(PolicyManifest(guards=(guard,)))).guards[0]


ALL = Policy(check_manifest(PolicyManifest(guards=(GUARD,)))).guards[0]


def through(guards, pieces):
    """Return what comes out of guards in a row, piece by piece, and in the end."""
    windows = [Window(one) for one in guards]
    for piece in pieces:
        for window in windows:
            piece = window.feed(piece)  # noqa: PLW2901 - it goes from one to the next
        yield piece
    rest = ""
    for window in windows:
        rest = window.feed(rest) + window.end()
    yield rest


def whole(guards, text):
    for one in guards:
        text = one.look(text).text
    return text


def cut(text, places):
    ends = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in itertools.pairwise(ends)] or [""]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_detector_masks_what_it_finds(name):
    text = f"It is {EXAMPLES[name]} of course."
    found = ready(detectors=(name,)).look(text)

    assert found.found == {DETECTORS[name].kind: 1}
    assert f"[{DETECTORS[name].kind}]" in found.text


@pytest.mark.parametrize("secret", [*SECRETS, "TCK-123456", "project  FALCON", "NAÏVE", "猫", "STRASSE straße"])
def test_a_secret_that_is_cut_anywhere_is_never_seen(secret):
    """Cut at every character, and at every pair of them a few apart; then one character at a time."""
    text = f"Well, here: {secret} and so on, as ever."
    expected = ALL.look(text).text
    assert expected != text

    for at in range(len(text) + 1):
        for more in (0, 1, 2, 7):
            out = list(through([ALL], [text[:at], text[at : at + more], text[at + more :]]))
            assert "".join(out) == expected, at
    out = list(through([ALL], text))
    assert "".join(out) == expected
    # Nothing comes out that the whole would not have begun with.
    seen = ""
    for piece in out:
        seen += piece
        assert expected.startswith(seen)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(SECRETS),
        st.sampled_from(["TCK-123456", "Project Falcon", "project", "naïve", "猫猫", "\u200b", "\\n", "\\", "٤١١١"]),
        st.sampled_from(
            [" ", "\n", ", ", ". ", "-", ":", "/", "@", "=", '"', "(", "+", "key: ", "phone ", "password="]
        ),
        st.text(max_size=12),
        st.text(alphabet="0123456789 -", max_size=24),
        st.text(alphabet="abcXYZ019_-.@:", max_size=24),
    ),
    max_size=14,
)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(PIECES, st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_pieces_say_what_the_whole_says(parts, places, finely):
    text = "".join(parts)
    pieces = list(text) if finely else cut(text, places)

    assert "".join(through([ALL], pieces)) == ALL.look(text).text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(PIECES, st.lists(st.integers(0, 10_000), max_size=12))
def test_guards_in_a_row_do_not_spoil_each_other(parts, places):
    """Each sees what the one before it released: the second finds placeholders of the first, however all was cut."""
    row = [
        ready(detectors=("email", "secret")),
        ready(patterns=(CustomPattern(kind="tag", pattern=r"\[email\][ ,.]{1,3}\w", longest=12),)),
        ready(words=("tag",), detectors=("payment",)),
    ]
    text = "".join(parts)

    assert "".join(through(row, cut(text, places))) == whole(row, text)


def test_plain_text_is_released_word_by_word():
    """No more waits than could still become something: with built-in detectors the word that is being written."""
    text = "The quick brown fox jumps over the lazy dog while nobody looks at it. " * 20
    one = ready(detectors=("contact", "payment", "national_id", "network", "secret"))
    window, most = Window(one), 0
    for word in text.split(" "):
        window.feed(word + " ")
        most = max(most, len(window.waiting))

    assert most <= 24
    custom = ready(patterns=(CustomPattern(kind="t", pattern="T[0-9]{9}", longest=10),))
    window = Window(custom)
    window.feed(text)
    assert len(window.waiting) == 9


def test_flags_hold_nothing_back_and_count():
    window = Window(ready(detectors=("email",), action="flag"))

    assert [window.feed(piece) for piece in ("to bob@exa", "mple.com now")] == ["to bob@exa", "mple.com now"]
    assert window.end() == ""
    assert window.found == {"email": 1}


def test_overlapping_findings_become_one():
    one = ready(detectors=("known_secret", "random_secret", "email"))
    looked = one.look("token: sk-proj-a1B2c3D4e5F6g7H8i9J0 x")

    assert looked.text == "token: [secret] x"
    assert looked.found == {"secret": 1}


def test_words_are_whole_and_of_any_case():
    one = ready(words=("cat", "Falcon", "猫"))

    assert one.look("Cat, concatenate CAT-cat cats falcon_x FALCON 黒猫だ").text == (
        "[word], concatenate [word]-[word] cats falcon_x [word] 黒[word]だ"
    )
    assert one.look("ca\u200bt").text == "[word]"


def test_json_stays_json():
    one = ready(detectors=("card", "email", "us_ssn"))
    looked = one.look_at_json('{"to":"bob\\u0040example.com","n":4111111111111111,"ssn":["078-05-1120",true,1.5]}')

    assert looked.text == '{"to":"[email]","n":"[card]","ssn":["[us_ssn]",true,1.5]}' or "078" not in looked.text
    assert looked.found["email"] == 1
    assert looked.found["card"] == 1
    assert one.look_at_json('{"a": "bob@example.com').text == '{"a": "[email]'


def test_a_long_stream_costs_what_its_text_costs():
    """Neither a secret without an end nor a pattern that a backtracking engine would choke on takes more than linear time."""
    one = ready(detectors=("secret", "contact", "payment"), patterns=(CustomPattern(kind="evil", pattern="(a+)+b"),))
    rng = random.Random(5)
    for text in ("a" * 60_000, "sk-" + "a1B" * 20_000, "".join(rng.choices("01 ", k=60_000)), PEM[:60] + "A" * 60_000):
        begun = time.process_time()
        out = "".join(through([one], [text[at : at + 50] for at in range(0, len(text), 50)]))
        assert time.process_time() - begun < 20
        assert out == one.look(text).text or len(out) <= len(text)


@pytest.mark.parametrize(
    ("guard", "where"),
    [
        ({}, "guards[0]"),
        ({"detectors": ("emial",)}, "guards[0].detectors"),
        ({"patterns": (CustomPattern(kind="x", pattern="(?=a)b"),)}, "guards[0].patterns[0]"),
        ({"patterns": (CustomPattern(kind="x", pattern="a*"),)}, "guards[0].patterns[0]"),
        ({"words": ("...",)}, "guards[0].words"),
        ({"max_characters": 5}, "guards[0].max_characters"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(guard, where):
    with pytest.raises(BadInput) as caught:
        ready(**guard)
    assert caught.value.where == where


def test_two_guards_have_two_names():
    guard = Guard(name="a", detectors=("email",), action="flag")
    with pytest.raises(BadInput, match="Two guards"):
        check_manifest(PolicyManifest(guards=(guard, guard)))
