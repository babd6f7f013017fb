"""What a policy is: guards in order, each with what it looks for, where, and what is done about it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.engines.text.custom import check_speed, custom
from gimbal.engines.text.registry import chosen
from gimbal.kernel.errors import BadInput

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


def check_manifest(manifest: PolicyManifest) -> PolicyManifest:
    """Return a manifest whose guards can be carried out; raise BadInput naming the part that cannot."""
    seen: set[str] = set()
    for number, guard in enumerate(manifest.guards):
        where = f"guards[{number}]"
        if guard.name in seen:
            raise BadInput(
                f"Two guards are called {guard.name!r}.", where=f"{where}.name", todo="Name each its own way."
            )
        seen.add(guard.name)
        if not (guard.detectors or guard.patterns or guard.words or guard.max_characters):
            raise BadInput(
                f"The guard {guard.name!r} looks for nothing.",
                where=where,
                todo="Give it detectors, patterns, words or max_characters.",
            )
        if guard.action == "mask" and guard.max_characters is not None:
            raise BadInput(
                "What is too long cannot be masked.", where=f"{where}.max_characters", todo="Choose block or flag."
            )
        _check_parts(guard, where)
    return manifest


def _check_parts(guard: Guard, where: str) -> None:
    with _at(f"{where}.detectors"):
        chosen(guard.detectors)
    for number, one in enumerate(guard.patterns):
        with _at(f"{where}.patterns[{number}]"):
            custom(one.kind, one.pattern)
    for word in guard.words:
        if not any(sign.isalnum() for sign in word):
            raise BadInput(f"{word!r} is no word.", where=f"{where}.words", todo="Use letters or digits.")


class _at:  # noqa: N801 - reads as a word of the `with` statement
    """Names the place in the manifest in the errors of a block."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, BadInput):
            raise BadInput(problem.message, where=self._where, todo=problem.todo) from None


def check_speeds(manifest: PolicyManifest) -> None:
    """Raise BadInput for a pattern that is too slow; for what is new, since machines differ."""
    for number, guard in enumerate(manifest.guards):
        for place, one in enumerate(guard.patterns):
            with _at(f"guards[{number}].patterns[{place}]"):
                check_speed(custom(one.kind, one.pattern))


def decode_manifest(manifest: Mapping[str, object]) -> PolicyManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return check_manifest(msgspec.convert(dict(manifest), PolicyManifest))
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not a policy's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


KIND = register_kind(
    AssetKind(name="policy", title="Policies", ring="generative", check=_check, template="guards/policy.html")
)
