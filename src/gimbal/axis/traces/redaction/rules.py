"""What a policy comes to: its detectors, what is done with each kind, and whether it can be meant and carried out."""

from collections.abc import Iterator

from gimbal.axis.traces.redaction.model import FAILED, LATE, SESSION, USER, Action, SetRedaction
from gimbal.engines.text.custom import check_speed, custom
from gimbal.engines.text.matching import pattern
from gimbal.engines.text.model import Detector
from gimbal.engines.text.registry import DETECTORS, FAMILIES, chosen
from gimbal.kernel.errors import BadInput

_RESERVED = frozenset({USER, SESSION, FAILED, LATE, "redaction"})
_MOST_PATTERNS, _MOST_ALLOWED, _LONGEST_ALLOWED = 50, 500, 300
# Of what two detectors of one kind are told to do, the first of these is done.
_STRICTEST: tuple[Action, ...] = ("drop", "mask", "hash", "token")
RECOMMENDED = SetRedaction(detectors=[name for name in FAMILIES if name != "network"])
"""Addresses and phone numbers, cards and accounts, national ids and secrets are masked wherever they stand."""


def detectors_of(policy: SetRedaction) -> tuple[Detector, ...]:
    """Return the detectors of a policy; raise BadInput for one that there is not or a pattern that cannot be run."""
    return (*chosen(policy.detectors), *(custom(one.kind, one.pattern) for one in policy.patterns))


def actions_of(policy: SetRedaction) -> dict[str, Action]:
    """Return what to do with each kind of finding."""
    found: dict[str, Action] = {}
    for one in detectors_of(policy):
        asked = policy.actions.get(one.name) or policy.actions.get(one.family) or policy.action
        both = (asked, found.get(one.kind, asked))
        found[one.kind] = next(action for action in _STRICTEST if action in both)
    if policy.users != "scan":
        found[USER] = policy.users
    if policy.sessions != "scan":
        found[SESSION] = policy.sessions
    return found


def check(policy: SetRedaction, *, has_key: bool) -> None:
    """Raise BadInput for a policy that cannot be meant, or cannot be carried out here."""
    if len(policy.patterns) > _MOST_PATTERNS:
        raise BadInput(
            f"{len(policy.patterns)} patterns are too many.",
            where="patterns",
            todo=f"Give at most {_MOST_PATTERNS}: several may be joined by `|`.",
        )
    for place, flaw in _flaws(policy):
        raise BadInput(flaw, where=place, todo="Give each name once, of those that the policy has.")
    for one in detectors_of(policy):
        if one.apart:
            check_speed(one)
    for place, patterns in (("allow", policy.allow), ("allow_keys", policy.allow_keys)):
        if len(patterns) > _MOST_ALLOWED or any(not 0 < len(one) <= _LONGEST_ALLOWED for one in patterns):
            raise BadInput(
                "What may stay is given in short texts.",
                where=place,
                todo=f"Give at most {_MOST_ALLOWED} of 1 to {_LONGEST_ALLOWED} characters.",
            )
        if any(not one.strip("*?. ") for one in patterns):
            raise BadInput("That lets everything stay.", where=place, todo="Leave detectors out instead.")
        pattern(wildcards(patterns))
    if policy.needs_key and not has_key:
        raise BadInput(
            "A policy with hash or token needs a key, and this installation has none.",
            where="action",
            kept="the policy as it was",
            todo="Set redaction.key_file or redaction.key_env, restart, and set the policy then; or use mask.",
        )


def _flaws(policy: SetRedaction) -> Iterator[tuple[str, str]]:
    kinds = [one.kind for one in policy.patterns]
    taken = {*DETECTORS, *FAMILIES, *_RESERVED, *(one.kind for one in DETECTORS.values())}
    for kind in kinds:
        if kind in taken or kinds.count(kind) > 1:
            yield "patterns", f"Something else is called {kind[:40]!r} already."
    known = {*DETECTORS, *FAMILIES, *kinds}
    for name in policy.actions:
        if name not in known:
            yield "actions", f"There is no detector {name[:40]!r}."


def wildcards(given: list[str]) -> str:
    """Return a pattern of texts in which `*` stands for anything, in any case."""
    # RE2 takes every character but letters, digits and `_` with a backslash as itself, by its bytes.
    whole = "|".join(".*".join(map(_quoted, one.split("*"))) for one in given)
    return rf"(?is)^(?:{whole})\z"


def _quoted(text: str) -> str:
    return "".join(
        sign if sign.isalnum() or not sign.isascii() or sign == "_" else f"\\x{ord(sign):02x}" for sign in text
    )
