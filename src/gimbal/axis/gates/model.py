"""Records of gates, rules and decisions; which pattern guards what."""

import re
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput
from gimbal.kernel.events import Event
from gimbal.kernel.refs import Ref, ResolvedRef

# What references are made of, and `*`; nothing else has a meaning, so that no pattern is more specific than it looks.
_PATTERN = re.compile(r"[a-z0-9_*-]{1,64}:[a-z0-9._/*-]{1,600}@[A-Za-z0-9._*-]{1,255}")
DATASET_METRICS = {"auc": True, "log_loss": False, "brier": False}
"""What a model's probabilities on labelled rows are judged by, and whether more of it is better."""
_SOURCE_KINDS = {"evaluation": "suite", "dataset": "dataset"}


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
    allowed_missing: float = 0.0
    """Share of the units (failed calls, no answer) that the candidate may lack a value for; else it is refused."""


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
    """`meets`, `misses` or `undecided` against a threshold; `better`, `worse`, `equivalent`, `underpowered` else.

    `incomplete` when the candidate lacks more values than the rule allows.
    """
    candidate: Estimate
    incumbent: Estimate | None = None
    difference: Estimate | None = None
    p_value: float | None = None
    detectable: float | None = None
    """Smallest difference that this evidence would find with 80 % power."""
    needed: int | None = None
    """About how many units would show with 80 % power what these point to but cannot show."""
    missing: dict[str, int] = {}
    """Units for which the candidate has no value, by reason."""
    unpaired: int = 0
    """Units that only one of the two versions has a value for; they are in no difference."""
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
    if not _PATTERN.fullmatch(body.pattern):
        raise BadInput(
            f"{body.pattern!r} is not an alias pattern.",
            where="pattern",
            todo="Write it like model:flights/delay@production or prompt:*@production.",
        )
    if not body.rules:
        raise BadInput("A gate needs a rule.", where="rules", todo="Add one, or remove the gate.")
    for index, rule in enumerate(body.rules):
        _check_rule(rule, f"rules[{index}]")


def _check_rule(rule: Rule, where: str) -> None:
    if not rule.metric:
        raise BadInput(
            "The rule has no metric.", where=f"{where}.metric", todo="Name a scorer, or auc, log_loss, brier."
        )
    Ref.parse(rule.source, kind=_SOURCE_KINDS.get(rule.evidence, ""))
    if not 0.5 < rule.level < 1:
        raise BadInput("The level lies between 0.5 and 1.", where=f"{where}.level", todo="Use 0.95.")
    if rule.against == "threshold" and rule.threshold is None:
        raise BadInput("The rule compares with a threshold and has none.", where=f"{where}.threshold", todo="Add it.")
    if rule.margin < 0:
        raise BadInput("A margin is not negative.", where=f"{where}.margin", todo="Use 0 or more.")
    if not 0 <= rule.allowed_missing < 1:
        raise BadInput("A share lies between 0 and 1.", where=f"{where}.allowed_missing", todo="Use 0, or 0.05.")
    if rule.evidence == "dataset":
        higher = DATASET_METRICS.get(rule.metric)
        if higher is None:
            raise BadInput(
                f"{rule.metric!r} is not a metric.",
                where=f"{where}.metric",
                todo=f"There are: {', '.join(DATASET_METRICS)}.",
            )
        if rule.higher_is_better != higher:
            side = "higher" if higher else "lower"
            raise BadInput(
                f"A {side} {rule.metric} is better.",
                where=f"{where}.higher_is_better",
                todo=f"Set it to {str(higher).lower()}.",
            )
