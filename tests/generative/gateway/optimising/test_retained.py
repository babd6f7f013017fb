"""What optimisations keep of people goes with the traces of them, and with the term of evaluations; marks and costs stay."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from tests.axis.retention.stored import erase
from tests.generative.gateway.optimising.conftest import examples, optimised, store
from tests.served import serve

import gimbal.axis.retention.work
import gimbal.generative.gateway.optimising.pages
import gimbal.generative.gateway.optimising.retained  # noqa: F401 - declares what is kept
from gimbal.axis.retention.kept import KeptTexts
from gimbal.axis.retention.model import EraseUser
from gimbal.axis.retention.service import Retaining
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.generative.gateway.optimising.service import Optimisations
from gimbal.generative.gateway.optimising.store import reflections
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.ids import new_id, new_span_id, new_trace_id


@pytest.fixture
def retaining(gateway) -> Retaining:
    """Give retention over the same stores."""
    clock = SystemClock()
    found = Retaining(gateway.get(Catalog), gateway.get(Columns), gateway.get(Blobs), clock, grace_s=0, disk_s=0)
    gateway.register(Retaining, found)
    return found


async def said_by(ctx, user):
    """Record a trace of a user; return its id."""
    now = int(datetime.now(UTC).timestamp() * 1e6)
    trace = new_trace_id()
    span = Span(
        trace_id=trace, span_id=new_span_id(), name="s", kind="chain", start_us=now, end_us=now, user_id=user,
        input='"mine"', dialect="gimbal",
    )  # fmt: skip
    await ctx.get(Traces).record(ctx, [span])
    return trace


async def texts_of(ctx, id_):
    """Return what is kept of an optimisation: files, messages, what reflectors said, and what the proof says differs."""
    optimisations = ctx.get(Optimisations)
    found = await optimisations.candidates(ctx, id_)
    async with ctx.get(Catalog).read() as tx:
        query = sa.select(reflections.c.said).where(reflections.c.optimisation_id == id_)
        said = list((await tx.execute(query)).scalars())
    proof = (await optimisations.get(ctx, id_)).proof
    return [
        *(one.text for one in found), *(one.messages for one in found), *said, proof.text, proof.changes,
    ]  # fmt: skip


async def test_the_texts_go_with_the_person_and_nothing_else_does(optimisations, retaining, ctx, upstream):
    """Found by the ids of examples, which those of traces have in theirs; also where a hundred of others are beside them."""
    ann, bob = f"ann-{new_id()}", f"bob-{new_id()}"
    await said_by(ctx, bob)
    trace = await said_by(ctx, ann)
    rows = examples(32)
    rows = [msgspec.structs.replace(one, id=f"{trace}-{one.id}") for one in rows]
    await store(ctx, rows)
    found = await optimised(ctx, methods=["reflection"])
    before = await texts_of(ctx, found.id)
    assert all(before)

    await erase(ctx, bob, keep_costs=False)
    assert await texts_of(ctx, found.id) == before

    asked = EraseUser(user=ann, reason="a request", dry_run=True)
    assert (await retaining.erase(ctx, asked)).counts.rows["optimisations"] == 1
    await erase(ctx, ann, keep_costs=False)
    assert not any(await texts_of(ctx, found.id))
    after = await optimisations.get(ctx, found.id)
    assert (after.proof.mark, after.spent, after.winner) == (found.proof.mark, found.spent, found.winner)
    assert [one.mark.value for one in await optimisations.candidates(ctx, found.id)] == [0, 1]
    assert await retaining.erasing.again(ctx) == []


async def test_the_texts_go_with_the_term_of_evaluations(
    optimisations, retaining, gateway, ctx, upstream, http, tmp_path
):
    """Not before; its page stands without them, and a search after that asks the reflector again."""
    await store(ctx, examples(32))
    found = await optimised(ctx, "prompt:help/answer@v1", methods=["reflection"])
    kept = KeptTexts(ctx.get(Catalog), ctx.get(Columns))

    await kept.expire("default", "eval_results", found.finished_at)
    await kept.expire("default", "traces", found.finished_at + timedelta(days=1))
    assert all(await texts_of(ctx, found.id))
    await kept.expire("default", "eval_results", found.finished_at + timedelta(seconds=1))
    assert not any(await texts_of(ctx, found.id))

    async with serve(gateway, tmp_path / "cache") as url:
        page = await http.get(f"{url}/p/default/optimisations/{found.id}")
    assert page.status_code == 200
    assert "deleted by retention" in page.text
    reflected = len(upstream.reflected)
    again = await optimised(ctx, "prompt:help/answer@v1", methods=["reflection"])
    assert (again.proof.verdict, len(upstream.reflected)) == ("better", reflected + 1)
