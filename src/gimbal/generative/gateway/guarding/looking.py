"""One guard at work within its deadline, and the record of what became of each."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gimbal.generative.guards.model import Direction
from gimbal.generative.guards.prepared import Policy, Ready
from gimbal.kernel.errors import GimbalError, GuardRefused, GuardUnavailable

RAN, SKIPPED, TIMED_OUT, FAILED = "ran", "skipped", "timed_out", "failed"
Records = dict[str, dict[str, Any]]
"""By guard: for `input` and `output` one word each, and beside it `_found` by kind and `_why`."""
_DID = {"block": "blocked", "mask": "masked", "flag": "flagged"}
# Up to so many characters a look takes less than handing it to a thread is worth.
_AT_ONCE = 16_384
_T = TypeVar("_T")


class Aside(Exception):
    """A guard that is not required took too long or failed."""


class Looking:
    """The guards of one call, and what became of them."""

    def __init__(self, policy: Policy, records: Records) -> None:
        self.policy = policy
        self.records = records
        for one in policy.guards:
            row = records[one.name] = {}
            for direction in ("input", "output"):
                row[direction] = SKIPPED
                mine = one.guard.looks_at(direction)
                row[f"{direction}_why"] = "not reached" if mine else f"looks at the {one.guard.where}"

    def ran(self, guard: Ready, direction: Direction, found: Mapping[str, int]) -> None:
        """Note that a guard has looked, and what it has found so far."""
        row = self.records[guard.name]
        if row[direction] in {TIMED_OUT, FAILED}:
            return
        row[direction] = RAN
        row.pop(f"{direction}_why", None)
        if found:
            row[f"{direction}_found"] = dict(found)
            row[f"{direction}_did"] = _DID[guard.guard.action]

    def skipped(self, guard: Ready, direction: Direction, why: str) -> None:
        """Note that a guard has not looked, and why."""
        self.records[guard.name][direction] = SKIPPED
        self.records[guard.name][f"{direction}_why"] = why

    def unread(self, direction: Direction, kinds: Mapping[str, int]) -> None:
        """Note parts that are no text, which no guard has read."""
        for row in self.records.values():
            if kinds and row[direction] != SKIPPED:
                row[f"{direction}_unread"] = dict(kinds)

    async def within(self, guard: Ready, direction: Direction, size: int, look: Callable[[], _T]) -> _T:
        """Return what a look at so many characters brings.

        Raise GuardUnavailable where a required guard takes too long or fails, Aside where another does.
        """
        try:
            if size <= _AT_ONCE:
                return look()
            return await asyncio.wait_for(asyncio.to_thread(look), guard.guard.deadline_ms / 1000)
        except TimeoutError:
            word, why = TIMED_OUT, f"it took longer than {guard.guard.deadline_ms} ms"
        except GimbalError as problem:
            word, why = FAILED, problem.message
        except Exception as problem:  # noqa: BLE001 - whatever breaks in a guard, the call must not pass for looked at
            word, why = FAILED, type(problem).__name__
        row = self.records[guard.name]
        row[direction], row[f"{direction}_why"] = word, why
        if not guard.guard.required:
            raise Aside
        raise GuardUnavailable(
            f"The guard {guard.name!r} could not look at the {direction}: {why}. It is required.",
            where=direction,
            todo="Send less at once, allow the guard more time, or set required = false for it.",
        )


def refused(guard: Ready, direction: Direction, found: Mapping[str, int]) -> GuardRefused:
    """Return the error for what a guard does not let through; it says what kind it is and never what it is."""
    what = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in sorted(found.items()))
    return GuardRefused(
        f"The guard {guard.name!r} does not let the {direction} through: {what}.",
        where=direction,
        todo="Leave it out." if direction == "input" else "Ask for something else.",
    )
