"""Suites as assets: stored with their examples as JSON lines, read back by reference."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

import gimbal.axis.scores.builtin  # noqa: F401  # pyright: ignore[reportUnusedImport] - importing it registers the scorers
from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import (
    EXAMPLES_FILE,
    AddExamples,
    CreateSuite,
    Example,
    check_examples,
    decode_examples,
    encode_examples,
)
from gimbal.axis.scores.model import SCORERS
from gimbal.axis.scores.scorer import Applied, ScorerSetting, settings_of
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, StaleVersion, Unavailable
from gimbal.kernel.refs import Latest, Ref, ResolvedRef

_ATTEMPTS = 10


class Suites:
    """Stores and reads suites."""

    def __init__(self, assets: Assets, blobs: Blobs) -> None:
        self._assets = assets
        self._blobs = blobs

    async def create(
        self,
        ctx: Context,
        body: CreateSuite,
        *,
        made: Mapping[str, Any] | None = None,
        inputs: Sequence[ResolvedRef] = (),
    ) -> Version:
        """Store a suite; the same examples and scorers again are the same version. Raise BadInput, NotFound.

        `made` says how the examples came about, where nobody wrote them; `inputs` are the versions that they came from.
        """
        return await self._store(ctx, body, [made] if made else [], inputs)

    async def add(self, ctx: Context, ref: Ref, body: AddExamples, *, made: Mapping[str, Any] | None = None) -> Version:
        """Store the newest version of a suite with more examples as its next one; raise BadInput, NotFound, StaleVersion.

        Of several who add at once each adds to what the others made. `made` says how these examples came about.
        """
        if ref.kind != "suite" or not isinstance(ref.selector, Latest):
            raise BadInput(
                f"Examples are added to the newest version of a suite, not to {ref}.",
                where="ref",
                todo="Name it without a version: suite:help/questions.",
            )
        if not body.examples:
            raise BadInput("There is no example.", where="examples", todo="Give at least one.")
        for attempt in range(1, _ATTEMPTS + 1):
            newest = await self._assets.resolve(ctx, ref)
            known = await self.examples(newest)
            taken = {example.id for example in known}
            for index, example in enumerate(body.examples):
                if example.id in taken:
                    raise BadInput(
                        f"The suite has an example {example.id!r} already.",
                        where=f"examples[{index}].id",
                        todo="Choose another id.",
                    )
            whole = CreateSuite(
                name=newest.name,
                examples=[*known, *body.examples],
                scorers=scorers_of(newest),
                repeats=int(newest.manifest.get("repeats", 1)),
                task=str(newest.manifest.get("task", "")),
                note=body.note,
            )
            try:
                every = [*made_of(newest), *([made] if made else [])]
                # The examples that were there came from where they came from.
                return await self._store(ctx, whole, every, newest.inputs, after=newest.number)
            except StaleVersion:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    async def _store(
        self,
        ctx: Context,
        body: CreateSuite,
        made: Sequence[Mapping[str, Any]],
        inputs: Sequence[ResolvedRef],
        *,
        after: int | None = None,
    ) -> Version:
        check_examples(body.examples)
        if not body.scorers:
            raise BadInput("A suite needs a scorer.", where="scorers", todo=f"There are: {', '.join(SCORERS)}.")
        applied(body.scorers)
        content = encode_examples(body.examples)
        blob = await self._blobs.put(content)
        clusters = {example.cluster or example.id for example in body.examples}
        return await self._assets.add_version(
            ctx,
            kind="suite",
            name=body.name,
            manifest={
                "examples": len(body.examples),
                "clusters": len(clusters),
                "scorers": msgspec.to_builtins(body.scorers),
                # What is not said leaves no trace, so that suites of before stay the versions that they are.
                **({"repeats": body.repeats} if body.repeats > 1 else {}),
                **({"task": body.task} if body.task else {}),
                **({"made": list(made)} if made else {}),
            },
            files=[FileEntry(path=EXAMPLES_FILE, digest=blob.digest, size=blob.size, media_type="application/jsonl")],
            inputs=inputs,
            note=body.note,
            after=after,
        )

    async def examples(self, version: Version) -> list[Example]:
        """Return the examples of a suite version."""
        entry = version.file(EXAMPLES_FILE)
        if entry is None:
            raise Unavailable(f"{version.ref} has no {EXAMPLES_FILE}.", todo="Store the suite anew.")
        return decode_examples(await self._blobs.get(entry.digest))


def scorers_of(version: Version) -> list[str | ScorerSetting]:
    """Return what a suite version lists as its scorers."""
    return msgspec.convert(version.manifest["scorers"], list[str | ScorerSetting])


def made_of(version: Version) -> list[Mapping[str, Any]]:
    """Return how examples of a suite version came about, the first ones first; nothing of those that somebody wrote."""
    found: Any = version.manifest.get("made")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def applied(scorers: Sequence[str | ScorerSetting]) -> list[Applied]:
    """Return scorers as they are applied; raise NotFound for one that is not there, BadInput for bad parameters or names."""
    return [Applied(setting) for setting in settings_of(scorers)]
