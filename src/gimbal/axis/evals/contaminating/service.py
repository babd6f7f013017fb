"""The verbs of the contamination check: begin one; carry it out, versions read in batches and compared off the event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.contaminating.comparing import Hit, Sought, inside, rank_of, shown, split_clusters
from gimbal.axis.evals.contaminating.model import (
    JOB,
    KINDS,
    MOST_LISTED,
    CheckContamination,
    ContaminationCheck,
    ContaminationReport,
    Finding,
    RunContamination,
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
from gimbal.axis.evals.telling import Tell, Telling
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.refs import Ref

_COMPARED = ("suite", "prompt", "dataset")
"""Kinds that are compared where nobody says with what: what models are shown, tuned on, or judged by elsewhere."""
_BATCH = 10_000_000
"""Characters that are compared at a time."""
_PAGE = 200


async def begin(ctx: Context, ref: Ref, body: CheckContamination) -> ContaminationCheck:
    """Enqueue a check. Raise NotFound for a version that is not there, BadInput for what is no suite."""
    assets = ctx.get(Assets)
    suite = await assets.resolve(ctx, ref)
    if suite.kind != "suite":
        raise BadInput(f"{suite.ref} is not a suite.", where="ref", todo="Give one: suite:help/questions.")
    named = [(await assets.resolve(ctx, Ref.parse(one))).ref for one in body.against]
    against = {str(one): one for one in named}
    meant = msgspec.structs.replace(body, against=list(against))
    ctx.audit(suite=str(suite.ref))
    job = await ctx.get(Jobs).enqueue(ctx, JOB, RunContamination(suite=str(suite.ref), body=meant))
    return ContaminationCheck(
        suite=suite.ref,
        examples=int(suite.manifest.get("examples", 0)),
        against=list(against.values()),
        job_id=job.id,
    )


async def carry_out(ctx: Context, payload: RunContamination, tell: Tell) -> ContaminationReport:
    """Compare a suite's examples with other versions, and with each other."""
    body, telling = payload.body, Telling(tell)
    suite = await ctx.get(Assets).resolve(ctx, payload.suite)
    examples = await ctx.get(Suites).examples(suite)
    await telling(0, 0, f"{len(examples):,} examples beside each other", whole=True)
    sought = await asyncio.to_thread(Sought, examples)
    pairs = await asyncio.to_thread(inside, examples, sought.texts, body.threshold)
    split = split_clusters(examples, pairs)
    reading = _Reading(ctx, await _others(ctx, suite, body), telling)
    against: list[Touched] = []
    findings: list[Finding] = []
    ids = [example.id for example in examples]
    async for batch in reading.batches():
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
    await reading.tell(whole=True)
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
        against=sorted(against, key=lambda one: (-one.examples, str(one.ref)))[:MOST_LISTED],
        compared=len(against),
        findings=findings[: body.most],
        found=len(findings),
        inside=pairs[: body.most],
        repeated=len(pairs),
        parted=sum(one.apart for one in pairs),
        split=split[: body.most],
        splits=len(split),
        unread=reading.unread,
        uncompared=reading.uncompared,
    )


async def _others(ctx: Context, suite: Version, body: CheckContamination) -> list[Ref]:
    """Return what the suite is compared with: what was asked for, or all others of the kinds that are compared."""
    if body.against:
        return [Ref.parse(one) for one in body.against if one != str(suite.ref)]
    found: list[Ref] = []
    for kind in _COMPARED:
        cursor: str | None = None
        while True:
            page = await ctx.get(Assets).page(ctx, kind=kind, cursor=cursor, limit=_PAGE)
            found += [Ref(one.kind, one.name) for one in page.items]
            if page.next is None:
                break
            cursor = page.next
    return [one for one in found if (one.kind, one.name) != (suite.kind, suite.name)]


class _Reading:
    """Reads versions in batches, and tells how far it is."""

    def __init__(self, ctx: Context, refs: Sequence[Ref], telling: Telling) -> None:
        self._ctx = ctx
        self._refs = refs
        self._telling = telling
        self._read = 0
        self._texts = 0
        self.unread: list[Unread] = []
        """The first of what could not be read."""
        self.uncompared = 0
        """How much that is."""

    async def tell(self, *, whole: bool = False) -> None:
        """Say how many versions are read."""
        message = f"versions, {self._texts:,} texts compared"
        await self._telling(self._read, len(self._refs), message, whole=whole)

    async def batches(self) -> AsyncIterator[list[tuple[Version, list[Passage]]]]:
        """Yield versions with their texts, so many at a time that comparing them is worth the while and fits memory."""
        batch: list[tuple[Version, list[Passage]]] = []
        size = 0
        for ref in self._refs:
            await self.tell()
            self._read += 1
            try:
                version = await self._ctx.get(Assets).resolve(self._ctx, ref)
            except GimbalError as problem:
                self._note(str(ref), "", problem.message)
                continue
            passages = await self._passages(version)
            batch.append((version, passages))
            self._texts += len(passages)
            size += sum(len(passage.text) for passage in passages)
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    async def _passages(self, version: Version) -> list[Passage]:
        """Return the texts of a version; what cannot be read of it is noted."""
        found: list[Passage] = []
        if not version.files:
            found = of_manifest(version)
            if not found:
                self._note(str(version.ref), "", "it has neither files nor texts")
            return found
        room = MOST_CHARACTERS
        for entry in version.files:
            reader = reader_of(entry)
            if reader is None:
                self._note(str(version.ref), entry.path, f"nothing reads texts out of {entry.media_type}")
                continue
            try:
                async with local(self._ctx.get(Blobs), entry) as path:
                    held, reason = await asyncio.to_thread(read_file, reader, path, entry.path, room)
            except GimbalError as problem:
                held, reason = [], problem.message
            found += held
            room -= sum(len(passage.text) for passage in held)
            if reason:
                self._note(str(version.ref), entry.path, reason)
        return found

    def _note(self, ref: str, where: str, reason: str) -> None:
        """Note what is not compared."""
        self.uncompared += 1
        if len(self.unread) < MOST_LISTED:
            self.unread.append(Unread(ref=ref, where=where, reason=reason))


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
