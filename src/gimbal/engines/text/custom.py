"""Patterns of a project's own, in RE2's syntax.

RE2 is linear in one search, but a pattern such as `a(.*b)?` may read to the end of the text after each of many matches. So
finding has a limit of processor time by the length of the text; behind it the rest of the text is one finding, since what
was not read must not pass.
"""

import time
from collections.abc import Iterator

from gimbal.engines.text.matching import Pattern, pattern
from gimbal.engines.text.model import Detector, Extent
from gimbal.kernel.errors import BadInput

_KIND = pattern(r"^[a-z][a-z0-9_]{0,39}\z")
_MOST_CHARACTERS = 1000
# Instructions of RE2's program. What is larger is built anew and anew while it reads, and takes memory.
_LARGEST = 50_000
# Seconds of processor time: for any text, and a byte more. A megabyte of plain matches takes a fifth.
_SECONDS, _SECONDS_A_BYTE = 0.25, 4e-6
_LOOK_EVERY = 64
# Sixteen kilobytes of words, numbers and marks, and how long one search in them may take: patterns for what people look for
# take less than a hundredth of that.
_SAMPLE = b"".join(f"{n * 7919 % 9973} axb, cad:bc-{n:x}.. \u00e9\u6f22/".encode() for n in range(700))[:16_384]
_SLOW_S = 0.02


def custom(kind: str, text: str) -> Detector:
    """Return a detector of one pattern; raise BadInput for one that RE2 refuses or that finds what is empty."""
    if _KIND.search(kind.encode()) is None:
        raise BadInput(
            f"A pattern cannot be called {kind[:60]!r}.",
            where="kind",
            todo="Use at most 40 small letters, digits and underscores, a letter first.",
        )
    if not 0 < len(text) <= _MOST_CHARACTERS:
        raise BadInput(
            f"The pattern has {len(text)} characters.",
            where="pattern",
            todo=f"Give 1 to {_MOST_CHARACTERS} characters.",
        )
    compiled = pattern(text)
    if compiled.programsize > _LARGEST:
        raise BadInput(
            f"The pattern is too large: {compiled.programsize} instructions.",
            where="pattern",
            todo=f"Ask for fewer repetitions and classes; at most {_LARGEST} instructions are taken.",
        )
    if compiled.search(b"") is not None:
        raise BadInput(
            "The pattern finds what is empty, so it is everywhere.",
            where="pattern",
            todo="Ask for at least one character: `+` instead of `*`.",
        )
    return Detector(
        name=kind,
        kind=kind,
        family="custom",
        description=f"custom pattern {text}",
        rank=100,
        gate=compiled.search,
        find=lambda data: _find(compiled, data),
        apart=True,
    )


def check_speed(detector: Detector) -> None:
    """Raise BadInput for a pattern that reads a text of the usual kind so slowly that one search could hold others up."""
    for sample in (_SAMPLE, _SAMPLE[::-1]):
        spent: list[float] = []
        for _ in range(3):
            begun = time.thread_time()
            detector.gate(sample)
            spent.append(time.thread_time() - begun)
        if min(spent) > _SLOW_S:
            raise BadInput(
                f"The pattern of {detector.name} is too slow: {min(spent) * 1e6 / len(sample):.1f} s for a megabyte.",
                where="pattern",
                todo="Give what it repeats a smaller bound: `.{0,40}` instead of `.{900}`.",
            )


def _find(compiled: Pattern, data: bytes) -> Iterator[Extent]:
    until = time.thread_time() + _SECONDS + _SECONDS_A_BYTE * len(data)
    for count, found in enumerate(compiled.finditer(data)):
        start, end = found.span()
        if count % _LOOK_EVERY == 0 and time.thread_time() > until:
            yield Extent(start, len(data))
            return
        if end > start:
            yield Extent(start, end)
