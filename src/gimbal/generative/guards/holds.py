"""From where on the end of a text may be the beginning of something that a detector would find: so much of a stream waits.

One rule for each detector, as wide as its patterns: what they accept and no more. Rules read the same folded UTF-8 bytes as
the detectors, and are given what was released before as well. What has been found already is not their business.
"""

from collections.abc import Callable, Iterable

from gimbal.engines.text.matching import Pattern, pattern

Hold = Callable[[bytes], int]
"""Returns the byte from which on a text must wait; its length where nothing need."""

AFTER = 8
"""Characters behind a finding that detectors look at before they are sure of it, line ends written as two included."""
_MOST_OF_A_KEY = 16_384
_LONGEST_NUMBER = 64
_WORD = r"A-Za-z0-9\x{C0}-\x{24F}"
_email = pattern(rf"[{_WORD}._%+'-]{{1,64}}(?:@[{_WORD}.-]{{0,300}})?\z")
_ip = pattern(r"[0-9A-Fa-f:.]{1,64}\z")
# Groups of digits, and the few letters that stand before, among and behind them.
_digits = pattern(
    r"(?:\b[A-Za-z]{1,2}[ -]|[+(]{1,2})?[A-Za-z]{0,6}\d(?:[ ./()+-]{0,3}[A-Za-z]{0,4}[ ./()+-]{0,3}\d)*"
    r"[ ./()+-]{0,3}[A-Za-z]{0,4}[ ./()+-]{0,3}\z"
)
_letters = pattern(r"(?:[+(]{0,2}[A-Za-z0-9]{1,16}[ -]?|[+(]{1,2})\z")
_iban = pattern(r"\b[A-Za-z]{2}\d{2}[A-Za-z0-9 -]{0,42}\z")
_key = pattern(r"[A-Za-z0-9_./+=-]{1,120}\z")
_plain_key = pattern(r"\bsk-[A-Za-z0-9_-]{0,240}\z")
_signed = pattern(r"\beyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,2}\z")
_in_url = pattern(r"://[^\s/@:\"'<>]{0,100}(?::[^\s/@\"'<>]{0,200})?\z")
_rule = pattern(r"-{1,5}(?:[A-Z][A-Z0-9 ]{0,70}-{0,5})?\z")
_begin = pattern(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_DASHES = b"-----"
_random = pattern(
    r"(?i:key|token|secret|passw(?:or)?d|passphrase|pwd|credential|authorization|bearer)[A-Za-z0-9_-]{0,24}[\"'\\]{0,3}"
    r"[ \t]{0,4}(?:[:=]>?|:=|is|\bto\b)?[ \t]{0,4}(?:(?i:bearer|basic|token)[ \t]{0,2})?[\"'\\]{0,3}"
    r"[A-Za-z0-9+/_.~=-]{0,256}\z"
)
_password = pattern(
    r"(?i:passw(?:or)?d|passphrase|pwd)[\"'\\]{0,3}[ \t]{0,4}(?::|=>?|:=)?[ \t]{0,4}[\"'\\]{0,3}[^\s\"'\\,;<>{}()]{0,128}\z"
)


def _first(data: bytes, *patterns: Pattern) -> int:
    """Return where the first match of any begins."""
    return min((found.start() for one in patterns if (found := one.search(data)) is not None), default=len(data))


def _numbers(data: bytes) -> int:
    tail = max(0, len(data) - _LONGEST_NUMBER)
    return tail + _first(data[tail:], _digits, _letters)


def _private_key(data: bytes) -> int:
    """Return where a private key begins whose end is not there; a rule that is no end decides as well."""
    at = len(data)
    start = 0
    while (begun := _begin.search(data, start)) is not None:
        start = begun.end()
        rule = data.find(_DASHES, start)
        open_yet = rule < 0 or len(data) - rule < _LONGEST_NUMBER
        if open_yet and len(data) - begun.start() < _MOST_OF_A_KEY:
            at = begun.start()
            break
    return min(at, _first(data, _rule))


def _secrets(data: bytes) -> int:
    return min(_first(data, _key, _plain_key, _signed, _in_url), _private_key(data))


_BY_FAMILY: dict[str, Hold] = {
    "email": lambda data: _first(data, _email),
    "iban": lambda data: min(_numbers(data), _first(data, _iban)),
    "ip": lambda data: _first(data, _ip),
    "known_secret": _secrets,
    "random_secret": lambda data: _first(data, _random, _password),
}


def hold_of(detector: str) -> Hold:
    """Return the rule of a built-in detector; all the others look for numbers."""
    return _BY_FAMILY.get(detector, _numbers)


def last(characters: int) -> Hold:
    """Return the rule of what has so many characters at most, and is not known otherwise."""

    def hold(data: bytes) -> int:
        if len(data) < characters:
            return 0
        at = len(data)
        for _ in range(characters - 1):
            at -= 1
            while at > 0 and data[at] & 0xC0 == 0x80:
                at -= 1
        return max(0, at)

    return hold


def earliest(holds: Iterable[Hold]) -> Hold:
    """Return the rule by which a text waits as long as any of them wants."""
    rules = tuple(dict.fromkeys(holds))

    def hold(data: bytes) -> int:
        # The second character of a line's end that is written as two has not come yet.
        at = len(data) - data.endswith(b"\\")
        return (
            min((rule(data) for rule in rules), default=at) if at == len(data) else min(at, *(r(data) for r in rules))
        )

    return hold
