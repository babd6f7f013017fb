"""Evidence: what a rule is decided on, and the protocol of where it comes from.

The axis has the results of evaluations; a ring registers a source for what only it can compute (`dataset`).
"""

from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.summing import by_example, gaps
from gimbal.axis.gates.model import Rule
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotReady
from gimbal.kernel.plugins import Registry
from gimbal.kernel.refs import Ref


class UnitScores(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence as one score per unit (example): compared paired by unit."""

    units: list[str]
    """Ids of the units that have a value."""
    values: NDArray[np.float64]
    clusters: list[str]
    missing: dict[str, int] = {}
    """Units that ought to have a value and have none, by reason."""


class LabelledScores(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence as predicted probability and true label per row: for AUC and losses."""

    labels: NDArray[np.bool_]
    """Shape (n,)."""
    probabilities: NDArray[np.float64]
    """Shape (n,): probability of the positive class."""


Evidence = UnitScores | LabelledScores


class EvidenceSource(Protocol):
    """Collects what one rule needs of one version; raises NotReady that says how to get it."""

    async def __call__(self, ctx: Context, rule: Rule, version: Version) -> tuple[str, Evidence]:
        """Return the source as resolved, and the evidence; the same source gives the same units in the same order."""
        ...


SOURCES: Registry[EvidenceSource] = Registry("evidence_sources")


async def evaluation_evidence(ctx: Context, rule: Rule, version: Version) -> tuple[str, Evidence]:
    """Return the scores of the newest finished evaluation of a version on the rule's suite; raise NotReady."""
    evaluations = ctx.get(Evaluations)
    suite = await ctx.get(Assets).resolve(ctx, Ref.parse(rule.source, kind="suite"))
    run, looks = await evaluations.runs.latest(ctx, suite.ref, version.ref)
    if run is None:
        raise NotReady(
            f"{version.ref} has not been evaluated on {suite.ref}.",
            where="candidate",
            kept="the alias where it stood",
            todo=f"Run `gimbal evaluations start --suite {suite.ref} --subject {version.ref}` first.",
        )
    results = await evaluations.results(ctx, run.id)
    # Repeats of an example are one unit: their mean.
    rows = by_example(rule.metric, results)
    # Without an expectation there is nothing to judge: that is the suite's, not the candidate's.
    missing = gaps(rule.metric, results)
    # Whoever evaluates until it passes is seen to have done so.
    source = f"{suite.ref}, evaluation {run.id}" + (f", the newest of {looks} of {version.ref}" if looks > 1 else "")
    return source, UnitScores(
        units=[r.id for r in rows],
        values=np.array([r.mean for r in rows], dtype=np.float64),
        clusters=[r.cluster for r in rows],
        missing=dict(missing),
    )


SOURCES.add("evaluation", evaluation_evidence)
