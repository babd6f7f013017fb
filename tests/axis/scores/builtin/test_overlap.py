"""BLEU, chrF, ROUGE and METEOR: the numbers of the libraries and of papers, and what has no number."""

import importlib
from typing import Any

import pytest
import sacrebleu
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from gimbal.axis.scores.builtin import overlap
from gimbal.axis.scores.builtin.bleu import bleu, corpus_bleu
from gimbal.axis.scores.builtin.chrf import chrf, corpus_chrf
from gimbal.axis.scores.builtin.meteor import NoSynonyms, meteor
from gimbal.axis.scores.builtin.rouge import rouge
from gimbal.axis.scores.model import ScoreValue

# The example of sacrebleu's own README.
SAID = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
    ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
]
EXAMPLES = [({"answers": list(refs)}, {"text": said}) for said, *refs in zip(SAID, *REFERENCES, strict=True)]
ALL: list[Any] = [bleu, chrf, rouge, meteor]


def samples(examples: list[Any]) -> list[Any]:
    return [corpus_bleu.read(expected, output) for expected, output in examples]


@pytest.mark.parametrize(("tokenizer", "value"), [("13a", 48.530827), ("none", 49.1919566), ("intl", 43.91623493)])
def test_corpus_bleu_is_what_sacrebleu_documents(tokenizer: Any, value: float) -> None:
    """Three sentences with two references each, by three tokenizers."""
    assert corpus_bleu.over(samples(EXAMPLES), tokenizer=tokenizer) == pytest.approx(value, abs=1e-5)
    assert sacrebleu.corpus_bleu(SAID, REFERENCES, tokenize=tokenizer).score == pytest.approx(value, abs=1e-5)


