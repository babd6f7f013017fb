"""Suites as assets: stored with their examples as JSON lines, read back by reference."""

import gimbal.axis.scores.builtin  # noqa: F401  # pyright: ignore[reportUnusedImport] - importing it registers the scorers
from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import (
    EXAMPLES_FILE,
    CreateSuite,
    Example,
    check_examples,
    decode_examples,
    encode_examples,
)
from gimbal.axis.scores.model import SCORERS
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Unavailable


class Suites:
    """Stores and reads suites."""

    def __init__(self, assets: Assets, blobs: Blobs) -> None:
        self._assets = assets
        self._blobs = blobs

    async def create(self, ctx: Context, body: CreateSuite) -> Version:
        """Store a suite; the same examples and scorers again are the same version. Raise BadInput, NotFound."""
        check_examples(body.examples)
        if not body.scorers:
            raise BadInput("A suite needs a scorer.", where="scorers", todo=f"There are: {', '.join(SCORERS)}.")
        if len(set(body.scorers)) < len(body.scorers):
            raise BadInput("A scorer is there twice.", where="scorers", todo="Name each once.")
        for name in body.scorers:
            SCORERS.get(name)
        content = encode_examples(body.examples)
        blob = await self._blobs.put(content)
        clusters = {example.cluster or example.id for example in body.examples}
        return await self._assets.add_version(
            ctx,
            kind="suite",
            name=body.name,
            manifest={"examples": len(body.examples), "clusters": len(clusters), "scorers": body.scorers},
            files=[FileEntry(path=EXAMPLES_FILE, digest=blob.digest, size=blob.size, media_type="application/jsonl")],
            note=body.note,
        )

    async def examples(self, version: Version) -> list[Example]:
        """Return the examples of a suite version."""
        entry = version.file(EXAMPLES_FILE)
        if entry is None:
            raise Unavailable(f"{version.ref} has no {EXAMPLES_FILE}.", todo="Store the suite anew.")
        return decode_examples(await self._blobs.get(entry.digest))
