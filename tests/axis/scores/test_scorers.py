"""The built-in scorers: what counts as the same answer, and what is missing instead of wrong."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.axis.scores.builtin.examples import examples_of

import gimbal.axis.scores.builtin
from gimbal.axis.scores.asking import Classify, Embed, Embedded
from gimbal.axis.scores.builtin.exact_match import exact_match
from gimbal.axis.scores.builtin.source_hit import source_hit
from gimbal.axis.scores.builtin.texts import words
from gimbal.axis.scores.builtin.token_f1 import f1, token_f1
from gimbal.axis.scores.card import Level, ScorerCard, ScoreType
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.axis.scores.scorer import AskingScorer, CodeScorer, SuiteMetric
from gimbal.kernel.context import Context
from gimbal.kernel.settings import Settings, WorkerSettings
from gimbal.testing.scorers import check_asking_scorer, check_card, check_metric, check_scorer

TEXT = st.text(max_size=40)
WORDS = st.lists(st.sampled_from(["alias", "gate", "moves", "version", "score"]), max_size=8)


def match(answer: object, text: str) -> float | None:
    return exact_match({"answer": answer}, {"text": text}).value


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("A movable name.", "movable   NAME"),
        ("the gate", "Gate!"),
        ("STRASSE", "straße"),
        ("ﬁne", "fine"),
        ("cafe\u0301", "CAFÉ"),
        ("İstanbul", "i\u0307stanbul"),
        ("\uff11\uff12", "12"),
        ("1,000", "1000"),
        ("\u22125", "-5"),
        (3, "3"),
        (True, "true"),
        ("", " "),
        ("A", "a"),
        ("->", "->"),
    ],
)
def test_the_same_answer_in_other_dress_matches(answer: object, text: str) -> None:
    """Case, articles, punctuation, spacing and the form of Unicode characters do not count."""
    assert match(answer, text) == 1.0
    assert token_f1({"answer": answer}, {"text": text}).value == 1.0


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("-5", "5"),
        ("3.14", "314"),
        ("3.14", "3 14"),
        ("1.5", "15"),
        ("-5C", "5C"),
        ("A", ""),
        ("A", "B"),
        ("the", "an"),
        ("+", "-"),
        ("->", ""),
        ("gate", "gates"),
        ("two words", "words two"),
    ],
)
def test_another_answer_does_not_match(answer: str, text: str) -> None:
    """A sign, a point, a symbol and the order make an answer another one, also where nothing else is in it."""
    assert match(answer, text) == 0.0
    assert match(text, answer) == 0.0


@pytest.mark.parametrize("scorer", [exact_match, token_f1])
@pytest.mark.parametrize("expected", [{}, {"answer": None}, {"answers": []}, {"answers": None}, {"answers": [None]}])
def test_without_an_expectation_the_score_is_missing(scorer: object, expected: dict[str, object]) -> None:
    """Missing with a reason, never 0; an empty text is an expectation."""
    assert callable(scorer)
    assert scorer(expected, {"text": "anything"}) == ScoreValue(value=None, missing="no_expectation")
    assert scorer({"answer": "x"}, {"text": None}) == ScoreValue(value=None, missing="no_output")
    assert scorer({"answer": ""}, {"text": "x"}).value == 0.0


def test_the_best_of_several_answers_counts() -> None:
    """`answers` goes before `answer`, which stands in where it is null."""
    assert exact_match({"answers": ["no", "yes"], "answer": "maybe"}, {"text": "Yes."}).value == 1.0
    assert exact_match({"answers": ["no", "yes"], "answer": "maybe"}, {"text": "maybe"}).value == 0.0
    assert exact_match({"answers": None, "answer": "maybe"}, {"text": "maybe"}).value == 1.0
    assert token_f1({"answers": ["one two", "one two three four"]}, {"text": "one two three"}).value == 6 / 7


@pytest.mark.parametrize(
    ("said", "wanted", "value"),
    [
        ("cat sat", "cat sat mat", 0.8),
        ("cat cat cat", "cat", 0.5),
        ("cat cat", "cat cat", 1.0),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
    ],
)
def test_token_f1_is_that_of_bags_of_words(said: str, wanted: str, value: float) -> None:
    """Computed by hand: 2·common / (said + wanted), a word as often as it is there."""
    assert token_f1({"answer": wanted}, {"text": said}).value == pytest.approx(value)


@given(WORDS, WORDS)
def test_f1_is_symmetric_bounded_and_1_for_the_same_bag_only(said: list[str], wanted: list[str]) -> None:
    value = f1(said, wanted)

    assert 0 <= value <= 1
    assert value == f1(wanted, said)
    assert (value == 1) is (sorted(said) == sorted(wanted))
    assert (value == 0) is (not set(said) & set(wanted) and (said or wanted) != [])


@given(TEXT, TEXT)
def test_an_exact_match_is_a_full_f1_and_both_ways_the_same(answer: str, text: str) -> None:
    exact, overlap = match(answer, text), token_f1({"answer": answer}, {"text": text}).value

    assert exact in {0.0, 1.0}
    assert exact == match(text, answer)
    assert overlap is not None
    assert 0 <= overlap <= 1
    assert exact == 0.0 or overlap == 1.0


@given(TEXT)
def test_every_text_matches_itself_in_any_case(text: str) -> None:
    """Only a text of spaces has no words; folding twice changes nothing more."""
    assert match(text, text) == 1.0
    assert (words(text) == []) is (not text.strip())
    assert words(" ".join(words(text))) == words(text)
    assert match(text, text.casefold()) == 1.0


@pytest.mark.parametrize(
    ("expected", "sources", "value"),
    [
        ({"source": "alias.md"}, ["gate.md", "alias.md"], 1.0),
        ({"source": "alias.md"}, ["gate.md"], 0.0),
        ({"source": "alias.md"}, [], 0.0),
        ({"source": "alias.md#moving"}, ["alias.md#history"], 1.0),
        ({"sources": ["a.md", "b.md"]}, ["b.md"], 1.0),
        ({"sources": None, "source": "a.md"}, ["a.md"], 1.0),
        ({"source": "a.md"}, ["A.md"], 0.0),
    ],
)
def test_a_source_hit_is_one_page_in_common(expected: dict[str, object], sources: list[str], value: float) -> None:
    assert source_hit(expected, {"sources": sources}).value == value


@pytest.mark.parametrize("expected", [{}, {"source": ""}, {"sources": []}, {"sources": ["", None]}, {"source": "#x"}])
def test_a_source_that_is_not_expected_or_not_told_is_missing(expected: dict[str, object]) -> None:
    """A target that names no source (null) is not the same as one that found none."""
    assert source_hit(expected, {"sources": ["a.md"]}).missing == "no_expectation"
    assert source_hit({"source": "a.md"}, {"sources": None}).missing == "no_output"
    assert source_hit({"source": "a.md"}, {"sources": "a.md"}).missing == "no_output"


def test_the_scorers_are_registered_by_name() -> None:
    assert [SCORERS.get(name) for name in ("exact_match", "source_hit", "token_f1")] == [
        exact_match,
        source_hit,
        token_f1,
    ]


def test_every_module_of_the_package_is_imported_by_it() -> None:
    """A scorer whose module nobody imports would be in no suite."""
    folder = Path(gimbal.axis.scores.builtin.__path__[0])
    modules = [
        path.stem for path in folder.glob("*.py") if re.search(r"^@(scorer|metric)\(", path.read_text(), re.MULTILINE)
    ]

    assert sorted(modules) == list(gimbal.axis.scores.builtin.__all__)


NEEDED = {"toxicity": {"classifier": "model:moderation/toxicity"}}
"""What a scorer cannot do without."""


@pytest.mark.parametrize(
    "name", [name for name in SCORERS if getattr(SCORERS.get(name), "module", "").startswith("gimbal.")]
)
async def test_every_scorer_with_a_card_keeps_the_promises(name: str, ctx: Context) -> None:
    """Whichever of the three shapes it has; one that asks a classifier or an embedder is given one."""

    async def unlikely(ctx: Context, classifier: str, label: str, texts: list[str]) -> list[float]:
        return [0.25 for _ in texts]

    async def letters(ctx: Context, embedder: str, texts: list[str]) -> Embedded:
        vectors = [[1.0, *(float(text.casefold().count(letter)) for letter in "aeiou")] for text in texts]
        return Embedded(vectors=vectors)

    ctx.services.register(Classify, unlikely)
    ctx.services.register(Embed, letters)
    found: Any = SCORERS.get(name)
    examples = examples_of(name)
    assert found.card.name == name
    if isinstance(found, SuiteMetric):
        check_metric(found, examples)
        return
    for expected, output in examples:
        if isinstance(found, AskingScorer):
            ctx.services.register(Settings, Settings(worker=WorkerSettings(run_code=True)))
            await check_asking_scorer(ctx, found, expected, output, params=NEEDED.get(name))
        else:
            check_scorer(found, expected, output)


def broken(card: ScorerCard, value: float, reads: str = "text") -> CodeScorer:
    """Return a scorer that reads a field and gives a value, under a card that may say otherwise."""

    def judge(expected: Any, output: Any) -> ScoreValue:
        if "answer" not in expected:
            return ScoreValue(value=None, missing="no_expectation")
        if not output.get("text"):
            return ScoreValue(value=None, missing="no_output")
        return ScoreValue(value=value if output.get(reads) else 0.0)

    return CodeScorer(card, judge)


CARD = ScorerCard(
    name="marks", title="Marks", low=1.0, high=6.0, expects=("answer",), description="d", limits="l", source="s"
)


def test_the_range_and_the_fields_of_a_card_are_held() -> None:
    """A value beyond the range, a step that a binary scorer has not, a field that the card does not name."""
    expected, output = {"answer": "x"}, {"text": "x", "input": {"question": "y"}}
    binary = ScorerCard(
        name="b", title="t", type=ScoreType.BINARY, expects=("answer",), description="d", limits="l", source="s"
    )

    assert check_scorer(broken(CARD, 6.0), expected, output).value == 6
    with pytest.raises(AssertionError, match=r"7\.0 is not from 1 to 6"):
        check_scorer(broken(CARD, 7.0), expected, output)
    with pytest.raises(AssertionError, match="neither 0 nor 1"):
        check_scorer(broken(binary, 0.5), expected, output)
    with pytest.raises(AssertionError, match="names every field"):
        check_scorer(broken(CARD, 2.0, reads="input"), expected, output)
    with pytest.raises(AssertionError, match="has a limits"):
        check_card(ScorerCard(name="n", title="t", description="d", source="s"))


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (lambda _: 2.0, "not from 0 to 1"),
        (lambda samples: samples[0], "order of the samples"),
        (lambda _: 0.5, "Of no samples"),
    ],
)
def test_a_metric_that_breaks_a_promise_is_found(over: Any, words: str) -> None:
    """Its range, the order of its samples, and that nothing has no value."""
    card = ScorerCard(
        name="m", title="t", level=Level.SUITE, expects=("answer",), description="d", limits="l", source="s"
    )

    def read(expected: Any, output: Any) -> Any:
        if "answer" not in expected:
            return ScoreValue(value=None, missing="no_expectation")
        return len(output["text"]) / 10 if "text" in output else ScoreValue(value=None, missing="no_output")

    with pytest.raises(AssertionError, match=words):
        check_metric(
            SuiteMetric(card, read, over), [({"answer": ""}, {"text": "x"}), ({"answer": ""}, {"text": "xxx"})]
        )
