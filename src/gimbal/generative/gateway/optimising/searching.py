"""The search for candidates, apart from what answers them: rounds of reflection, then rounds of examples to show.

A reflection looks at a few training examples of a parent from the front; what it proposes must do better on the same few
before the whole training part is spent on it (GEPA: Agrawal et al., arXiv 2507.19457). All choices follow from the seed
and from what was answered, so that a search that begins again after a crash goes the same way.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np

from gimbal.generative.gateway.optimising import reflecting, shots
from gimbal.generative.gateway.optimising.candidates import Genome, Refused, Shot, Start, check_proposal
from gimbal.generative.gateway.optimising.front import covered
from gimbal.generative.gateway.optimising.marking import mean
from gimbal.generative.gateway.optimising.model import Method, Row

_TRIES = 10
"""To draw a set of examples that was not tried yet."""
_SAME = 1e-9


class Exhausted(Exception):
    """There is no money, or no call, left for what comes next; the text says so."""


class Answering(Protocol):
    """Answers candidates; `desk` does it through the gateway."""

    async def marks(self, genome: Genome, ids: Sequence[str]) -> Mapping[str, float]:
        """Return the mark of each of these examples that has one; raise Exhausted, or Refused for what is no prompt."""
        ...

    async def rows(self, genome: Genome, ids: Sequence[str]) -> Sequence[Row]:
        """Return what a candidate answered to examples that it has a mark for."""
        ...

    async def reflect(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return what the reflector says; raise Exhausted, or Refused where it could not be asked."""
        ...

    async def shots(self, genome: Genome) -> Sequence[Shot]:
        """Return the examples that can be shown, with the answers to show."""
        ...


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate with its marks on the training part."""

    genome: Genome
    method: Method | None
    """None of the start."""
    parents: tuple[int, ...]
    marks: Mapping[str, float]
    mean: float


Tell = Callable[["Search"], Awaitable[None]]


class Search:
    """One search; `go` once."""

    def __init__(
        self,
        start: Start,
        answering: Answering,
        train: Sequence[str],
        weights: Mapping[str, float],
        *,
        methods: Sequence[Method],
        rounds: int,
        minibatch: int,
        seed: int,
        tell: Tell,
    ) -> None:
        self._start = start
        self._answering = answering
        self._train = train
        self._weights = weights
        self._reflections, self._drawings = shares(methods, rounds)
        self._minibatch = minibatch
        self._rng = np.random.default_rng([seed, 1])
        self._tell = tell
        self._tried: set[Genome] = set()
        self.found: list[Found] = []
        self.refused: Counter[str] = Counter()
        self.done = 0
        """Rounds that are done."""

    async def go(self) -> None:
        """Carry all rounds out, none of a perfect start; raise Exhausted where the means end before: what was found is in `found`."""
        await self._score(self._start.genome, None, ())
        if self.found[0].mean >= 1 - _SAME:
            return  # nothing can be better, and every round would cost
        for turn in range(self._reflections):
            await self._round(self._reflect(turn))
        if not self._drawings:
            return
        # On top of the best instruction, and before any other example is shown.
        base = self.best()
        pool = await self._answering.shots(self.found[base].genome)
        for turn in range(self._drawings):
            await self._round(self._show(base, pool, turn))

    async def _round(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Refused as why:
            self.refused[str(why)] += 1
        self.done += 1
        await self._tell(self)

    def best(self) -> int:
        """Return the candidate with the highest mean; of equals the one that was found first."""
        return max(range(len(self.found)), key=lambda place: (round(self.found[place].mean, 9), -place))

    async def _score(self, genome: Genome, method: Method | None, parents: tuple[int, ...]) -> None:
        marks = await self._answering.marks(genome, self._train)
        value = mean(marks, self._weights)
        if value is None:
            raise Refused("no mark")
        self.found.append(Found(genome=genome, method=method, parents=parents, marks=marks, mean=value))
        await self._tell(self)

    async def _reflect(self, turn: int) -> None:
        parent = self._parent()
        genome = self.found[parent].genome
        batch = self._batch(self.found[parent].marks)
        if not batch:
            raise Refused("nothing failed")
        rows = await self._answering.rows(genome, batch)
        places = self._start.instructions
        place = places[turn % len(places)]
        before = genome.texts[place]
        said = await self._answering.reflect(reflecting.asked(self._start.manifest.messages[place].role, before, rows))
        known = [found.genome.texts[place] for found in self.found]
        after = check_proposal(before, reflecting.proposal(said), known)
        child = msgspec.structs.replace(genome, texts=(*genome.texts[:place], after, *genome.texts[place + 1 :]))
        if child in self._tried:
            raise Refused("nothing new")
        self._tried.add(child)
        marks = await self._answering.marks(child, batch)
        both = [name for name in batch if name in marks]
        old = mean({name: self.found[parent].marks[name] for name in both}, self._weights)
        new = mean({name: marks[name] for name in both}, self._weights)
        if old is None or new is None or new <= old + _SAME:
            raise Refused("not better on its minibatch")
        await self._score(child, "reflection", (parent,))

    def _parent(self) -> int:
        front = covered([found.marks for found in self.found])
        places = sorted(front)
        chances = np.array([len(front[place]) for place in places], dtype=np.float64)
        return places[int(self._rng.choice(len(places), p=chances / chances.sum()))]

    def _batch(self, marks: Mapping[str, float]) -> list[str]:
        """Return examples by chance, one that is not perfect among them; none where all are."""
        failing = [name for name in self._train if marks.get(name, 1.0) < 1 - _SAME]
        if not failing:
            return []
        answered = [name for name in self._train if name in marks]
        order = [answered[place] for place in self._rng.permutation(len(answered))]
        first = failing[int(self._rng.integers(len(failing)))]
        batch = order[: self._minibatch]
        return batch if set(batch) & set(failing) else [first, *batch[:-1]]

    async def _show(self, base: int, pool: Sequence[Shot], turn: int) -> None:
        if not pool:
            raise Refused("no example to show")
        showing = [place for place, found in enumerate(self.found) if found.method == "few_shot"]
        good = max(showing, key=lambda place: (self.found[place].mean, -place), default=None)
        parent = base
        for _ in range(_TRIES):
            if turn % 2 == 0 or good is None:
                chosen = shots.drawn(pool, self._rng)
            else:
                parent, chosen = good, shots.neighbour(self.found[good].genome.shots, pool, self._rng)
            child = msgspec.structs.replace(self.found[base].genome, shots=chosen)
            if child not in self._tried:
                break
        else:
            raise Refused("nothing new")
        self._tried.add(child)
        await self._score(child, "few_shot", (parent,))


def shares(methods: Sequence[Method], rounds: int) -> tuple[int, int]:
    """Return how many rounds reflect and how many draw examples."""
    if "few_shot" not in methods:
        return rounds, 0
    if "reflection" not in methods:
        return 0, rounds
    return rounds - rounds // 2, rounds // 2
