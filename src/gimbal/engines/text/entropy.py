"""Secrets that no prefix tells: what looks drawn at random, behind a word such as key, token, secret or password.

Entropy alone would take every hash and id for a secret, a word alone every sentence about tokens; both together are rare
elsewhere. A password may be short, so it needs two kinds of characters rather than entropy that only length can give.
"""

import math
import operator
import string
from collections import Counter
from collections.abc import Iterator

from gimbal.engines.text.matching import matches, pattern
from gimbal.engines.text.model import Detector, Extent

# Between a word and its value stands what programs write there.
_BETWEEN = r"[A-Za-z0-9_-]{0,24}[\"'\\]{0,3}[ \t]{0,4}(?:[:=]>?|:=|is|\bto\b)?[ \t]{0,4}(?:(?i:bearer|basic|token)[ \t]{1,2})?[\"'\\]{0,3}"
_random = pattern(
    r"(?i:key|token|secret|passw(?:or)?d|passphrase|pwd|credential|authorization|bearer)"
    rf"{_BETWEEN}([A-Za-z0-9+/_.~=-]{{16,256}})"
)
_password = pattern(
    r"(?i:passw(?:or)?d|passphrase|pwd)[\"'\\]{0,3}[ \t]{0,4}(?::|=>?|:=)[ \t]{0,4}[\"'\\]{0,3}([^\s\"'\\,;<>{}()]{8,128})"
)
_random_rest, _password_rest = pattern(r"[A-Za-z0-9+/_.~=-]*"), pattern(r"[^\s\"'\\,;<>{}()]*")
_word = pattern(r"(?i)key|token|secret|passw|passphrase|pwd|credential|authorization|bearer")
_uuid = pattern(r"(?i)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\z")
_part_of_name = pattern(r"[a-z]{6}")
_hex = pattern(r"(?i)^[0-9a-f]+\z")
# Keys that say which, not who; and what reads tokens.
_harmless = pattern(
    r"(?i)(?:tokeni[sz]|(?:primary|foreign|public|cache|sort|partition|idempotency|dedup|object|s3)[ _-]?key)"
    r"[A-Za-z0-9_-]{0,24}[\"'\\ \t:=>]{0,16}\z"
)
# Bits a character. Sixteen characters cannot have more than four; letters drawn at random have 3.6 at that length.
_FEWEST_BITS, _FEWEST_BITS_HEX, _FEWEST_BITS_PASSWORD = 3.3, 2.9, 2.5
_FEWEST_HEX = 24
# How far before its value a word stands at most.
_REACH = 60
_DIGITS = frozenset(string.digits.encode())
_LETTERS = frozenset(string.ascii_letters.encode())
_ALL_BUT_DIGITS = bytes(b for b in range(256) if b not in _DIGITS)
_KINDS = bytes(48 if b in _DIGITS else 65 if 65 <= b <= 90 else 97 for b in range(256))
_OTHERS = bytes(b for b in range(256) if b not in _DIGITS | _LETTERS)


def entropy(text: bytes) -> float:
    """Return the entropy of the bytes as drawn, in bits a byte."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())


def _is_random(text: bytes) -> bool:
    if _DIGITS.isdisjoint(text) or _LETTERS.isdisjoint(text) or _uuid.search(text):
        return False
    if _hex.search(text):
        return len(text) >= _FEWEST_HEX and entropy(text) >= _FEWEST_BITS_HEX
    # One digit among words is a name: `ServerlessV2PlatformVersions`.
    if len(text.translate(None, _ALL_BUT_DIGITS)) == 1 and _part_of_name.search(text):
        return False
    return entropy(text) >= _FEWEST_BITS and _changes(text) >= len(text) // 6


def _changes(text: bytes) -> int:
    """Return how often small letters, capitals and digits take turns: seldom in names, often in what is drawn."""
    kinds = text.translate(_KINDS, _OTHERS)
    return sum(map(operator.ne, kinds, kinds[1:]))


def _called(data: bytes, extent: Extent) -> bool:
    """Tell whether the value is a call in a program: `password = base64.b64decode(text)`."""
    return data[extent.end : extent.end + 1] == b"("


def find_random(data: bytes) -> Iterator[Extent]:
    """Yield what looks random behind a word."""

    def accept(extent: Extent) -> bool:
        before = data[max(0, extent.start - _REACH) : extent.start]
        text = data[extent.start : extent.end].rstrip(b".")
        return _is_random(text) and not _called(data, extent) and _harmless.search(before) is None

    return matches(_random, data, accept, group=1, rest=_random_rest)


def find_passwords(data: bytes) -> Iterator[Extent]:
    """Yield what is set as a password and is no word."""

    def accept(extent: Extent) -> bool:
        text = data[extent.start : extent.end]
        mixed = not _DIGITS.isdisjoint(text) and not text.isdigit()
        return mixed and not _called(data, extent) and entropy(text) >= _FEWEST_BITS_PASSWORD

    return matches(_password, data, accept, group=1, rest=_password_rest)


def find(data: bytes) -> Iterator[Extent]:
    """Yield both."""
    yield from find_random(data)
    yield from find_passwords(data)


ENTROPY = Detector(
    name="random_secret",
    kind="secret",
    family="secret",
    description="what looks drawn at random behind a word such as key, token, secret or password",
    rank=80,
    gate=_word.search,
    find=find,
)
