"""What passages support by their words, and which differences a number of shared words does not make up for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.scores.builtin.evidence import Evidence, content_words, objections, read
from gimbal.axis.scores.model import ScoreValue

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


def test_a_passage_without_sentences_does_not_say_everything_at_once() -> None:
    """A text without capitals has sentences, and a list of words is cut: far apart is not together."""
    rest = "more words about other things. " * 30
    claim = "The smith used iron for the heavy gate."

    assert Evidence(["the gate was heavy. the smith used iron."]).objection(claim) == ""
    assert "together" in Evidence([f"the gate was heavy. {rest} the smith used iron."]).objection(claim)
    assert "together" in Evidence([f"gate heavy {'word ' * 1_000} smith used iron"]).objection(claim)


def test_what_would_take_too_long_is_given_up_with_a_reason() -> None:
    """Words that are in every sentence are the worst there is."""
    words = ["gate", "iron", "spring", "smith", "heavy", "opens", "closes"]
    evidence = Evidence([". ".join(f"{words[i % 7].title()} {words[i % 5]} {i}" for i in range(15_000))])
    asked = [f"gate iron spring smith heavy closes {'x' * i}" for i in range(1, 60)]
    found = objections(evidence, asked, 0.9)

    assert isinstance(found, ScoreValue)
    assert (found.value, found.missing) == (None, "too_long")
    assert objections(Evidence(PASSAGES), ["It is 330 metres tall."], 0.7) == [""]


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "²③", "\u0661\u0662 2021-99-99", "'" * 1000, "a" * 100_000])
def test_hostile_texts_are_read(text: str) -> None:
    assert isinstance(Evidence([text]).objection(f"x {text}"), str)
