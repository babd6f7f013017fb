"""Recorded scores: durable when acknowledged, corrected by id, listed newest first, and refused where they say nothing."""

import math

import msgspec
import pytest

from gimbal.axis.scores.model import NewScore, RecordScores, Score, ScoreRecorded, ScoreSource, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.errors import BadInput, Conflict, Forbidden
from gimbal.kernel.events import EventBus
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import decode_body, find, invoke
from gimbal.kernel.pages import encode_cursor
from gimbal.testing.clock import FrozenClock


def new(target_id: str, value: float | None = 1.0, **fields: object) -> NewScore:
    given = {"target_kind": ScoreTarget.TRACE, "target_id": target_id, "name": "helpful", "value": value} | fields
    return msgspec.convert(given, NewScore)


@pytest.fixture
def target() -> str:
    """Name something that no other test judges: the columns are shared."""
    return new_id()


async def test_what_is_recorded_is_read_back_exactly(scores: Scores, ctx: Context, target: str) -> None:
    """With who judged and when; a word, a reason and a number outside 0 to 1 are judgements too."""
    recorded = await scores.record(
        ctx,
        [
            new(target, 4.5, explanation="ein “Grund” 🜚", source="human"),
            new(target, None, label="rude"),
            new(target, None, missing="timeout", source="judge"),
            new(target, 1, target_kind="span", trace_id="a" * 32, metadata={"judge": {"model": "größe", "t": 0.5}}),
        ],
    )

    found = (await scores.page(ctx, target_id=target)).items

    assert sorted(found, key=lambda s: s.id) == sorted(recorded, key=lambda s: s.id)
    assert {(s.value, s.label, s.missing, s.source, s.author) for s in found} == {
        (4.5, "", "", ScoreSource.HUMAN, "local owner"),
        (None, "rude", "", ScoreSource.CODE, "local owner"),
        (None, "", "timeout", ScoreSource.JUDGE, "local owner"),
        (1.0, "", "", ScoreSource.CODE, "local owner"),
    }
    assert {s.at for s in found} == {ctx.now()}


async def test_the_same_id_again_corrects(scores: Scores, ctx: Context, target: str, clock: FrozenClock) -> None:
    """A sender that did not hear the answer repeats; somebody who was wrong corrects; there is one score."""
    score = (await scores.record(ctx, [new(target, 0.2)]))[0]
    clock.advance(hours=1)
    for _ in range(2):
        await scores.record(ctx, [new(target, 0.9, id=score.id.upper())])

    found = (await scores.page(ctx, target_id=target)).items

    assert [(s.id, s.value, s.at) for s in found] == [(score.id, 0.9, clock.now())]


async def test_an_id_stays_with_what_it_judged(scores: Scores, ctx: Context, target: str) -> None:
    """Otherwise one id would be two scores."""
    score = (await scores.record(ctx, [new(target, 0.2)]))[0]

    for other in (new(new_id(), 0.9, id=score.id), new(target, 0.9, id=score.id, name="polite")):
        with pytest.raises(Conflict, match=f"'helpful' of trace {target}"):
            await scores.record(ctx, [other])
    with pytest.raises(BadInput, match="twice"):
        await scores.record(ctx, [new(target, 0.3, id=score.id), new(target, 0.4, id=score.id)])

    assert [s.value for s in (await scores.page(ctx, target_id=target)).items] == [0.2]


@pytest.mark.parametrize(
    ("row", "where"),
    [
        (new("t", math.nan), "scores[1].value"),
        (new("t", math.inf), "scores[1].value"),
        (new("t", None), "scores[1]"),
        (new("t", 0.0, missing="error"), "scores[1].missing"),
        (new("t", name=""), "scores[1]"),
        (new("t", name="n" * 201), "scores[1]"),
        (new(""), "scores[1]"),
        (new("t" * 201), "scores[1]"),
        (new("t", label="l" * 201), "scores[1].label"),
        (new("t", explanation="e" * 20_001), "scores[1].explanation"),
        (new("t", id="mine"), "scores[1].id"),
        (new("t", target_kind="span", trace_id="mine"), "scores[1].trace_id"),
        (new("t", metadata={"why": "m" * 20_000}), "scores[1].metadata"),
    ],
)
async def test_one_bad_score_refuses_them_all(
    scores: Scores, ctx: Context, target: str, row: NewScore, where: str
) -> None:
    with pytest.raises(BadInput) as refused:
        await scores.record(ctx, [new(target), row])

    assert refused.value.where == where
    assert refused.value.todo
    assert (await scores.page(ctx, target_id=target)).items == []


