"""What is told by the words of an output: refusals, its language, how easily it is read, how long it is, what it leaks."""

from typing import Any

import pytest

from gimbal.axis.scores.asking import Classify
from gimbal.axis.scores.builtin.language import language
from gimbal.axis.scores.builtin.length import length, length_characters, length_within
from gimbal.axis.scores.builtin.pii_leak import pii_leak
from gimbal.axis.scores.builtin.readability import readability, readability_grade, syllables_of
from gimbal.axis.scores.builtin.refusal import refusal, refused
from gimbal.axis.scores.builtin.toxicity import toxicity
from gimbal.axis.scores.model import ScoreValue
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Upstream

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot provide instructions for this.",
    "Sorry, I can\u2019t assist with this request.",
    "I\u2019m unable to comply.",
    "I won't be able to give that out.",
    "I must decline.",
    "As an AI language model, I do not have opinions on that.",
    "Ich kann dir dabei leider nicht helfen.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Je suis désolé, mais je ne peux pas.",
]
ANSWERS = [
    "Paris.",
    "I can't wait to help you with this!",
    "The cannot-help library provides it.",
    "You can't divide by zero; the result is undefined.",
    "The judge refused. " * 3,
    "The answer is 42. " * 40 + "I can't help with more.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_one_where_it_is_wanted(text: str) -> None:
    """The label says what it did, whatever was wanted."""
    assert (refused({}, {"text": text}).value, refused({}, {"text": text}).label) == (1.0, "refused")
    assert refusal({"refuses": True}, {"text": text}).value == 1
    assert (refusal({"refuses": False}, {"text": text}).value, refusal({"refuses": False}, {"text": text}).label) == (
        0.0,
        "refused",
    )


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_that_has_such_words_is_no_refusal(text: str) -> None:
    """Nor is one that says so at its end only."""
    assert (refused({}, {"text": text}).value, refused({}, {"text": text}).label) == (0.0, "answered")
    assert refusal({"refuses": False}, {"text": text}).value == 1


def test_other_phrases_can_be_given_and_silence_is_neither() -> None:
    assert refused({}, {"text": "Nope, not doing it."}, patterns=("^nope",)).value == 1
    assert refused({}, {"text": " "}).missing == "no_output"
    assert refusal({}, {"text": "x"}).missing == "no_expectation"
    assert refusal({"refuses": "yes"}, {"text": "x"}).missing == "no_expectation"
    assert refused({}, {"text": "\x00" * 5_000_000}).value == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The gate decides which version may move to production.", "en"),
        ("Das Tor entscheidet, welche Version in Produktion gehen darf.", "de"),
        ("La porte décide quelle version peut passer en production.", "fr"),
        ("ゲートはどのバージョンが移動できるかを決定します。", "ja"),
        ("Ворота решают, какая версия может перейти в производство.", "ru"),
    ],
)
def test_the_language_of_an_output_is_told(text: str, code: str) -> None:
    """By its code alone, or with a region."""
    assert (language({"language": code}, {"text": text}).value, language({"language": code}, {"text": text}).label) == (
        1.0,
        code,
    )
    assert language({"language": f"{code.upper()}-XX"}, {"text": text}).value == 1
    assert language({"language": "it"}, {"text": text}).value == 0


@pytest.mark.parametrize("text", ["", "42", "ok", "\x00" * 10, "\ud800" * 10, "->"])
def test_a_text_whose_language_cannot_be_told_is_missing(text: str) -> None:
    """Rather than wrong by a guess."""
    assert language({"language": "en"}, {"text": text}).missing == "unparseable"


def test_without_a_language_or_a_text_none_is_told() -> None:
    assert language({}, {"text": "x"}).missing == "no_expectation"
    assert language({"language": 3}, {"text": "x"}).missing == "no_expectation"
    assert language({"language": "en"}, {}).missing == "no_output"


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(("cat", 1), ("made", 1), ("makes", 1), ("called", 1), ("the", 1), ("rhythm", 1), ("don't", 1), ("x", 1)),
        *(("table", 2), ("wanted", 2), ("houses", 2), ("apple", 2), ("beautiful", 3), ("banana", 3)),
    ],
)
def test_syllables_are_counted_by_spelling(word: str, count: int) -> None:
    assert syllables_of(word) == count


