"""What a policy is: guards in order, each with what it looks for, where, and what is done about it. `checks` says what can be."""

from typing import Annotated, Literal

import msgspec

Where = Literal["input", "output", "both"]
Action = Literal["block", "mask", "flag"]
Direction = Literal["input", "output"]
MOST_GUARDS = 32
MOST_PATTERNS = 32
MOST_WORDS = 500

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class CustomPattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A pattern of the project's own."""

    kind: str
    """What its findings are called, and what stands in their place: `[kind]`."""
    pattern: str
    """In RE2's syntax."""
    longest: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    """Characters that a match has at most. A stream is held back by as many, so that no match passes in parts."""


class Guard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One guard: what it looks for, where, and what is done about what it finds."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    """For the record and for callers who are refused."""
    where: Where = "both"
    """input: what is asked; output: what is answered; both."""
    detectors: Annotated[tuple[str, ...], msgspec.Meta(max_length=64)] = ()
    """Built-in detectors by name or family."""
    patterns: Annotated[tuple[CustomPattern, ...], msgspec.Meta(max_length=MOST_PATTERNS)] = ()
    words: Annotated[tuple[Word, ...], msgspec.Meta(max_length=MOST_WORDS)] = ()
    """Words and phrases, whole and in any case; findings are called `word`."""
    max_characters: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] | None = None
    """Characters that a request's texts, or an answer's, may have together."""
    action: Action
    """block: the call is refused; mask: `[kind]` stands in the place of what was found; flag: the trace says so."""
    deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 500
    """How long one look may take: at a request, at a whole answer, or at a piece of a stream."""
    required: bool = True
    """Whether a call is refused when this guard takes too long or fails; false: it goes on and the trace says so."""

    def looks_at(self, direction: Direction) -> bool:
        """Tell whether it looks at this direction."""
        return self.where in {direction, "both"}


class PolicyManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest of a version of kind `policy`."""

    guards: Annotated[tuple[Guard, ...], msgspec.Meta(min_length=1, max_length=MOST_GUARDS)]
    """In order: each sees what the one before it left."""
    description: str = ""
    """What it is for."""
