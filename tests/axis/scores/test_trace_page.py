"""Scores on the page of a trace: those of the trace and its session, and those of the span that was chosen."""

import re

import httpx
from tests.axis.traces import wire

from gimbal.axis.scores.model import NewScore, ScoreSource, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.ingest import ingest
from gimbal.kernel.context import Context

HOSTILE = "<script>alert(1)</script>{{ 7 * 7 }}"


async def page(site: httpx.AsyncClient, here: Context, path: str) -> str:
    reply = await site.get(f"/p/{here.project}/traces/{path}")
    assert reply.status_code == 200
    return re.sub(r"\s+", " ", reply.text)


async def test_every_score_of_a_trace_is_on_its_page(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    """With who gave it and why; one that is missing says so and is no number; what is hostile is text."""
    trace, other = wire.trace_id(), wire.trace_id()
    session = {"session.id": f"s{trace}"}
    for one in (trace, other):
        await ingest(here, wire.request(wire.span(one, 1, name="root", attributes=session), wire.chat(one, 2, 1)))
    spans = {number: f"{number:016x}" for number in (1, 2)}
    await scores.record(
        here,
        [
            NewScore(target_kind=ScoreTarget.TRACE, target_id=trace, name="solved", value=0.25, explanation=HOSTILE),
            NewScore(target_kind=ScoreTarget.TRACE, target_id=other, name="of-another", value=1),
            NewScore(
                target_kind=ScoreTarget.SESSION, target_id=f"s{trace}", name="happy", label="yes",
                source=ScoreSource.USER,
            ),
            NewScore(target_kind=ScoreTarget.SPAN, target_id=spans[2], trace_id=trace, name="brief", missing="timeout"),
            NewScore(target_kind=ScoreTarget.SPAN, target_id=spans[2], trace_id=other, name="elsewhere", value=1),
            NewScore(target_kind=ScoreTarget.SPAN, target_id=spans[1], name="anywhere", value=1),
        ],
    )  # fmt: skip

    root = await page(site, here, trace)
    call = await page(site, here, f"{trace}?span={spans[2]}")

    for text in (root, call):
        table = text[text.index('id="scores"') : text.index("</section>", text.index('id="scores"'))]
        assert re.findall(r'class="cell-main">([\w-]+)<', table) == ["happy", "solved"]
        assert "0.25" in table
        assert HOSTILE not in text
        assert "&lt;script&gt;" in table
        assert text.count("1 score<") == 2
    assert ("anywhere" in root, "brief" in root, "elsewhere" in root) == (True, False, False)
    assert ("anywhere" in call, "brief" in call, "elsewhere" in call) == (False, True, False)
    assert '<span class="missing">—</span> <span class="cell-note">timeout</span>' in call


async def test_without_scores_there_is_no_place_for_them(site: httpx.AsyncClient, here: Context) -> None:
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.chat(trace, 1)))
    text = await page(site, here, trace)
    assert 'id="scores"' not in text
    assert "<h3>Scores</h3>" not in text
