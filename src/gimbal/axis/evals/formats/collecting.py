"""Collects what formats find: examples with unique ids, results, and notes that are counted instead of repeated."""

from typing import Any

import msgspec
from blake3 import blake3

from gimbal.axis.evals.formats.model import Imported, ImportedPrompt, ImportedResult
from gimbal.axis.evals.model import MOST_REPEATS, Example
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.errors import BadInput, TooLarge

MOST_EXAMPLES = 1_000_000
MOST_NOTES = 1_000
_LONGEST_ID = 200
_DIGEST_BYTES = 10


class Collected:
    """What was found so far, over all files of an import."""

    def __init__(self) -> None:
        self._examples: dict[str, Example] = {}
        self._places: dict[str, str] = {}
        self._made: dict[str, int] = {}
        self._scorers: dict[str, ScorerSetting] = {}
        self._prompts: dict[str, str] = {}
        self._results: list[ImportedResult] = []
        self._notes: dict[str, tuple[int, str]] = {}
        self._repeats = 1

    def example(self, example: Example, where: str, *, again: bool = False) -> None:
        """Take an example; with `again` it may have been there before as it is now. Raise BadInput, TooLarge."""
        for name, text in (("id", example.id), ("cluster", example.cluster or "x")):
            if not 1 <= len(text) <= _LONGEST_ID:
                raise BadInput(f"A name of 1 to 200 characters is the {name}.", where=where, todo="Choose another.")
        before = self._examples.get(example.id)
        if before is not None:
            if again and (before.input, before.expected) == (example.input, example.expected):
                if before != example:
                    self.note("has other metadata than the first time, whose stay", where)
                return
            raise BadInput(
                f"The id {example.id!r} is that of {self._places[example.id]} already"
                + (", with another content." if again else "."),
                where=where,
                todo="Make ids unique.",
            )
        if len(self._examples) >= MOST_EXAMPLES:
            raise TooLarge(f"There are more than {MOST_EXAMPLES:,} examples.", where=where, todo="Make several suites.")
        self._examples[example.id] = example
        self._places[example.id] = where

    def scorer(self, name: str, **params: Any) -> None:
        """Take a scorer, unless it is there."""
        self._scorers.setdefault(name, ScorerSetting(scorer=name, params=params))

    def prompt(self, name: str, text: str) -> None:
        """Take a prompt file; another text under a name that is taken gets a number."""
        number, free = 1, name
        while self._prompts.get(free, text) != text:
            number += 1
            free = f"{name}-{number}"
        self._prompts[free] = text

    def result(self, result: ImportedResult, where: str) -> None:
        """Take an answer with its scores."""
        if len(self._results) >= MOST_EXAMPLES:
            raise TooLarge(f"There are more than {MOST_EXAMPLES:,} answers.", where=where, todo="Import fewer files.")
        self._results.append(result)

    def repeated(self, times: int) -> None:
        """Take how often examples are asked; the most of all files counts."""
        if times > MOST_REPEATS:
            self.note(f"{times:,} repeats are asked for; {MOST_REPEATS} is the most here")
        self._repeats = max(self._repeats, min(times, MOST_REPEATS))

    def note(self, what: str, where: str = "") -> None:
        """Take what could not be taken over; the same again is counted."""
        what = what if what in self._notes or len(self._notes) < MOST_NOTES else "more could not be taken over"
        count, first = self._notes.get(what, (0, where))
        self._notes[what] = (count + 1, first)

    def id_of(self, content: Any, where: str) -> str:
        """Return an id made from content; the same content again is noted and gets another."""
        digest = blake3(msgspec.json.encode(content, order="deterministic")).hexdigest(length=_DIGEST_BYTES)
        times = self._made.get(digest, 0) + 1
        self._made[digest] = times
        if times == 1:
            return digest
        self.note("says the same as an example before it; both are kept", where)
        return f"{digest}-{times}"

    def imported(self) -> Imported:
        """Return what was found; raise BadInput when there is no example."""
        if not self._examples:
            raise BadInput(
                "There is no example in it." + (f" Of note: {self._told()[0]}." if self._notes else ""),
                where="files",
                todo="Give a file with at least one.",
            )
        return Imported(
            examples=list(self._examples.values()),
            scorers=list(self._scorers.values()),
            repeats=self._repeats,
            prompts=[ImportedPrompt(name=name, text=text) for name, text in self._prompts.items()],
            results=self._results,
            notes=self._told(),
        )

    def _told(self) -> list[str]:
        return [_told(what, count, first) for what, (count, first) in self._notes.items()]


def _told(what: str, count: int, first: str) -> str:
    if count == 1:
        return f"{first}: {what}" if first else what
    return f"{what} ({count:,} times" + (f", first at {first})" if first else ")")
