"""What is known of a scorer before it judges anything: its type, its range, what it reads, and where it comes from."""

import enum
from typing import Literal

import msgspec


class ScoreType(enum.StrEnum):
    """What kind of number or word a scorer gives."""

    BINARY = "binary"
    """0 or 1."""
    ORDINAL = "ordinal"
    """Steps in an order, mapped to numbers of equal distance."""
    CONTINUOUS = "continuous"
    """Any number of the range."""
    CATEGORICAL = "categorical"
    """A word, in `label`; it has no mean."""


class Level(enum.StrEnum):
    """What one value is of."""

    EXAMPLE = "example"
    """One output; the suite's value is the mean."""
    SUITE = "suite"
    """All outputs together, as of a correlation or an F1 of classes; it is no mean of values of examples."""


class ScorerCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer says of itself."""

    name: str
    """Under which suites list it: `exact_match`."""
    title: str
    """In words: `Exact match`."""
    type: ScoreType = ScoreType.CONTINUOUS
    level: Level = Level.EXAMPLE
    low: float | None = 0.0
    """The least value there is; null where there is none."""
    high: float | None = 1.0
    """The largest value there is; null where there is none."""
    better: Literal["higher", "lower", "neither"] = "higher"
    unit: str = ""
    """Of the value: `ms`, `USD`; empty for a share or a mark."""
    expects: tuple[str, ...] = ()
    """Fields of the expectation that it reads; one of them must be there."""
    reads: tuple[str, ...] = ("text",)
    """Fields of the output that it reads."""
    asks: Literal["", "model", "embedder", "classifier"] = ""
    """What it needs besides: a model it asks, an embedder, a classifier."""
    extra: str = ""
    """The extra of the distribution that it needs: `metrics`, `sklearn`."""
    description: str = ""
    """What a value means, in a sentence or two."""
    limits: str = ""
    """What it cannot tell."""
    source: str = ""
    """Paper, standard or library that defines it."""
