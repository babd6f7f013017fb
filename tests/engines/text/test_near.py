"""Near duplicates against all pairs counted one by one, texts of known similarity, any script, and what texts hold."""

import functools
import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.engines.text.near import Pair, between, contained, duplicates, exact_key
from gimbal.engines.text.words import is_unspaced, words_of
from gimbal.kernel.errors import BadInput

WORDS = [f"word{number}" for number in range(400)]


@functools.cache
def shingles(text: str) -> set[tuple[str, ...]]:
    """Return what the module compares, the slow way."""
    words = words_of(text)
    if len(words) < 2:
        return {tuple(words)} - {()}
    wide = [
        3 if all(len(word) == 1 and is_unspaced(word) for word in words[at : at + 3]) and at + 3 <= len(words) else 2
        for at in range(len(words) - 1)
    ]
    if len(wide) > 1 and wide[-2] == 3:
        wide.pop()
    return {tuple(words[at : at + width]) for at, width in enumerate(wide)}


def jaccard(one: str, other: str) -> float:
    """Return the share of shingles in common."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a and b else 0.0


def some_texts(seed: int, count: int, length: int) -> list[str]:
    """Return texts of which many are others with a few words changed."""
    chance = random.Random(seed)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, length))) for _ in range(count // 2)]
    for _ in range(count - len(texts)):
        words = chance.choice(texts).split()
        for _ in range(chance.randint(1, 4)):
            words[chance.randrange(len(words))] = chance.choice(WORDS)
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 1.0])
def test_all_pairs_that_are_similar_are_found_and_no_others(threshold: float) -> None:
    texts = list(dict.fromkeys(some_texts(7, 240, 40)))

    found = duplicates(texts, threshold=threshold)

    expected = {
        (a, b): jaccard(texts[a], texts[b])
        for a, b in itertools.combinations(range(len(texts)), 2)
        if jaccard(texts[a], texts[b]) >= threshold
    }
    told = {(pair.left, pair.right): pair.similarity for pair in found}
    assert set(told) <= set(expected)
    assert len(told) >= 0.99 * len(expected)
    assert all(told[pair] == pytest.approx(expected[pair]) for pair in told)
    assert duplicates(texts, threshold=threshold) == found


def test_two_lists_are_compared_as_one_would() -> None:
    left, right = some_texts(1, 80, 30), some_texts(1, 120, 30)

    found = between(left, right, threshold=0.5)

    exact = {exact_key(text) for text in right}
    whole = {at for at, text in enumerate(left) if exact_key(text) in exact}
    assert {pair.left for pair in found if pair.similarity == 1.0} >= whole
    touched = {a for a, one in enumerate(left) if any(jaccard(one, other) >= 0.5 for other in right)}
    assert {pair.left for pair in found} == touched
    assert all(pair.similarity == pytest.approx(jaccard(left[pair.left], right[pair.right])) for pair in found)


def test_each_of_equal_texts_is_in_a_pair() -> None:
    assert duplicates(["a b", "c d", "A  b!", "a b"]) == [
        Pair(left=0, right=2, similarity=1.0),
        Pair(left=0, right=3, similarity=1.0),
    ]
    found = between(["a b", "a b"], ["x y", "a b", "a, b"])
    assert {pair.left for pair in found} == {0, 1}
    assert {pair.right for pair in found} == {1, 2}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What is it?", "  what\nis IT ", True),
        ("Straße", "STRASSE", True),
        ("\ufb01ne \uff21\uff22", "fine AB", True),
        ("re\u0301sume\u0301", "résumé", True),
        ("soft\u00adware", "software", True),
        ("résumé", "resume", False),
        ("What is C?", "What is C#?", False),
        ("What is C?", "What is C++?", False),
        ("6*2", "6/2", False),
        ("6 - 2", "6 + 2", False),
        ("6 × 2", "6*2", True),
        ("5%", "5", False),
        ("What is -5 + 3?", "What is 5 + 3?", False),
        ("3 * -5", "3 / -5", False),
        ("(-5)", "(\u22125)", True),
        ("page-5", "page 5", True),
        ("?", "!", False),
        ("कि", "की", False),
        ("東京は首都です。", "東京は首都です", True),
        ("a\0b", "a b", True),
        ("\ud800", "\udfff", False),
    ],
)
def test_what_reads_the_same_has_the_same_key(one: str, other: str, same: bool) -> None:
    assert (exact_key(one) == exact_key(other)) is same


def test_scripts_without_spaces_are_compared_by_their_signs() -> None:
    japanese = "この製品の保証期間は購入日から二年間ですが、電池は対象外です"
    thai = "ระยะเวลาการรับประกันของผลิตภัณฑ์นี้คือสองปีนับจากวันที่ซื้อ"
    texts = [japanese, japanese.replace("二年", "三年"), thai, thai.replace("สอง", "สาม"), "保証はありますか"]

    found = duplicates(texts, threshold=0.6)

    assert [(pair.left, pair.right) for pair in found] == [(0, 1), (2, 3)]
    assert all(pair.similarity == pytest.approx(jaccard(texts[pair.left], texts[pair.right])) for pair in found)
    held = contained([japanese, "保証"], [(5, f"前書き。{japanese}。後書き。")])
    assert held == [Pair(left=0, right=5, similarity=1.0)]


def test_empty_texts_say_nothing_twice() -> None:
    assert duplicates(["", "  \n", "\0\0", "", "a"]) == []
    assert between([""], ["", "a"]) == []
    assert duplicates([]) == []
    assert contained(["", "one two"], [(0, ""), (1, "one two three")]) == []


@given(st.lists(st.text(max_size=40), max_size=8), st.lists(st.text(max_size=40), max_size=8))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_any_texts_can_be_compared(left: list[str], right: list[str]) -> None:
    pairs = between(left, right, threshold=0.5)

    assert all(words_of(left[pair.left]) and 0.5 <= pair.similarity <= 1 for pair in pairs)
    exact = {exact_key(text) for text in right if words_of(text)}
    same = {at for at, text in enumerate(left) if words_of(text) and exact_key(text) in exact}
    assert same <= {pair.left for pair in pairs}
    found = duplicates([*left, *right], threshold=0.5)
    assert found == sorted(found, key=lambda pair: (pair.left, pair.right))
    assert all(pair.left < pair.right for pair in found)
    contained(left, enumerate(right))


def test_a_text_is_found_inside_a_document_by_its_n_grams() -> None:
    chance = random.Random(3)
    document = chance.choices(WORDS, k=5_000)
    whole = " ".join(document[1_000:1_040])
    half = " ".join([*document[2_000:2_020], *chance.choices(WORDS, k=20)])
    short = " ".join(document[3_000:3_006])
    absent = " ".join(chance.choices(WORDS, k=40))

    found = contained([whole.upper(), half, short, absent], [(17, " ".join(document)), (18, absent + "s")])

    told = {(pair.left, pair.right): pair.similarity for pair in found}
    assert told[0, 17] == 1.0
    assert told[1, 17] == pytest.approx(8 / 28)
    assert told[2, 17] == 1.0
    assert told[3, 18] == pytest.approx(27 / 28)
    assert set(told) == {(0, 17), (1, 17), (2, 17), (3, 18)}


def test_a_great_many_alike_hang_together_without_all_their_pairs() -> None:
    text = "please answer this question about the shop of our town in one sentence what does item {} cost there today"
    texts = [text.format(number) for number in range(3_000)]

    found = duplicates(texts, threshold=0.7)

    known = {0}
    for pair in found:
        if pair.left in known or pair.right in known:
            known |= {pair.left, pair.right}
    assert len(known) == len(texts)
    assert len(found) < 100 * len(texts)


def test_each_of_two_crowds_that_are_alike_is_in_a_pair_with_the_other() -> None:
    text = "please answer this question about the shop of our town in one sentence what does item {} cost there today"
    left, right = ([text.format(begin + number) for number in range(500)] for begin in (0, 1_000))

    found = between(left, right, threshold=0.7)

    assert ({pair.left for pair in found}, {pair.right for pair in found}) == (set(range(500)), set(range(500)))
    assert len(found) < 100 * len(left)


def test_many_short_documents_are_searched_in_time_that_grows_with_their_words() -> None:
    """Not with the words that are looked for, which are there for each of them."""
    chance = random.Random(5)
    needles = [" ".join(chance.choices(WORDS, k=30)) for _ in range(5_000)]
    documents = [(at, " ".join(chance.choices(WORDS, k=30))) for at in range(5_000)]
    begun = time.process_time()

    found = contained(needles, [*documents, (9_999, needles[7])])

    assert found == [Pair(left=7, right=9_999, similarity=1.0)]
    assert time.process_time() - begun < 5


def test_huge_texts_and_long_runs_of_marks_take_no_more_than_their_length() -> None:
    begun = time.process_time()

    found = duplicates(["x" * 5_000_000, "\0" * 5_000_000, "a" + "\u0301\u0323" * 500_000, "日本" * 500_000])

    assert found == []
    assert time.process_time() - begun < 20


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_a_threshold_is_a_share(threshold: float) -> None:
    with pytest.raises(BadInput, match="similarity"):
        duplicates(["a", "b"], threshold=threshold)
