"""JUnit XML and Markdown: what passes, what is missing and why, and that no answer can be markup in either."""

import datetime as dt
import html
import re
import xml.etree.ElementTree as ET
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.evals.formats import junit, markdown
from gimbal.axis.evals.formats.wording import cell
from gimbal.axis.evals.model import EvaluationResult, EvaluationRun, ScorerSummary
from gimbal.axis.evals.verdicts import Comparison, ScorerComparison
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.refs import ResolvedRef

HALF = Estimate(value=0.5, low=0.25, high=0.75, n=4, clusters=2)
HOSTILE = "a | b `c` **d** _e_ [f](http://x.y) <script>&amp; @team #12 </details>\n## h\x00\x1b\ud800\uffff ]]> $x$"


def resolved(kind: str, name: str) -> ResolvedRef:
    return ResolvedRef(kind=kind, name=name, number=1, digest="b3:" + "0" * 64)


def run(*summaries: ScorerSummary, **more: Any) -> EvaluationRun:
    return EvaluationRun(
        id="e1", suite=resolved("suite", "help/questions"), subject=resolved("prompt", "help/answer"), status="done",
        done=4, total=4, started_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), started_by="ana", summaries=list(summaries), **more,
    )  # fmt: skip


def result(id_: str, scores: dict[str, float], **more: Any) -> EvaluationResult:
    values = {"text": "yes", "missing": {}, "latency_ms": 500.0, "error": "", "input": {"question": "x"}} | more
    return EvaluationResult(
        example_id=id_, cluster=id_, expected={}, sources=None, scores=scores, trace_id="t1", **values
    )


def summary(name: str, **more: Any) -> ScorerSummary:
    return ScorerSummary(scorer=name, estimate=HALF, **more)


def test_an_answer_is_a_test_case() -> None:
    """Passed, failed, in error, or skipped with its reasons; the numbers of each are those of the elements."""
    rows = [
        result("good", {"exact": 1.0, "bleu": 0.1}, slice="de"),
        result("bad", {"exact": 0.0, "bleu": 0.9}, explanations={"exact": "wanted yes"}),
        result("broken", {}, error="no route", failure="timed_out", missing={"exact": "timed_out"}, text=None),
        result("unjudged", {}, missing={"exact": "no_expectation"}),
        result("waiting", {}, judged=False),
    ]
    root = ET.fromstring(junit(run(summary("exact"), summary("bleu"), asked="prompt:help/answer@live"), rows))
    suite = root[0]
    cases = {case.get("name"): case for case in suite.iter("testcase")}

    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "5", "failures": "1", "errors": "1", "skipped": "2", "time": "2.500",
    }  # fmt: skip
    assert [child.tag for child in cases["good"]] == ["system-out"]
    assert cases["good"].get("classname") == "de"
    assert cases["bad"][0].get("message") == "exact is 0, not at least 1: wanted yes"
    assert (cases["broken"][0].tag, cases["broken"][0].get("type")) == ("error", "timed_out")
    assert (cases["unjudged"][0].tag, cases["unjudged"][0].get("message")) == ("skipped", "exact: no_expectation")
    assert cases["waiting"][0].get("message") == "not judged yet", "it has not passed"
    told = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert (told["exact"], told["asked"]) == ("0.5 [0.25, 0.75] n=4", "prompt:help/answer@live")


@pytest.mark.parametrize(
    ("better", "limits", "failures"),
    [
        ("higher", {}, 0),
        ("higher", {"s": 0.5}, 1),
        ("lower", {"s": 0.5}, 1),
        ("neither", {}, 0),
        ("lower", {"s": 0.9}, 0),
    ],
)
def test_a_continuous_score_fails_at_a_limit_only(better: str, limits: dict[str, float], failures: int) -> None:
    """On the side that is worse."""
    rows = [result("a", {"s": 0.2}), result("b", {"s": 0.8})]

    assert ET.fromstring(junit(run(summary("s", better=better)), rows, limits)).get("failures") == str(failures)


