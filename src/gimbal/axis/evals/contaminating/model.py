"""Records of a contamination check: what is asked, what was found where, and what could not be read."""

from typing import Annotated

import msgspec

from gimbal.kernel.refs import ResolvedRef

JOB = "evals.contamination"
KINDS = ("exact", "near", "contained")
"""How a text can be that of an example."""
MOST_LISTED = 1_000
"""Of anything: the catalog keeps the report with its job."""
MOST_NAMED = 20
"""Clusters that are named of those that should be one."""


class CheckContamination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a suite is compared with, and from where on two texts are the same."""

    against: Annotated[list[str], msgspec.Meta(max_length=MOST_LISTED)] = []
    """References of what to compare with, of any kind; without them the newest versions of all other suites, of all
    prompts and all datasets."""
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    """Share of shingles, or of n-grams, in common from which on it counts."""
    n: Annotated[int, msgspec.Meta(ge=4, le=50)] = 13
    """Words in a row by which an example is found inside a longer text."""
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)] = 200
    """How many findings, and how many pairs inside of the suite, are listed; all are counted."""


class ContaminationCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun."""

    suite: ResolvedRef
    """The version that is checked."""
    examples: int
    """How many it has."""
    against: list[ResolvedRef]
    """The versions that were asked for by name; empty where it is compared with all others."""
    job_id: str
    """The job that carries it out, whose result is the report."""


class RunContamination(msgspec.Struct, frozen=True, kw_only=True):
    """What the job is given."""

    suite: str
    """The version that was meant when it was begun."""
    body: CheckContamination
    """What was asked for; references in it are those of the versions that they meant then."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One example of the suite that an asset holds."""

    example_id: str
    kind: str
    """`exact`: the same words; `near`: nearly the same; `contained`: it stands inside a longer text."""
    similarity: float
    """Share of shingles in common; where contained, share of the example's n-grams that stand there."""
    ref: ResolvedRef
    """The version that holds it."""
    where: str
    """File, and line, row or example, of the most similar text."""
    places: int
    """In how many texts of that version it was found."""
    excerpt: str
    """The example's text, shortened."""
    found: str
    """What stands there, shortened."""


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the suite one asset holds."""

    ref: ResolvedRef
    texts: int
    """How many texts of it were compared."""
    examples: int
    """Examples of the suite that it holds."""
    share: float
    """Of all examples of the suite."""
    exact: int
    near: int
    contained: int


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """Two examples of the suite itself that are the same, or nearly."""

    left: str
    """Id of the earlier example."""
    right: str
    """Id of the later one."""
    kind: str
    """`exact` or `near`."""
    similarity: float
    apart: bool
    """Whether they are in different clusters, and so counted as if they were independent."""
    excerpt: str
    """The earlier one's text, shortened."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Clusters that should have been one, as they share examples."""

    clusters: list[str]
    """Names of the first of them, in the order of the suite."""
    count: int
    """How many there are, named or not."""


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not compared, or only in part."""

    ref: str
    """The version, or the reference as it was asked for."""
    where: str
    """The file; empty for the whole version."""
    reason: str


class ContaminationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What of a suite stands elsewhere, and what of it stands twice in itself; the result of the job.

    Lists are no longer than a job can keep; beside each stands how much there is, listed or not.
    """

    suite: ResolvedRef
    threshold: float
    n: int
    examples: int
    touched: int
    """Examples of which something else holds the text."""
    share: float
    """Of all examples."""
    against: list[Touched]
    """The versions that were compared, those that hold most first."""
    compared: int
    """How many there are, listed or not."""
    findings: list[Finding]
    """The best of each example and version: exact ones first, then the most similar."""
    found: int
    """How many findings there are, listed or not."""
    inside: list[Repeated]
    """Pairs within the suite. Of equal examples each later one is paired with the first."""
    repeated: int
    """How many such pairs there are, listed or not."""
    parted: int
    """Of those, how many are in different clusters."""
    split: list[Split]
    """What should have been one cluster: apart, they make intervals look narrower than they are."""
    splits: int
    """How many such groups there are, listed or not."""
    unread: list[Unread]
    """What could not be compared, with the reason."""
    uncompared: int
    """How much that is, listed or not."""
