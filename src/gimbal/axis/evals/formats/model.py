"""What a file of another tool comes to here, what may be said about its columns, and what a format promises."""

from pathlib import Path
from typing import Any, Protocol

import msgspec

from gimbal.axis.evals.model import Example
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.errors import BadInput
from gimbal.kernel.plugins import Registry

MEANINGS = ("id", "input", "expected", "cluster", "slice", "weight", "metadata")
_WITH_FIELDS = ("input", "expected", "metadata")


class ImportedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that came along, as a prompt file of ours."""

    name: str
    """As a path without an ending: `answer`."""
    text: str
    """The whole file."""


class ImportedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that another tool got and judged."""

    subject: str
    """Whose answer it is, as the other tool names it: `openai/gpt-5-mini`."""
    example_id: str
    repeat: int = 0
    """Which asking of the example this is, from 0."""
    text: str | None
    value: Any = None
    """What was answered, where it is no text."""
    scores: dict[str, float] = {}
    missing: dict[str, str] = {}
    """Reason by score, where there is no value."""
    labels: dict[str, str] = {}
    """Word by score, where it gives one."""
    error: str = ""
    """What went wrong there, if something did."""
    latency_ms: float | None = None
    cost: float | None = None
    """US dollars, as the other tool knows them."""
    input_tokens: int | None = None
    output_tokens: int | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What files came to."""

    examples: list[Example]
    scorers: list[ScorerSetting] = []
    """As far as the files say how they are judged."""
    repeats: int = 1
    """How often each example is asked there."""
    prompts: list[ImportedPrompt] = []
    results: list[ImportedResult] = []
    """As far as the files have answers."""
    notes: list[str] = []
    """What could not be taken over, and why."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """What one column means."""

    meaning: str
    """One of MEANINGS."""
    field: str = ""
    """Of the input, expectation or metadata; empty: its usual one."""
    column: str


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about files beside what stands in them."""

    columns: tuple[Column, ...] = ()
    """What columns mean; what is not said is guessed by their names."""


class Collecting(Protocol):
    """Takes what a format finds, and keeps ids apart; see `collecting.Collected`."""

    def example(self, example: Example, where: str, *, again: bool = False) -> None:
        """Take an example; with `again` it may have been there before as it is now. Raise BadInput, TooLarge."""
        ...

    def scorer(self, name: str, **params: Any) -> None:
        """Take a scorer, unless it is there."""
        ...

    def prompt(self, name: str, text: str) -> None:
        """Take a prompt file."""
        ...

    def result(self, result: ImportedResult, where: str) -> None:
        """Take an answer with its scores."""
        ...

    def repeated(self, times: int) -> None:
        """Take how often examples are asked."""
        ...

    def note(self, what: str, where: str = "") -> None:
        """Take what could not be taken over; the same again is counted."""
        ...

    def id_of(self, content: Any, where: str) -> str:
        """Return an id made from content; the same content again is noted and gets another."""
        ...


class SuiteFormat(Protocol):
    """Reads the files of one tool."""

    title: str
    """In words: `promptfoo's config`."""

    def recognises(self, path: Path, first: Any) -> int:
        """Return 0 for no, 1 for a file of its ending, 2 for one that has its fields; `first` is its first JSON value, if any."""
        ...

    def read(self, path: Path, options: ReadOptions, into: Collecting) -> None:
        """Read a file into `into`; raise BadInput that names file and line."""
        ...


FORMATS: Registry[SuiteFormat] = Registry("suite_formats")
"""Formats that suites are read from; packages add theirs by the entry point group `gimbal.suite_formats`."""


def columns_of(texts: list[str]) -> tuple[Column, ...]:
    """Read `expected.answer=Solution` and the like; raise BadInput."""
    found: list[Column] = []
    for text in texts:
        head, equals, column = text.partition("=")
        meaning, dot, field = head.strip().partition(".")
        if not equals or not column.strip() or meaning not in MEANINGS or (dot and meaning not in _WITH_FIELDS):
            raise BadInput(
                f"{text!r} does not say what a column means.",
                where="column",
                todo=f"Write MEANING=COLUMN, with one of {', '.join(MEANINGS)}, or input.FIELD, expected.FIELD, metadata.FIELD.",
            )
        found.append(Column(meaning=meaning, field=field, column=column.strip()))
    for single in ("id", "cluster", "slice", "weight"):
        if sum(one.meaning == single for one in found) > 1:
            raise BadInput(f"Two columns are the {single}.", where="column", todo="Name one.")
    return tuple(found)
