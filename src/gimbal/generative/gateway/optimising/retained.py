"""What optimisations keep of examples: candidates that show them, and what reflectors said of them.

Both go with the results of evaluations, and with the traces that the examples were made of, as far as their ids say so:
examples from traces and from replays have the id of their trace in their own.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.retention.kept import KEPT
from gimbal.generative.gateway.optimising.model import Proof, Split
from gimbal.generative.gateway.optimising.store import candidates, optimisations, reflections

_TRACE = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


class OptimisationTexts:
    """Texts of candidates, of reflectors, and of proofs; marks and costs stay."""

    data_class = "eval_results"

    async def expire(self, tx: AsyncConnection, project: str, upto: datetime) -> None:
        """Take out the texts of optimisations that ended, or began and never did, before a moment."""
        last = sa.func.coalesce(optimisations.c.finished_at, optimisations.c.started_at)
        query = sa.select(optimisations.c.id).where(*_holding(project), last < upto)
        await self.remove(tx, project, list((await tx.execute(query)).scalars()))

    async def traces(self, tx: AsyncConnection, project: str) -> Mapping[str, Collection[str]]:
        """Return the traces of the examples that candidates were made by, shown ones among them."""
        query = sa.select(optimisations.c.id, optimisations.c.split).where(*_holding(project))
        found: dict[str, set[str]] = {}
        for row in await tx.execute(query):
            split = msgspec.convert(row.split, Split)
            found[row.id] = {one for name in (*split.train, *split.shots) for one in _TRACE.findall(name)}
        return found

    async def remove(self, tx: AsyncConnection, project: str, holders: Collection[str]) -> None:
        """Take out what candidates say, what reflectors said, and what differs in the proof."""
        for id_ in holders:
            mine = (optimisations.c.id == id_, optimisations.c.project == project)
            row = (await tx.execute(sa.select(optimisations.c.proof).where(*mine))).first()
            if row is None:
                continue
            of = candidates.c.optimisation_id == id_
            await tx.execute(candidates.update().where(of).values(messages=[], text=""))
            # The row stays for its cost; a text that is empty is asked for again.
            await tx.execute(reflections.update().where(reflections.c.optimisation_id == id_).values(said=""))
            if row.proof is not None:
                proof = msgspec.structs.replace(msgspec.convert(row.proof, Proof), changes=[], text=None)
                await tx.execute(optimisations.update().where(*mine).values(proof=proof))


def _holding(project: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of optimisations of which there still are texts."""

    def has(table: sa.Table, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
        return sa.exists().where(table.c.optimisation_id == optimisations.c.id, column != "")

    texts = sa.or_(has(candidates, candidates.c.text), has(reflections, reflections.c.said))
    return optimisations.c.project == project, texts


KEPT.add("optimisations", OptimisationTexts())