@pytest.mark.parametrize("count", [0, 10_001])
async def test_a_batch_has_1_to_10_000(scores: Scores, ctx: Context, target: str, count: int) -> None:
    with pytest.raises(BadInput, match="scores in one request"):
        await scores.record(ctx, [new(target)] * count)


@pytest.mark.parametrize(
    "body",
    [
        b'{"scores": [{"target_kind": "trace", "target_id": "t", "name": "n", "value": 1e999}]}',
        b'{"scores": [{"target_kind": "trace", "target_id": "t", "name": "n", "value": NaN}]}',
        b'{"scores": [{"target_kind": "model", "target_id": "t", "name": "n", "value": 1}]}',
        b'{"scores": [{"target_kind": "trace", "target_id": "t", "name": "n", "value": "1"}]}',
        b'{"scores": [{"target_kind": "trace", "target_id": "t", "name": "n", "score": 1}]}',
    ],
)
def test_what_json_cannot_mean_is_refused_with_its_place(body: bytes) -> None:
    """Not a number, a kind of thing that is not judged, a text, an unknown field."""
    with pytest.raises(BadInput) as refused:
        decode_body(body, RecordScores)

    assert refused.value.todo


async def test_pages_are_newest_first_and_complete(
    scores: Scores, ctx: Context, target: str, clock: FrozenClock
) -> None:
    """Also where several scores have the same moment."""
    made: list[Score] = []
    for _ in range(3):
        made += await scores.record(ctx, [new(target), new(target), new(target)])
        clock.advance(seconds=1)
    found: list[Score] = []
    cursor = None
    while True:
        page = await scores.page(ctx, target_id=target, cursor=cursor, limit=2)
        found += page.items
        cursor = page.next
        if cursor is None:
            break

    assert [s.id for s in found] == [s.id for s in sorted(made, key=lambda s: (s.at, s.id), reverse=True)]


async def test_a_list_is_narrowed(scores: Scores, ctx: Context, target: str) -> None:
    await scores.record(ctx, [new(target), new(target, name="polite"), new(target, target_kind="span")])
    await scores.record(ctx.within("flights"), [new(target, 0.5)])

    assert len((await scores.page(ctx, target_id=target)).items) == 3
    assert [s.name for s in (await scores.page(ctx, target_id=target, name="polite")).items] == ["polite"]
    spans = await scores.page(ctx, target_id=target, target_kind=ScoreTarget.SPAN)
    assert [s.target_kind for s in spans.items] == [ScoreTarget.SPAN]
    assert [s.value for s in (await scores.page(ctx.within("flights"), target_id=target)).items] == [0.5]


@pytest.mark.parametrize(
    "cursor",
    ["x", encode_cursor({}), encode_cursor({"at": "now", "id": "a"}), encode_cursor({"at": 1}), encode_cursor({"at": 2**63, "id": "a"}), encode_cursor({"at": 1, "id": 7})],
)  # fmt: skip
async def test_a_forged_cursor_is_refused(scores: Scores, ctx: Context, cursor: str) -> None:
    with pytest.raises(BadInput, match="not made by this list") as refused:
        await scores.page(ctx, cursor=cursor)

    assert refused.value.where == "cursor"


async def test_acknowledged_scores_are_in_the_columns(
    scores: Scores, ctx: Context, target: str, columns: Columns
) -> None:
    """`record` returns after the commit: another reader sees them at once."""
    await scores.record(ctx, [new(target, float(i)) for i in range(500)])

    rows = await columns.query("SELECT count() AS n FROM scores WHERE target_id = {id:String}", {"id": target})

    assert rows == [{"n": 500}]


async def test_a_developer_records_and_a_viewer_reads(scores: Scores, services: Services, target: str) -> None:
    """The event tells of it once it is stored."""
    heard: list[ScoreRecorded] = []

    async def hear(event: ScoreRecorded) -> None:
        heard.append(event)

    services.get(EventBus).subscribe(ScoreRecorded, hear)

    def as_(role: Role) -> Context:
        return Context(services, Principal(kind="key", id="k", name="key", roles={"default": role}), "default")

    body = {"project": "default", "body": RecordScores(scores=[new(target)])}
    with pytest.raises(Forbidden):
        await invoke(find("scores.record"), as_(Role.VIEWER), body)
    assert heard == []
    made = await invoke(find("scores.record"), as_(Role.DEVELOPER), body)
    listed = await invoke(find("scores.list"), as_(Role.VIEWER), {"project": "default", "target_id": target})

    assert listed.items == made
    assert [event.scores for event in heard] == [made]
    assert made[0].author == "key"
