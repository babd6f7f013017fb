"""The console's pages of gates: the rules, the decisions, and one decision with every number it used."""

from gimbal.axis.gates.model import Rule, RuleOutcome
from gimbal.axis.gates.service import Gates
from gimbal.engines.console import charts
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.context import Context


def words(rule: Rule) -> str:
    """Return a rule as a sentence."""
    if rule.against == "incumbent":
        how = (
            f"not worse than the incumbent by more than {rule.margin:g}" if rule.margin else "better than the incumbent"
        )
        return f"{rule.metric} on {rule.source} is {how}"
    side = "at least" if rule.higher_is_better else "at most"
    return (
        f"{rule.metric} on {rule.source} is {side} {rule.threshold:g}, over its whole {rule.level * 100:g} % interval"
    )


@page("/gates", title="Gates", nav="Gates", order=50, icon="gates")
async def gates_page(ctx: Context, request: PageRequest) -> View:
    """Show the gates, and the decisions newest first."""
    gates = ctx.get(Gates)
    found = await gates.decisions(ctx, asset=request.query.get("asset"), cursor=request.query.get("cursor"))
    rows = [{"gate": gate, "rules": [words(rule) for rule in gate.rules]} for gate in await gates.all(ctx)]
    return View("gates/list.html", {"gates": rows, "found": found})


@page("/gates/decisions/{id}", title="Decision", icon="gates")
async def decision_page(ctx: Context, request: PageRequest) -> View:
    """Show one decision."""
    decision = await ctx.get(Gates).decision(ctx, request.path["id"])
    rows = [
        {"outcome": outcome, "words": words(outcome.rule), "chart": _chart(outcome)} for outcome in decision.outcomes
    ]
    return View("gates/decision.html", {"decision": decision, "rows": rows})


def _chart(outcome: RuleOutcome) -> charts.Spec | None:
    """Return the intervals of candidate and incumbent with the threshold, when there is something to draw."""
    named = [("candidate", outcome.candidate), ("incumbent", outcome.incumbent)]
    points = [
        charts.Point(x=name, y=e.value, low=e.low, high=e.high)
        for name, e in named
        if e is not None and e.value is not None
    ]
    if not points:
        return None
    rules: list[charts.Rule] = []
    if outcome.rule.against == "threshold" and outcome.rule.threshold is not None:
        rules.append(charts.Rule(y=outcome.rule.threshold, label="threshold"))
    return charts.intervals(points, y_title=outcome.rule.metric, rules=rules)
