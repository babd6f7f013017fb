"""Records of gates, rules and decisions; which pattern guards what."""

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput
from gimbal.kernel.events import Event
from gimbal.kernel.refs import ResolvedRef


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One condition that a candidate has to meet."""

    evidence: str
    """Where the numbers come from: `evaluation` (a suite's results) or `dataset` (predictions on labelled rows)."""
    source: str
    """Reference of the suite or dataset."""
    metric: str
    """A scorer of the suite, or `auc`, `log_loss`, `brier`."""
    against: Literal["threshold", "incumbent"] = "threshold"
    """What the candidate is compared with; without an incumbent the threshold counts."""
    threshold: float | None = None
    """With `threshold`: the whole interval must lie on its good side."""
    margin: float = 0.0
    """With `incumbent`: how much worse is still as good (non-inferiority); 0 asks for better."""
    higher_is_better: bool = True
    """False for losses."""
    level: float = 0.95
    """Coverage of the interval."""


class SetGate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate to set; one with the same pattern is replaced, its decisions stay."""

    pattern: str
    """Aliases that it guards: `model:flights/delay@production`, `prompt:*@production`."""
    rules: list[Rule]
    """All must hold."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that let an alias move."""

    id: str
    pattern: str
    rules: list[Rule]
    updated_at: datetime
    updated_by: str


class Promote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version shall stand on which alias."""

    candidate: str
    """Reference of the version: `model:flights/delay@v2`."""
    alias: str
    """The alias: `production`."""
    reason: str = ""
    """Why; kept in the decision."""


class RuleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule found, with every number it used."""

    rule: Rule
    source: str
    """The source as it was resolved."""
    passed: bool
    verdict: str
    """`meets`, `misses` or `undecided` against a threshold; `better`, `worse`, `equivalent`, `underpowered` else."""
    candidate: Estimate
    incumbent: Estimate | None = None
    difference: Estimate | None = None
    p_value: float | None = None
    detectable: float | None = None
    """Smallest difference that this evidence would find with 80 % power."""
    text: str
    """The finding in a sentence."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate decided; never changed afterwards."""

    id: str
    gate_id: str
    pattern: str
    asset: str
    alias: str
    candidate: ResolvedRef
    incumbent: ResolvedRef | None
    verdict: Literal["promoted", "refused"]
    outcomes: list[RuleOutcome]
    text: str
    """Why, in a sentence or two."""
    reason: str
    """Why it was asked for."""
    at: datetime
    by: str


class Decided(Event, frozen=True, kw_only=True):
    """A gate decided."""

    decision: Decision


def guards(pattern: str, asset: str, alias: str) -> bool:
    """Tell whether a pattern guards an alias; `*` stands for any run of characters."""
    return fnmatchcase(f"{asset}@{alias}", pattern)


def specific(pattern: str) -> tuple[int, int]:
    """Return how specific a pattern is: the most specific gate that guards an alias decides."""
    return (-pattern.count("*"), len(pattern))


def check_gate(body: SetGate) -> None:
    """Raise BadInput when a gate makes no sense."""
    asset, at, alias = body.pattern.partition("@")
    if not at or not alias or ":" not in asset:
        raise BadInput(
            f"{body.pattern!r} is not an alias pattern.",
            where="pattern",
            todo="Write it like model:flights/delay@production or prompt:*@production.",
        )
    if not body.rules:
        raise BadInput("A gate needs a rule.", where="rules", todo="Add one, or remove the gate.")
    for index, rule in enumerate(body.rules):
        where = f"rules[{index}]"
        if not 0.5 < rule.level < 1:
            raise BadInput("The level lies between 0.5 and 1.", where=f"{where}.level", todo="Use 0.95.")
        if rule.against == "threshold" and rule.threshold is None:
            raise BadInput(
                "The rule compares with a threshold and has none.", where=f"{where}.threshold", todo="Add it."
            )
        if rule.margin < 0:
            raise BadInput("A margin is not negative.", where=f"{where}.margin", todo="Use 0 or more.")