def test_bleu_of_a_sentence_is_known_by_hand() -> None:
    """`this is a fest` against `this is a test`: without smoothing no 4-gram is right; sacrebleu's own test has the rest."""
    examples = [({"answer": "this is a test"}, {"text": "this is a fest"})]

    assert bleu(*examples[0], smoothing="none").value == 0
    assert corpus_bleu.over(samples(examples), smoothing="add-k") == pytest.approx(
        sacrebleu.corpus_bleu(["this is a fest"], [["this is a test"]], smooth_method="add-k").score
    )
    # 3/4 · 2/3 · 1/2, and 1/2 of one for the order that has no match: the fourth root of 1/8.
    assert bleu(*examples[0]).value == pytest.approx(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_sentences_have_the_scores_of_the_library(place: int) -> None:
    expected, output = EXAMPLES[place]
    refs = expected["answers"]

    assert bleu(expected, output).value == pytest.approx(sacrebleu.sentence_bleu(output["text"], refs).score)
    assert chrf(expected, output).value == pytest.approx(sacrebleu.sentence_chrf(output["text"], refs).score)
    assert chrf(expected, output, words=2).value == pytest.approx(
        sacrebleu.sentence_chrf(output["text"], refs, word_order=2).score
    )
    library = RougeScorer(["rouge1", "rougeL"], use_stemmer=True).score_multi(refs, output["text"])
    assert rouge(expected, output, variant="rouge1", stem=True).value == pytest.approx(library["rouge1"].fmeasure)
    assert rouge(expected, output, stem=True, measure="recall").value == pytest.approx(library["rougeL"].recall)


def test_corpus_chrf_is_the_librarys_and_no_mean_of_sentences() -> None:
    """Also with a number of references that is not the same for all."""
    found = corpus_chrf.over(samples(EXAMPLES), words=2)
    assert found == pytest.approx(sacrebleu.corpus_chrf(SAID, REFERENCES, word_order=2).score)

    uneven = [EXAMPLES[0], ({"answer": REFERENCES[0][1]}, {"text": SAID[1]})]
    library = sacrebleu.corpus_chrf(SAID[:2], [REFERENCES[0][:2], [REFERENCES[1][0], None]]).score
    assert corpus_chrf.over(samples(uneven)) == pytest.approx(library)
    sentences = [chrf(*one).value or 0 for one in uneven]
    assert corpus_chrf.over(samples(uneven)) != pytest.approx(sum(sentences) / 2, abs=0.01)


def test_a_draw_of_samples_is_the_corpus_of_that_draw() -> None:
    """What was counted once under some settings is not taken for others."""
    read = samples(EXAMPLES)
    for tokenizer in ("13a", "char", "13a"):
        drawn = corpus_bleu.over([read[0], read[2], read[2]], tokenizer=tokenizer)
        library = sacrebleu.corpus_bleu(
            [SAID[i] for i in (0, 2, 2)], [[r[i] for i in (0, 2, 2)] for r in REFERENCES], tokenize=tokenizer
        )
        assert drawn == pytest.approx(library.score)
    assert corpus_bleu.over(read) == pytest.approx(48.530827, abs=1e-5)


def test_rouge_is_known_by_hand() -> None:
    """Four of six words in common, three pairs of five, and four words in order; precision 4/4 with two words left out."""
    expected = {"answer": "the cat sat on the mat"}

    assert rouge(expected, {"text": "the cat on the"}, variant="rouge1").value == pytest.approx(2 * 4 / 10)
    assert rouge(expected, {"text": "the cat on the"}, variant="rouge2").value == pytest.approx(2 * 2 / 8)
    assert rouge(expected, {"text": "mat the on sat"}).value == pytest.approx(2 * 2 / 10)
    assert rouge(expected, {"text": "the cat on the"}, measure="precision").value == 1
    assert rouge(expected, {"text": "the cat on the"}, measure="recall").value == pytest.approx(4 / 6)


def test_rouge_says_that_it_cannot_read_other_scripts_unless_told_to() -> None:
    """The library's tokenizer would find nothing, and its 0 would look like a bad answer."""
    expected, output = {"answer": "гейт двигает псевдоним"}, {"text": "Гейт псевдоним двигает"}

    assert rouge(expected, output).missing == "no_expectation"
    assert rouge(expected, output, words="unicode", variant="rouge1").value == 1
    assert rouge(expected, output, words="unicode").value == pytest.approx(2 / 3)


def test_meteor_is_known_by_hand_and_the_librarys() -> None:
    """Six of six words in one chunk: 1 − 0.5 · (1/6)³; two of two in two chunks are half of that which one would be."""
    assert meteor({"answer": "the cat sat on the mat"}, {"text": "The cat sat on the mat"}).value == pytest.approx(
        1 - 0.5 / 216
    )
    assert meteor({"answer": "gates move"}, {"text": "moved gate"}).value == pytest.approx(0.5)
    expected, output = EXAMPLES[2]
    refs = [["The", "man", "bit", "him", "first", "."], ["The", "man", "had", "bitten", "the", "dog", "."]]
    said = ["The", "man", "had", "just", "bitten", "him", "."]
    assert meteor(expected, output).value == pytest.approx(meteor_score(refs, said, wordnet=NoSynonyms()))


@pytest.mark.parametrize("scorer", ALL)
def test_the_same_text_has_the_most_and_another_nothing(scorer: Any) -> None:
    """Rounding carries no score above its range; METEOR takes a little off for the one chunk that all is."""
    text = "Both rings keep the axis level, whatever the ship does."
    most = scorer({"answer": text}, {"text": text}).value

    assert scorer.card.high * 0.99 < most <= scorer.card.high
    assert scorer({"answer": text}, {"text": "ζ"}).value == 0
    assert scorer({"answers": ["ζ", text]}, {"text": text}).value == pytest.approx(most, rel=0.01)


@pytest.mark.parametrize("scorer", ALL)
def test_what_cannot_be_compared_is_missing(scorer: Any) -> None:
    """No answer, an empty one, no output, and texts that would take the evaluation's time for themselves."""
    assert scorer({}, {"text": "x"}).missing == "no_expectation"
    assert scorer({"answer": " "}, {"text": "x"}).missing == "no_expectation"
    assert scorer({"answer": "x"}, {}).missing == "no_output"
    assert scorer({"answer": "x"}, {"text": "x " * 2_500_000}).missing == "too_long"
    assert scorer({"answer": "x"}, {"text": "\ud800\x00"}).value == 0
    assert scorer({"answer": "x"}, {"text": ""}).value == 0


def test_a_long_common_subsequence_is_not_begun() -> None:
    """Twenty thousand words against as many would take minutes; their n-grams take none."""
    text = "word " * 19_000

    assert rouge({"answer": text}, {"text": text}).missing == "too_long"
    assert rouge({"answer": text}, {"text": text}, variant="rouge2").value == 1


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails; a metric over the suite has no sample."""

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(overlap.importlib, "import_module", absent)
    read = corpus_bleu.read(*EXAMPLES[0])
    monkeypatch.undo()

    assert isinstance(read, ScoreValue)
    assert read.missing == "needs_extra"
    assert "gimbal-ops[metrics]" in read.explanation
    assert importlib.import_module("sacrebleu") is sacrebleu