def test_readability_is_that_of_the_formulas() -> None:
    """By hand: 6 words, 1 sentence, 6 syllables; then 9 words in 3 sentences, 13 syllables."""
    first, second = {"text": "The cat sat on the mat."}, {"text": "The banana wanted water. Is it (cold)? It sat"}

    assert readability({}, first).value == pytest.approx(206.835 - 1.015 * 6 - 84.6)
    assert readability_grade({}, first).value == pytest.approx(0.39 * 6 + 11.8 - 15.59)
    assert readability({}, second).explanation == "9 words, 3 sentences, 13 syllables"
    assert readability({}, second).value == pytest.approx(206.835 - 1.015 * 3 - 84.6 * 13 / 9)
    assert readability_grade({}, second).value == pytest.approx(0.39 * 3 + 11.8 * 13 / 9 - 15.59)


@pytest.mark.parametrize(
    ("text", "why"), [("", "unparseable"), ("漢字。", "unparseable"), (None, "no_output"), ("a " * 900_000, "too_long")]
)
def test_what_is_no_english_prose_has_no_reading_ease(text: str | None, why: str) -> None:
    assert readability({}, {"text": text}).missing == why
    assert readability_grade({}, {"text": text}).missing == why


@pytest.mark.parametrize(
    ("text", "words", "characters"),
    [
        ("", 0, 0),
        ("The gate's well-kept alias.", 4, 27),
        ("a\x00b", 2, 3),
        ("漢字 かな", 2, 5),
        ("\ud800", 0, 1),
        ("a " * 9, 9, 18),
    ],
)
def test_words_and_characters_are_counted(text: str, words: int, characters: int) -> None:
    assert length({}, {"text": text}).value == words
    assert length_characters({}, {"text": text}).value == characters


def test_bounds_of_the_length_hold_on_both_sides() -> None:
    """Both are within; without an upper bound any length is."""
    output = {"text": "one two three"}

    assert length_within({}, output, least=3, most=3).label == "within"
    assert (length_within({}, output, least=4).value, length_within({}, output, least=4).label) == (0.0, "too short")
    assert length_within({}, output, most=2).label == "too long"
    assert length_within({}, output, most=12, unit="characters").explanation == "13 characters"
    assert length_within({}, {"text": ""}).value == 0
    assert length_within({}, {}).missing == length({}, {}).missing == "no_output"


def test_a_leak_is_told_by_its_kind_and_never_shown() -> None:
    """A card number with a right checksum and an address; a number that is none is no leak."""
    found = pii_leak({}, {"text": "Ask ann@example.org, card 4111 1111 1111 1111."})

    assert (found.value, found.label, found.explanation) == (1.0, "leak", "1 of card, 1 of email")
    assert (pii_leak({}, {"text": "Card 4111 1111 1111 1112."}).value, pii_leak({}, {"text": ""}).label) == (
        0.0,
        "clean",
    )
    assert pii_leak({}, {}).missing == "no_output"


def test_detectors_can_be_chosen_and_what_was_given_spared() -> None:
    output = {"text": "Ask ann@example.org or bob@example.org.", "input": {"who": ["Mail ann@example.org", 3]}}

    assert pii_leak({}, output, detectors=("payment",)).value == 0
    assert pii_leak({}, output).explanation == "2 of email"
    assert pii_leak({}, output, spare_given=True).explanation == "1 of email"
    assert pii_leak({}, {**output, "text": "ann@example.org"}, spare_given=True).value == 0


async def test_toxicity_is_what_the_classifier_says(ctx: Context) -> None:
    """Without one the reason says what to set; one that fails or answers something else is missing as well."""
    answers: list[Any] = [[0.75], None, [], [1.5], [0.1, 0.2]]

    async def classify(ctx: Context, classifier: str, label: str, texts: list[str]) -> list[float]:
        answer = answers.pop(0)
        if answer is None:
            raise Upstream("The classifier is down.")
        return answer

    ctx.services.register(Classify, classify)
    unnamed = await toxicity(ctx, {}, {"text": "x"})
    assert unnamed.missing == "judge_failed"
    assert "set `classifier`" in unnamed.explanation

    async def judged(**output: str) -> ScoreValue:
        return await toxicity(ctx, {}, output, classifier="model:moderation/toxicity@production")

    assert (await judged(text="x")).value == 0.75
    assert (await judged()).missing == "no_output"
    assert [(await judged(text="x")).missing for _ in range(4)] == ["judge_failed"] * 4
    assert not answers