def test_a_binary_score_that_is_better_low_fails_at_one() -> None:
    """As toxicity does; one that is neither good nor bad never fails; repeats have names of their own."""
    rows = [result("a", {"toxic": 0.0, "refused": 1.0}), result("a", {"toxic": 1.0, "refused": 0.0}, repeat=1)]
    made = run(summary("toxic", better="lower"), summary("refused", better="neither"), repeats=2)
    cases = list(ET.fromstring(junit(made, rows)).iter("testcase"))

    assert [case.get("name") for case in cases] == ["a [1]", "a [2]"]
    assert [case.find("failure") is not None for case in cases] == [False, True]


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_any_text_makes_well_formed_xml(text: str) -> None:
    """Controls, halves of characters, ends of CDATA; what XML has comes back as it was."""
    rows = [result(text, {"s": 0.0}, text=text, error=text, missing={"x": text}, slice=text)]
    case = next(ET.fromstring(junit(run(), rows).encode()).iter("testcase"))

    if text.isprintable() and text:
        assert case.get("name") == text


def test_the_verdict_stands_first() -> None:
    """Then intervals, what is missing with its reasons and bounds, cost, and the worst examples folded away."""
    made = run(summary("exact", missing={"refused": 2}, worst=0.3, best=0.8), summary("ms", unit="ms", better="lower"), cost=Decimal("0.25"), unpriced=1)  # fmt: skip
    row = ScorerComparison(
        scorer="exact", before=HALF, after=HALF, difference=Estimate(value=-0.1, low=-0.2, high=-0.01, n=4),
        verdict="worse", p_value=0.0123, detectable=0.05, paired=4, unpaired=1,
    )  # fmt: skip
    text = markdown(
        made,
        [result("good", {"exact": 1.0}), result("bad", {"exact": 0.0}), result("broken", {}, error="boom")],
        Comparison(before=made, after=made, margin=0.02, verdict="worse", scorers=[row]),
    )

    order = ["### ❌ Worse", "| Scorer | Verdict |", "| exact | ❌ worse | 0.5 | 0.5 | -0.1 (-0.2 … -0.01) | 0.0123 |",
             "| exact | 0.5 (0.25 … 0.75) | higher | 4 in 2 clusters | 2 |", "| exact | refused | 2 | 0.3 … 0.8 |", "1 calls without a price",
             "<details>", "| broken |", "| bad |", "</details>"]  # fmt: skip
    places = [text.find(part.replace("_", "&#95;") if part.startswith("| exact | refused") else part) for part in order]
    assert places == sorted(places)
    assert -1 not in places
    assert "| good |" not in text


def test_without_a_comparison_there_is_no_verdict() -> None:
    """An estimate that is undefined says why, and nothing is worst where nothing differs."""
    none = ScorerSummary(scorer="r2", estimate=Estimate(value=None, undefined="one cluster"))
    text = markdown(run(none), [result("a", {"s": 1.0}), result("b", {"s": 1.0})])

    asked = markdown(run(none, asked="prompt:help/answer@live"), [])
    titles = [one.splitlines()[0].replace("&#64;", "@") for one in (text, asked)]
    assert titles == [
        "### Evaluation: prompt:help/answer@v1 on suite:help/questions@v1",
        "### Evaluation: prompt:help/answer@v1 (asked as prompt:help/answer@live) on suite:help/questions@v1",
    ]
    assert "| r2 | undefined: one cluster | higher | 0 | 0 |" in text
    assert "<details>" not in text


def test_answers_are_no_markup_in_markdown() -> None:
    """No table breaks, nobody is mentioned, nothing is linked, hidden or run; the text is there as it was."""
    rows = [result(HOSTILE, {HOSTILE: 0.0}, text=HOSTILE, input={"question": HOSTILE}), result("b", {HOSTILE: 1.0})]
    text = markdown(run(summary(HOSTILE, missing={HOSTILE: 1})), rows)

    tables = [line for line in text.splitlines() if line.startswith("|")]
    inside = tables[-1]
    assert {line.count("|") for line in tables} == {5, 6}
    assert not re.search(r"[`*@<>\[\]\\]", "".join(tables))
    assert html.unescape(inside).count("[f](http://x.y) <script>&amp; @team #12 </details> ## h") == 4
    assert text.count("<details>") == text.count("</details>") == 1


def test_a_report_fits_into_a_comment() -> None:
    """Of many long answers fewer are shown, each cut."""
    rows = [result(f"e{n}", {"s": n / 1000}, text="#" * 5_000_000 if n == 0 else "#" * 900) for n in range(500)]
    text = markdown(run(summary("s")), rows, examples=400)

    assert len(text) < 65_536
    assert 10 < text.count("| e") < 400


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_a_cell_is_one_line_that_can_be_sent(text: str) -> None:
    """In UTF-8, without a bar."""
    made = cell(text)

    assert "|" not in made
    assert len(made.splitlines()) <= 1
    made.encode()
