"""What passages support by their words, and which differences a number of shared words does not make up for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.scores.builtin.evidence import Evidence, content_words, read

PASSAGES = [
    "The Eiffel Tower is 330 metres tall. It was completed on 31 March 1889 in Paris by Gustave Eiffel.",
    "Refunds are not possible after thirty days. Members may return goods within 14 days, and parcels over 1,500 grams cost more.",
    "東京は日本の首都です。",
]


@pytest.mark.parametrize(
    "claim",
    [
        "The Eiffel Tower is 330 metres tall.",
        "The tower, completed in Paris on 1889-03-31, is tall.",
        "Gustave Eiffel completed the tower in March 1889.",
        "Goods may be returned by members within 14 days.",
        "Refunds aren't possible after thirty days.",
        "Parcels over 1500 grams cost more.",
        "東京は首都です。",
    ],
)
def test_a_claim_is_supported_in_other_order_form_and_notation(claim: str) -> None:
    """Stems, thousands, dates and contractions are the same thing."""
    assert Evidence(PASSAGES).objection(claim) == ""


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("The Eiffel Tower is 300 metres tall.", "300 is not there"),
        ("The Eiffel Tower was completed on 30 March 1889 in Paris.", "30 is not there"),
        ("The Eiffel Tower was completed on 31 May 1889 in Paris.", "month 5 is not there"),
        ("The Eiffel Tower was completed in London in 1889.", "london is not there"),
        ("Refunds are possible after thirty days.", "a passage denies it"),
        ("Members may not return goods within 14 days.", "a passage affirms what it denies"),
        ("The moon is made of cheese.", "nothing of it is there"),
        ("The tower was painted green by famous artists last summer.", "14% of its words are there together"),
    ],
)
def test_another_number_date_name_or_negation_is_no_support(claim: str, why: str) -> None:
    """However many words are shared."""
    assert Evidence(PASSAGES).objection(claim) == why


def test_the_words_have_to_stand_together_in_one_passage() -> None:
    """Within three sentences: words from all over a text say nothing together."""
    near = "The gate is heavy. It was made in spring. The smith used iron."
    far = "The gate is heavy. One. Two words. Three words more. The smith used iron."

    assert Evidence([near]).objection("The smith used iron for the heavy gate.") == ""
    assert "together" in Evidence([far]).objection("The smith used iron for the heavy gate.")
    assert "together" in Evidence(near.split(". ")).objection("The smith used iron for the heavy gate.")


def test_the_threshold_says_how_many_words_must_be_there() -> None:
    """Two of four content words."""
    evidence = Evidence(["The gate opens."])

    assert evidence.objection("The gate opens slowly today.", 0.5) == ""
    assert evidence.objection("The gate opens slowly today.", 0.51) == "50% of its words are there together"


def test_what_counts_of_a_text() -> None:
    found = read("The U.S. did not buy 1,000 pears in May 2021")

    assert {"1000", "2021", "month 5", "pear"} <= found.words
    assert {"1000", "2021", "month 5"} <= found.must
    assert found.negated
    assert content_words("It is what it was.") == frozenset()
    assert not read("Notable knots").negated


@given(
    st.lists(
        st.sampled_from(["gate", "key", "iron", "moves", "42", "Berlin", "never", "heavy", "opens"]),
        min_size=2,
        max_size=8,
    )
)
def test_a_passage_supports_itself(words: list[str]) -> None:
    """Whatever is in it, unless it has nothing to check."""
    claim = "So " + " ".join(words) + "."

    assert not content_words(claim) or Evidence([claim]).objection(claim) == ""


def test_500_claims_against_a_megabyte_are_judged_in_seconds() -> None:
    """Words that are everywhere are the worst there is."""
    chance = random.Random(2)
    common = ["gate", "key", "iron", "spring", "smith", "heavy", "opens", "closes"]
    passage = ". ".join(" ".join(chance.choices(common, k=6)) for _ in range(4_000)) + "."
    evidence = Evidence([passage])

    assert all(evidence.objection(f"{chance.choice(common)} and number {i}") for i in range(50))


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "²③", "\u0661\u0662 2021-99-99", "'" * 1000, "a" * 100_000])
def test_hostile_texts_are_read(text: str) -> None:
    assert isinstance(Evidence([text]).objection(f"x {text}"), str)
