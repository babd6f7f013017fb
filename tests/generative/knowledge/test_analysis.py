"""Terms are the same whoever asks for them at the same time."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gimbal.generative.knowledge.analysis import stem

WORDS = [
    f"{head}{tail}"
    for head in ("relat", "gener", "hesit", "capac")
    for tail in ("ional", "alizations", "ations", "ities")
]
_uncached = stem.__wrapped__


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_do_not_mix_up_their_words(restless: None) -> None:
    """An answer is made in a thread, and several are made at once."""
    alone = {word: _uncached(word) for word in WORDS}

    def wrong(turn: int) -> list[str]:
        return [word for word in WORDS[turn % 3 :] * 100 if _uncached(word) != alone[word]]

    with ThreadPoolExecutor(4) as pool:
        assert [words for words in pool.map(wrong, range(12)) if words] == []
