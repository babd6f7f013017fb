"""Which examples of a suite a prompt is improved by, and which are held out for the proof."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from gimbal.axis.evals.model import Example
from gimbal.generative.gateway.optimising.model import Split
from gimbal.kernel.errors import BadInput

LEAST_TRAIN, LEAST_VALIDATION = 2, 6
"""Independent groups: with fewer than six no difference passes the exact sign test at 95 % (2 / 2⁵ > 0.05)."""
_SHOTS = 1 / 3
"""Of the training part, where examples may be shown."""
_input = msgspec.json.Encoder(order="deterministic", enc_hook=str)


def independent(examples: Sequence[Example]) -> list[Example]:
    """Return examples with the clusters by which they are independent: what asks exactly the same is of one, too.

    So the proof counts as many of them as the plan: the same question under ten names is no ten pieces of evidence.
    """
    found = {example.id: group[0].cluster or group[0].id for group in _groups(examples) for example in group}
    return [msgspec.structs.replace(example, cluster=found[example.id]) for example in examples]


def split(examples: Sequence[Example], *, validation: float, shots: bool, seed: int) -> Split:
    """Part a suite by chance, the same for the same seed: whole groups only, in each slice about the same share.

    A group is a cluster, and what asks exactly the same belongs to one. Raise BadInput where there are too few.
    """
    groups = _groups(examples)
    rng = np.random.default_rng(seed)
    rest, held = _part(groups, validation, rng)
    shown: list[list[Example]] = []
    if shots:
        rest, shown = _part(rest, _SHOTS, rng)
    train = len(rest)
    if train < LEAST_TRAIN or len(held) < LEAST_VALIDATION or (shots and not shown):
        raise BadInput(
            f"The suite has {len(groups)} independent groups of examples: {len(held)} would be held out, {train} trained on"
            + (f", {len(shown)} shown." if shots else "."),
            where="suite",
            todo=f"Add examples of other clusters: {LEAST_VALIDATION} groups are held out and {LEAST_TRAIN} trained on at least"
            + (", one more is shown." if shots else "."),
        )
    places = {example.id: place for place, example in enumerate(examples)}

    def ids(part: Sequence[Sequence[Example]]) -> list[str]:
        return sorted((example.id for group in part for example in group), key=places.__getitem__)

    return Split(
        train=ids(rest),
        shots=ids(shown),
        validation=ids(held),
        clusters={"train": train, "shots": len(shown), "validation": len(held)},
    )


def _groups(examples: Sequence[Example]) -> list[list[Example]]:
    """Return examples that are not independent together: of one cluster, or with the same input."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            root[name] = name = root[root[name]]
        return name

    for example in examples:
        same = "input " + _input.encode(example.input).decode("utf-8", "replace")
        root[find(same)] = find(f"cluster {example.cluster or example.id}")
    found: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        found[find(f"cluster {example.cluster or example.id}")].append(example)
    return list(found.values())


def _part(
    groups: Sequence[list[Example]], share: float, rng: np.random.Generator
) -> tuple[list[list[Example]], list[list[Example]]]:
    """Return what stays and what goes, slice by slice; what is left over by rounding is carried to the next slice."""
    slices: dict[str, list[list[Example]]] = defaultdict(list)
    for group in groups:
        slices[Counter(example.slice for example in group).most_common(1)[0][0]].append(group)
    stay: list[list[Example]] = []
    go: list[list[Example]] = []
    seen = 0
    for name in sorted(slices):
        mixed = [slices[name][place] for place in rng.permutation(len(slices[name]))]
        seen += len(mixed)
        cut = min(max(round(seen * share) - len(go), 0), len(mixed))
        go += mixed[:cut]
        stay += mixed[cut:]
    return stay, go
