"""Metrics over the whole suite: of which answers they are, with which weights, and how sure they are."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.axis.evals.model import EvaluationResult
from gimbal.axis.evals.results import output_of, seen_of
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.stats import resampled
from gimbal.engines.stats.model import Estimate

MOST_SLICES = 50
_MOST_TIMES = 64
"""How often a sample stands for itself, at most."""
_CLOSE = 0.01


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Whose samples a metric over the whole suite is of."""

    ids: list[tuple[str, int]]
    """Example and repeat of each."""
    clusters: list[str]
    slices: list[str]
    weights: list[float]

    @classmethod
    def of(cls, applied: Applied, results: Sequence[EvaluationResult]) -> "tuple[Samples, list[object]]":
        """Return the answers that can be part of a metric, and what it reads of each."""
        metric = applied.metric
        assert metric is not None, "only metrics have samples"
        rows: list[EvaluationResult] = []
        samples: list[object] = []
        for row in results:
            if row.error or applied.name in row.missing:
                continue
            read = metric.read(row.expected, seen_of(output_of(row), row.input))
            if not isinstance(read, ScoreValue):
                rows.append(row)
                samples.append(read)
        found = cls(
            ids=[(row.example_id, row.repeat) for row in rows],
            clusters=[row.cluster for row in rows],
            slices=[row.slice for row in rows],
            weights=[row.weight for row in rows],
        )
        return found, samples

    def part(self, places: Sequence[int]) -> "Samples":
        """Return the samples of some places."""
        return Samples(
            ids=[self.ids[place] for place in places],
            clusters=[self.clusters[place] for place in places],
            slices=[self.slices[place] for place in places],
            weights=[self.weights[place] for place in places],
        )

    def statistic(self, applied: Applied, samples: Sequence[object]) -> resampled.Statistic:
        """Return the metric as a function of places among the samples; one with twice the weight is there twice."""
        times = copies(self.weights)

        def value(places: NDArray[np.int64]) -> float:
            if not places.size:
                raise ValueError("no values")
            return applied.over([samples[place] for place in np.repeat(places, times[places]).tolist()])

        return value

    def estimate(self, applied: Applied, samples: Sequence[object]) -> Estimate:
        """Return the metric with its interval."""
        n = len(samples)
        draws = resampled.draws_for(int(copies(self.weights).sum()))
        return resampled.estimate(self.statistic(applied, samples), n, self.clusters, draws=draws)

    def by_slice(self, applied: Applied, samples: Sequence[object]) -> dict[str, Estimate]:
        """Return the metric of each slice of the suite."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(self.slices):
            if name:
                places[name].append(place)
        return {
            name: self.part(places[name]).estimate(applied, [samples[place] for place in places[name]])
            for name in sorted(places)[:MOST_SLICES]
        }


def copies(weights: Sequence[float]) -> NDArray[np.int64]:
    """Return how often each sample stands for itself, so that the smallest whole numbers are as the weights are.

    Any metric can be weighed so, also one that knows no weights. Whole proportions up to 64 are exact; of others the
    nearest are taken, within one in a hundred where numbers to 64 can be that near.
    """
    given = np.asarray(weights, dtype=np.float64)
    if not given.size:
        return np.array([], dtype=np.int64)
    shares = given / given.min()
    best = np.clip(np.rint(shares), 1, _MOST_TIMES)
    least = float(np.max(np.abs(best / shares - 1)))
    for unit in range(2, int(_MOST_TIMES // min(shares.max(), _MOST_TIMES)) + 1):
        if least <= _CLOSE:
            break
        tried = np.rint(shares * unit)
        off = float(np.max(np.abs(tried / (shares * unit) - 1)))
        if off < least:
            best, least = tried, off
    return best.astype(np.int64)
