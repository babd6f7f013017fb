"""METEOR: words aligned by form and by stem, recall before precision, less for what is scattered."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from gimbal.axis.scores.builtin.overlap import loaded, sample_of
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import scorer

_LIBRARY = "nltk.translate.meteor_score"
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class NoSynonyms:
    """Stands for WordNet, which would have to be downloaded: no word has synonyms."""

    def synsets(self, word: str) -> list[Any]:
        """Return nothing."""
        return []


@scorer(
    ScorerCard(
        name="meteor",
        title="METEOR by form and stem",
        expects=("answers", "answer"),
        extra="metrics",
        description="Harmonic mean of precision and recall of aligned words, recall weighing more (`alpha`), less `gamma` × "
        "(chunks / matches)^`beta` for words that are scattered; against the accepted answer that fits best.",
        limits="Without the synonyms of WordNet, so it is at most what papers report. Stems are English. Punctuation marks "
        "are words.",
        source="Lavie and Agarwal 2007, by the library nltk, with the modules exact and Porter stem",
    )
)
def meteor(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    alpha: Share = 0.9,
    beta: Annotated[float, msgspec.Meta(gt=0)] = 3.0,
    gamma: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5,
) -> ScoreValue:
    """Compare the output with each accepted answer and keep the best."""
    sample = sample_of(expected, output, _LIBRARY)
    if isinstance(sample, ScoreValue):
        return sample
    library = loaded(_LIBRARY)
    wanted = [_WORD.findall(one) for one in sample.accepted]
    said = _WORD.findall(sample.said)
    value = library.meteor_score(wanted, said, wordnet=NoSynonyms(), alpha=alpha, beta=beta, gamma=gamma)
    return ScoreValue(value=min(1.0, float(value)))
