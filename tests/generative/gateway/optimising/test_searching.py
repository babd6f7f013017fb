"""The search by itself, over answers that follow a law: what helps is found, and what does not is not called better."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gimbal.axis.evals.model import Example
from gimbal.engines.stats import paired
from gimbal.generative.gateway.optimising.candidates import Genome, Shot, Start
from gimbal.generative.gateway.optimising.model import Row
from gimbal.generative.gateway.optimising.searching import Exhausted, Search
from gimbal.generative.gateway.optimising.splitting import split
from gimbal.generative.prompts.files import read_prompt

FILE = '+++\nmodel = "up/tiny"\n+++\n\n## system\nBe brief.\n\n## user\n{{question}}\n'
TRAIN = [f"t{i}" for i in range(16)]
POOL = [Shot(example=f"s{i}", user=f"question {i} of {i * 7}", assistant=f"word{i}") for i in range(9)]


class Law:
    """Answers by a chance of being right that depends on the candidate."""

    def __init__(self, chance, seed=0, proposals=None) -> None:
        self.chance = chance
        self.rng = np.random.default_rng(seed)
        self.known: dict[tuple[Genome, str], float] = {}
        self.asked = self.reflections = 0
        self.most: int | None = None
        self.proposals = proposals or (lambda n: f"<instruction>Variant {n}.</instruction>")
        self.batches: list[list[str]] = []

    async def marks(self, genome: Genome, ids: Sequence[str]) -> Mapping[str, float]:
        for name in ids:
            if (genome, name) not in self.known:
                self.asked += 1
                if self.most is not None and self.asked > self.most:
                    raise Exhausted("no call is left")
                self.known[genome, name] = float(self.rng.random() < self.chance(genome))
        return {name: self.known[genome, name] for name in ids}

    async def rows(self, genome: Genome, ids: Sequence[str]) -> Sequence[Row]:
        self.batches.append(list(ids))
        return [
            Row(example=name, input={}, expected={}, answer="", mark=self.known[genome, name], why=[]) for name in ids
        ]

    async def reflect(self, messages: Sequence[Mapping[str, str]]) -> str:
        self.reflections += 1
        return self.proposals(self.reflections)

    async def shots(self, genome: Genome) -> Sequence[Shot]:
        return POOL


async def searched(law: Law, rounds=8, methods=("few_shot", "reflection"), seed=0) -> Search:
    async def tell(_: Search) -> None:
        pass

    search = Search(
        Start(read_prompt(FILE), FILE, "b3:" + "0" * 64),
        law,
        TRAIN,
        dict.fromkeys(TRAIN, 1.0),
        methods=methods,
        rounds=rounds,
        minibatch=4,
        seed=seed,
        tell=tell,
    )
    try:
        await search.go()
    except Exhausted:
        search.refused["exhausted"] += 1
    return search


async def test_the_rate_of_false_improvements_is_that_of_the_level() -> None:
    """Candidates that are all alike: hundreds of searches pick the luckiest, and the proof says better of few of them."""
    rows = [Example(id=f"q{i}", input={"q": i}, cluster=f"c{i // 2}") for i in range(80)]
    held = split(rows, validation=0.5, shots=True, seed=0).validation
    clusters = [row.cluster for row in rows if row.id in set(held)]
    runs, better, ahead = 300, 0, 0
    for seed in range(runs):
        law = Law(lambda _: 0.5, seed)
        search = await searched(law, rounds=6, seed=seed)
        best = search.best()
        ahead += search.found[best].mean > search.found[0].mean
        before, after = [
            list((await law.marks(search.found[place].genome, [f"v{name}" for name in held])).values())
            for place in (0, best)
        ]
        better += best > 0 and paired.compare(before, after, clusters).verdict == "better"

    assert ahead > runs / 2
    # Two-sided at 95 %: 2.5 % fall on the good side; four standard errors above it.
    assert better <= runs * (0.025 + 4 * (0.025 * 0.975 / runs) ** 0.5)


async def test_an_instruction_is_grown_from_parent_to_child() -> None:
    """Each proposal adds a rule that helps a little: the best is a child of a child."""
    law = Law(lambda genome: 0.2 + 0.2 * genome.texts[0].count("Rule"), 3)
    law.proposals = lambda n: "<instruction>" + "Rule. " * min(1 + n // 3, 4) + f"{n}</instruction>"
    search = await searched(law, rounds=24, methods=("reflection",))
    best = search.found[search.best()]

    assert best.mean > search.found[0].mean + 0.3
    assert best.parents != (0,)
    assert all(len(batch) == 4 for batch in law.batches)


async def test_a_set_of_examples_grows_to_what_is_needed() -> None:
    """Nothing helps but the number of examples; sets stay within eight."""
    law = Law(lambda genome: min(0.1 + 0.1 * len(genome.shots), 0.9), 1)
    search = await searched(law, rounds=14, methods=("few_shot",))

    assert len(search.found[search.best()].genome.shots) >= 4
    assert max(len(found.genome.shots) for found in search.found) <= 8
    assert len({found.genome for found in search.found}) == len(search.found)


@pytest.mark.parametrize("most", [0, 8, 16, 20, 33])
async def test_a_search_without_means_keeps_what_it_found(most: int) -> None:
    """Candidates are there whole or not at all."""
    law = Law(lambda _: 0.5, 2)
    law.most = most
    search = await searched(law, rounds=10)

    assert search.refused["exhausted"] == 1
    assert len(search.found) <= most // 16
    assert all(set(found.marks) == set(TRAIN) for found in search.found)


async def test_nothing_is_spent_on_a_perfect_start() -> None:
    law = Law(lambda _: 1.0)
    search = await searched(law, rounds=3)

    assert (law.asked, law.reflections, search.best(), search.done) == (16, 0, 0, 0)


async def test_the_same_seed_goes_the_same_way() -> None:
    """What goes on after a crash asks for nothing else."""
    first, second, other = [await searched(Law(lambda _: 0.5, 7), seed=seed) for seed in (1, 1, 2)]

    assert [found.genome for found in first.found] == [found.genome for found in second.found]
    assert [found.genome for found in first.found] != [found.genome for found in other.found]
