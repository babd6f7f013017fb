"""Citations: whether the passages behind the markers say so, and how many claims have a marker."""

from typing import Any

import pytest

from gimbal.axis.scores.builtin.citations import citation_recall, citation_support, cited
from gimbal.testing.scorers import check_scorer

CONTEXTS = ["The gate opens at 8 every day.", "The gate is made of iron.", "A key costs 5 dollars."]


@pytest.mark.parametrize(
    ("text", "support", "recall"),
    [
        ("The gate opens at 8 [1].", 1.0, 1.0),
        ("The gate opens at 8. [1] It is made of iron. [2]", 1.0, 1.0),
        ("The gate opens at 8 [2].", 0.0, 1.0),
        ("The gate opens at 8 [1]. A key costs 6 dollars [3].", 0.5, 1.0),
        ("The gate opens at 8 [1]. A key costs 5 dollars.", 1.0, 0.5),
        ("The iron gate opens at 8 [1, 2].", 1.0, 1.0),
        ("A key costs 5 dollars [1, 3].", 1.0, 1.0),
        ("A key costs 5 dollars [9, 3].", 1.0, 1.0),
        ("The gate opens at 8 [7].", 0.0, 1.0),
        ("The gate opens at 8 [0].", 0.0, 1.0),
        ("- The gate opens at 8 [1]\n- A key costs 5 dollars [3]", 1.0, 1.0),
    ],
)
def test_each_cited_claim_is_held_to_the_passages_it_cites(text: str, support: float, recall: float) -> None:
    """A true claim with the wrong marker is not supported by what it cites."""
    assert citation_support({}, {"text": text, "contexts": CONTEXTS}).value == support
    assert citation_recall({}, {"text": text, "contexts": CONTEXTS}).value == recall


def test_the_explanation_names_the_claim_and_what_is_wrong_with_it() -> None:
    output = {"text": "The gate opens at 9 every day [1]. It is made of iron [9].", "contexts": CONTEXTS}
    found = citation_support({}, output).explanation

    assert "'The gate opens at 9 every day.' (9 is not there)" in found
    assert "'It is made of iron.' (there is no passage 9)" in found
    assert citation_recall({}, {"text": "The gate opens."}).explanation == "uncited: 'The gate opens.' (no marker)"


def test_an_answer_without_markers_has_no_support_and_a_recall_of_0() -> None:
    """There is nothing to check, which is not the same as nothing that checks out."""
    output = {"text": "The gate opens at 8.", "contexts": CONTEXTS}

    assert citation_support({}, output).missing == "no_output"
    assert citation_recall({}, output).value == 0.0


@pytest.mark.parametrize("scorer", [citation_support, citation_recall])
@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "no_output"), ("", "no_output"), ("Why?", "no_output"), ("a b [1]. " * 600_000, "too_long")],
)
def test_without_claims_there_is_no_value(scorer: Any, text: Any, reason: str) -> None:
    assert scorer({}, {"text": text, "contexts": CONTEXTS}).missing == reason
    assert citation_support({}, {"text": "The gate opens [1]."}).missing == "no_output"


def test_citations_keep_the_promises_of_scorers() -> None:
    output = {"text": "The gate opens at 8 [1].", "contexts": CONTEXTS}

    check_scorer(citation_support, {}, output)
    check_scorer(citation_recall, {}, {"text": output["text"]})
    assert cited("x [99999] is gate[1") == [("x [99999] is gate[1", [])]
    assert citation_support({}, {"text": "gate \x00\ud800 [1]", "contexts": ["\ud800 gate"]}).value == 1.0
