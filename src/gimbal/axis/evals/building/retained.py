"""What the jobs of suites from traces keep of people: samples in their results, and in their questions whose traces were meant.

Both go with the content of traces, and with the traces that are shown. The suites themselves stay, as all assets do.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.evals.building.model import JOB
from gimbal.axis.retention.kept import KEPT
from gimbal.engines.compute.store import jobs

_OUT = "(taken out)"
# A job that failed may be tried again: what is taken out finds nobody then, where a question without it would find everybody.
_PERSONAL: dict[str, Any] = {
    **dict.fromkeys(("user", "session", "search", "text"), _OUT),
    "attribute": [f"{_OUT}:{_OUT}"],
    "tag": [_OUT],
}


class DrawTexts:
    """Samples and personal words of jobs; what was counted stays."""

    data_class = "content"

    async def expire(self, tx: AsyncConnection, project: str, upto: datetime) -> None:
        """Take the texts out of jobs that ended before a moment."""
        query = sa.select(jobs.c.id).where(*_of(project), jobs.c.finished_at < upto)
        await self.remove(tx, project, list((await tx.execute(query)).scalars()))

    async def traces(self, tx: AsyncConnection, project: str) -> Mapping[str, Collection[str]]:
        """Return the traces that results show."""
        shows = sa.type_coerce(jobs.c.result, sa.Text).contains('"samples":[{')
        found: dict[str, list[str]] = {}
        for row in await tx.execute(sa.select(jobs.c.id, jobs.c.result).where(*_of(project), shows)):
            found[row.id] = [str(one["id"]) for one in row.result["samples"]]
        return found

    async def remove(self, tx: AsyncConnection, project: str, holders: Collection[str]) -> None:
        """Take out samples and whose traces were asked for."""
        for id_ in holders:
            mine = (*_of(project), jobs.c.id == id_)
            row = (await tx.execute(sa.select(jobs.c.payload, jobs.c.result).where(*mine))).first()
            if row is None:
                continue
            body: dict[str, Any] = row.payload["body"]
            body |= {name: out for name, out in _PERSONAL.items() if body.get(name)}
            values: dict[str, Any] = {"payload": {**row.payload, "body": body}}
            if row.result is not None:
                values["result"] = {**row.result, "samples": []}
            await tx.execute(jobs.update().where(*mine).values(values))


def _of(project: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of the jobs that make suites of traces."""
    return jobs.c.project == project, jobs.c.name == JOB


KEPT.add("suite_draws", DrawTexts())
