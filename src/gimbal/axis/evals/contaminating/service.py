"""The contamination check: which versions, read in batches, compared off the event loop, and the report of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.contaminating.comparing import Hit, Sought, inside, rank_of, shown, split_clusters
from gimbal.axis.evals.contaminating.model import (
    KINDS,
    CheckContamination,
    ContaminationReport,
    Finding,
    Touched,
    Unread,
)
from gimbal.axis.evals.contaminating.reading import (
    MOST_CHARACTERS,
    Passage,
    local,
    of_manifest,
    read_file,
    reader_of,
)
from gimbal.axis.evals.suites import Suites
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.refs import Ref

_COMPARED = ("suite", "prompt", "dataset")
"""Kinds that are compared where nobody says with what: what models are shown, tuned on, or judged by elsewhere."""
_BATCH = 10_000_000
"""Characters that are compared at a time."""
_PAGE = 200


async def check(ctx: Context, ref: Ref, body: CheckContamination) -> ContaminationReport:
    """Compare a suite's examples with other versions, and with each other. Raise NotFound, BadInput for what is no suite."""
    suite = await ctx.get(Assets).resolve(ctx, ref)
    if suite.kind != "suite":
        raise BadInput(f"{suite.ref} is not a suite.", where="ref", todo="Give one: suite:help/questions.")
    examples = await ctx.get(Suites).examples(suite)
    sought = await asyncio.to_thread(Sought, examples)
    pairs = await asyncio.to_thread(inside, examples, sought.texts, body.threshold)
    unread: list[Unread] = []
    against: list[Touched] = []
    findings: list[Finding] = []
    ids = [example.id for example in examples]
    async for batch in _batches(ctx, suite, body, unread):
        passages = [passage for _, held in batch for passage in held]
        hits = await asyncio.to_thread(sought.hits, passages, body.threshold, body.n)
        owners = [at for at, (_, held) in enumerate(batch) for _ in held]
        of_each: list[list[Hit]] = [[] for _ in batch]
        for hit in hits:
            of_each[owners[hit.passage]].append(hit)
        for (version, held), of_it in zip(batch, of_each, strict=True):
            found = _findings(version, of_it, passages, sought, ids)
            against.append(_touched(version, found, len(held), len(examples)))
            findings += found
    order = {id_: at for at, id_ in enumerate(ids)}
    findings.sort(key=lambda one: (rank_of(one.kind, one.similarity), order[one.example_id], str(one.ref)))
    touched = len({one.example_id for one in findings})
    return ContaminationReport(
        suite=suite.ref,
        threshold=body.threshold,
        n=body.n,
        examples=len(examples),
        touched=touched,
        share=touched / len(examples) if examples else 0.0,
        against=sorted(against, key=lambda one: (-one.examples, str(one.ref))),
        findings=findings[: body.most],
        found=len(findings),
        inside=pairs[: body.most],
        repeated=len(pairs),
        split=split_clusters(examples, pairs),
        unread=unread,
    )


async def _versions(
    ctx: Context, suite: Version, body: CheckContamination, unread: list[Unread]
) -> AsyncIterator[Version]:
    """Yield what the suite is compared with; what does not resolve is told where nobody asked for it by name."""
    assets = ctx.get(Assets)
    if body.against:
        found = {
            str(version.ref): version for version in [await assets.resolve(ctx, Ref.parse(one)) for one in body.against]
        }
        found.pop(str(suite.ref), None)
        for version in found.values():
            yield version
        return
    for kind in _COMPARED:
        cursor: str | None = None
        while True:
            page = await assets.page(ctx, kind=kind, cursor=cursor, limit=_PAGE)
            for asset in page.items:
                if (asset.kind, asset.name) == (suite.kind, suite.name):
                    continue
                try:
                    yield await assets.resolve(ctx, Ref(asset.kind, asset.name))
                except GimbalError as problem:
                    unread.append(Unread(ref=f"{asset.kind}:{asset.name}", where="", reason=problem.message))
            if page.next is None:
                break
            cursor = page.next


async def _batches(
    ctx: Context, suite: Version, body: CheckContamination, unread: list[Unread]
) -> AsyncIterator[list[tuple[Version, list[Passage]]]]:
    """Yield versions with their texts, so many at a time that comparing them is worth the while and fits memory."""
    batch: list[tuple[Version, list[Passage]]] = []
    size = 0
    async for version in _versions(ctx, suite, body, unread):
        passages = await _passages(ctx, version, unread)
        batch.append((version, passages))
        size += sum(len(passage.text) for passage in passages)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _passages(ctx: Context, version: Version, unread: list[Unread]) -> list[Passage]:
    """Return the texts of a version; what cannot be read of it is noted."""
    if not version.files:
        found = of_manifest(version)
        if not found:
            unread.append(Unread(ref=str(version.ref), where="", reason="it has neither files nor texts"))
        return found
    found: list[Passage] = []
    room = MOST_CHARACTERS
    for entry in version.files:
        reader = reader_of(entry)
        if reader is None:
            reason = f"nothing reads texts out of {entry.media_type}"
            unread.append(Unread(ref=str(version.ref), where=entry.path, reason=reason))
            continue
        try:
            async with local(ctx.get(Blobs), entry) as path:
                held, reason = await asyncio.to_thread(read_file, reader, path, entry.path, room)
        except GimbalError as problem:
            held, reason = [], problem.message
        found += held
        room -= sum(len(passage.text) for passage in held)
        if reason:
            unread.append(Unread(ref=str(version.ref), where=entry.path, reason=reason))
    return found


def _findings(
    version: Version, hits: Sequence[Hit], passages: Sequence[Passage], sought: Sought, ids: Sequence[str]
) -> list[Finding]:
    """Return for each example the best of its hits in one version."""
    by_example: dict[int, list[Hit]] = {}
    for hit in hits:
        by_example.setdefault(hit.example, []).append(hit)
    found: list[Finding] = []
    for at, of_it in by_example.items():
        best = min(of_it, key=lambda hit: (hit.rank, hit.passage))
        passage = passages[best.passage]
        found.append(
            Finding(
                example_id=ids[at],
                kind=best.kind,
                similarity=best.similarity,
                ref=version.ref,
                where=passage.where,
                places=len({passages[hit.passage].where for hit in of_it}),
                excerpt=shown(sought.texts[at], best.needle),
                found=shown(passage.text, best.needle),
            )
        )
    return found


def _touched(version: Version, found: Sequence[Finding], texts: int, examples: int) -> Touched:
    counts = {kind: sum(one.kind == kind for one in found) for kind in KINDS}
    return Touched(
        ref=version.ref, texts=texts, examples=len(found), share=len(found) / examples if examples else 0.0, **counts
    )
