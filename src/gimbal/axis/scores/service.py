"""Recording and reading scores: durable through the writer, read by what they judge."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec
import pyarrow as pa

from gimbal.axis.scores.model import NewScore, Score, ScoreRecorded, ScoreSource, ScoreTarget
from gimbal.axis.traces.judgements import ANY, MISSING, Judgement, ScoreTest
from gimbal.axis.traces.redaction.model import SESSION
from gimbal.axis.traces.redaction.policies import redactor_of
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict
from gimbal.kernel.ids import is_trace_id, new_id, parse_id
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor

_MOST = 10_000
_json = msgspec.json.Encoder(enc_hook=str)
_LONGEST_WORD = 200
# What people write of a score.
_SAID = ("name", "label", "explanation", "missing", "metadata")
_LONGEST_TEXT = 20_000
# Of a trace on its page.
_MOST_SHOWN = 1000
# The end of the year 9999, the last that a date can be of.
_LAST_US = 253_402_300_799_000_000
_COLUMNS = (
    "id, target_kind, target_id, trace_id, name, value, label, explanation, source, author, missing, metadata, at_us"
)


class Scores:
    """Scores in the columns."""

    def __init__(self, columns: Columns, writer: Writer) -> None:
        self._columns = columns
        self._writer = writer

    async def record(self, ctx: Context, new: Sequence[NewScore]) -> list[Score]:
        """Store scores durably, all or none; the same id again replaces a score.

        Raise BadInput, or Conflict when an id belongs to a score of something else.
        """
        if not 1 <= len(new) <= _MOST:
            raise BadInput(f"{len(new)} scores in one request.", where="scores", todo=f"Send 1 to {_MOST}.")
        scores = [_checked(ctx, row, index) for index, row in enumerate(new)]
        project = ctx.project or "default"
        scores = await _redacted(ctx, scores)
        await self._check_ids(project, [s for s, row in zip(scores, new, strict=True) if row.id])
        await self._store(ctx, project, scores)
        return scores

    async def keep(self, ctx: Context, found: Sequence[Judgement], *, named: Collection[str] = ()) -> None:
        """Store what came with traces: each judgement names itself by its id, so that it is there once.

        `named` are those ids that its sender chose; raise Conflict where one is that of a score of something else.
        """
        scores = [
            Score(
                id=one.id,
                target_kind=ScoreTarget(one.target_kind),
                target_id=one.target_id,
                trace_id=one.trace_id,
                name=one.name,
                value=one.value,
                label=one.label,
                explanation=one.explanation,
                source=ScoreSource(one.source),
                author=one.author or ctx.principal.name,
                missing=one.missing,
                metadata=one.metadata,
                at=from_us(min(one.at_us, _LAST_US)) if one.at_us > 0 else ctx.now(),
            )
            for one in found
        ]
        project = ctx.project or "default"
        scores = await _redacted(ctx, scores)
        await self._check_ids(project, [one for one in scores if one.id in named])
        await self._store(ctx, project, scores)

    async def of_trace(
        self, ctx: Context, trace_id: str, span_ids: Sequence[str], session_id: str
    ) -> Sequence[Judgement]:
        """Return the newest judgements of a trace, of spans of it and of its session, newest first."""
        rows = await self._columns.query(
            f"SELECT {_COLUMNS} FROM scores FINAL WHERE project = {{project:String}} AND ("
            "(target_kind = 'trace' AND target_id = {trace:String}) OR "
            "(target_kind = 'session' AND target_id = {session:String} AND target_id != '') OR "
            "(target_kind = 'span' AND target_id IN {spans:Array(String)} AND trace_id IN ('', {trace:String}))) "
            "ORDER BY at_us DESC, id DESC LIMIT {most:UInt32}",
            {
                "project": ctx.project or "default",
                "trace": trace_id,
                "session": session_id,
                "spans": list(span_ids),
                "most": _MOST_SHOWN,
            },
        )
        for row in rows:
            row["metadata"] = _metadata(row)
        return [Judgement(**row) for row in rows]

    async def of_many(
        self, ctx: Context, kind: Literal["trace", "session"], ids: Sequence[str], *, each: int = 20
    ) -> Mapping[str, Sequence[Judgement]]:
        """Return the newest judgements of some traces, those of their spans among them, or of some sessions.

        `each` is how many of one trace or session at most.
        """
        if not ids:
            return {}
        # Each by itself: the key of the table finds what was said of traces, and passes over it for spans.
        wanted = ["target_kind = {kind:String} AND target_id IN {ids:Array(String)}"]
        if kind == "trace":
            wanted.append("target_kind = 'span' AND trace_id IN {ids:Array(String)}")
        tables = " UNION ALL ".join(
            f"SELECT {_COLUMNS} FROM scores FINAL WHERE project = {{project:String}} AND {one}" for one in wanted
        )
        rows = await self._columns.query(
            f"SELECT * FROM ({tables}) ORDER BY at_us DESC, id DESC "
            "LIMIT {each:UInt32} BY if(target_kind = 'span', trace_id, target_id) LIMIT {most:UInt32}",
            {
                "project": ctx.project or "default",
                "kind": kind,
                "ids": list(ids),
                "each": each,
                "most": max(_MOST_SHOWN, each * len(ids)),
            },
        )
        found: dict[str, list[Judgement]] = {}
        for row in rows:
            row["metadata"] = _metadata(row)
            found.setdefault(row["trace_id"] if row["target_kind"] == "span" else row["target_id"], []).append(
                Judgement(**row)
            )
        return found

    async def forget(self, ctx: Context, one: Judgement) -> None:
        """Delete a score for good, as it is by its target and name; whoever calls asks whether a legal hold keeps it."""
        await self._columns.command_aside(
            "DELETE FROM scores WHERE project = {project:String} AND target_kind = {target_kind:String} "
            "AND target_id = {target_id:String} AND name = {name:String} AND id = {id:String}",
            {
                "project": ctx.project or "default",
                "target_kind": one.target_kind,
                "target_id": one.target_id,
                "name": one.name,
                "id": one.id,
            },
        )

    def judged(self, test: ScoreTest, place: str) -> tuple[str, dict[str, Any]]:
        """Return the statement of the traces and spans that were judged so, as `traces` asks for them."""
        conditions = ["project = {project:String}", "target_kind IN ('trace', 'span')"]
        values: dict[str, Any] = {}
        for column, value in (("name", test.name), ("source", test.source)):
            if value:
                conditions.append(f"{column} = {{{place}_{column}:String}}")
                values[f"{place}_{column}"] = value
        number = "value"
        if test.expected is not None:
            # What is expected is no judgement, so that it has its number in words.
            number = "toFloat64OrNull(label)" if test.expected else "value"
            conditions.append(
                f"JSONExtractString(metadata, 'mlflow', 'kind') {'=' if test.expected else '!='} 'expectation'"
            )
        if test.test == MISSING:
            conditions.append("missing != ''")
        elif test.test in {"<", "<=", ">", ">="}:
            conditions.append(f"{number} {test.test} {{{place}_bound:Float64}}")
            values[f"{place}_bound"] = test.bound
        elif test.test == "=":
            same = [f"label = {{{place}_label:String}}"]
            values[f"{place}_label"] = test.text
            if test.bound is not None:
                same.append(f"{number} = {{{place}_bound:Float64}}")
                values[f"{place}_bound"] = test.bound
            conditions.append(f"({' OR '.join(same)})")
        elif test.test == ANY:
            conditions.append("missing = ''")
        return (
            "SELECT target_kind AS kind, target_id AS target, trace_id AS trace FROM scores FINAL "
            f"WHERE {' AND '.join(conditions)}"
        ), values

    async def _store(self, ctx: Context, project: str, scores: Sequence[Score]) -> None:
        rows: dict[str, list[Any]] = {name.strip(): [] for name in _COLUMNS.split(",")}
        for score in scores:
            for name, values in rows.items():
                values.append(to_us(score.at) if name == "at_us" else getattr(score, name))
        table = pa.table(
            {"project": [project] * len(scores), **rows}
            | {
                "value": pa.array(rows["value"], pa.float64()),
                "target_kind": [kind.value for kind in rows["target_kind"]],
                "source": [source.value for source in rows["source"]],
                "metadata": [_json.encode(said).decode() if said else "" for said in rows["metadata"]],
            }
        )
        await self._writer.write("scores", table)
        ctx.emit(ScoreRecorded(project=project, scores=list(scores)))

    async def _check_ids(self, project: str, corrections: Sequence[Score]) -> None:
        """Raise unless each given id is new, or that of a score of the same thing by the same name."""
        given = {score.id: score for score in corrections}
        if len(given) < len(corrections):
            raise BadInput("An id is there twice.", where="scores", todo="Send each score once.")
        if not given:
            return
        rows = await self._columns.query(
            "SELECT id, target_kind, target_id, name FROM scores WHERE project = {project:String} "
            "AND id IN {ids:Array(String)}",
            {"project": project, "ids": list(given)},
        )
        for row in rows:
            new = given[row["id"]]
            if (row["target_kind"], row["target_id"], row["name"]) != (new.target_kind, new.target_id, new.name):
                raise Conflict(
                    f"{new.id} is the score {row['name']!r} of {row['target_kind']} {row['target_id']}.",
                    where="scores",
                    todo="Leave the id out for a new score.",
                )

    async def page(
        self,
        ctx: Context,
        *,
        target_kind: ScoreTarget | None = None,
        target_id: str | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Score]:
        """Return scores, newest first."""
        conditions = ["project = {project:String}"]
        values: dict[str, Any] = {"project": ctx.project or "default", "limit": check_limit(limit) + 1}
        for column, value in (("target_kind", target_kind), ("target_id", target_id), ("name", name)):
            if value:
                conditions.append(f"{column} = {{{column}:String}}")
                values[column] = str(value)
        if cursor:
            conditions.append("(at_us, id) < ({at:Int64}, {id:String})")
            values |= {"at": cursor_number(cursor, "at"), "id": cursor_text(cursor, "id")}
        sql = (
            f"SELECT {_COLUMNS} FROM scores FINAL WHERE {' AND '.join(conditions)} "
            "ORDER BY at_us DESC, id DESC LIMIT {limit:UInt32}"
        )
        rows = await self._columns.query(sql, values)
        items = [_score(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=items, next=encode_cursor({"at": to_us(items[-1].at), "id": items[-1].id}) if more else None)


def _checked(ctx: Context, row: NewScore, index: int) -> Score:
    where = f"scores[{index}]"
    if not 1 <= len(row.name) <= _LONGEST_WORD or not 1 <= len(row.target_id) <= _LONGEST_WORD:
        raise BadInput("A score needs a name and a target of 1 to 200 characters.", where=where, todo="Mend it.")
    if row.trace_id and not is_trace_id(row.trace_id):
        raise BadInput(f"{row.trace_id!r} is not a trace id.", where=f"{where}.trace_id", todo="Give 32 hex digits.")
    for field, most in (("label", _LONGEST_WORD), ("missing", _LONGEST_WORD), ("explanation", _LONGEST_TEXT)):
        if len(getattr(row, field)) > most:
            raise BadInput(f"It has more than {most} characters.", where=f"{where}.{field}", todo="Shorten it.")
    if row.metadata and len(_json.encode(row.metadata)) > _LONGEST_TEXT:
        raise BadInput(f"It has more than {_LONGEST_TEXT} bytes.", where=f"{where}.metadata", todo="Shorten it.")
    if row.value is not None and not math.isfinite(row.value):
        raise BadInput("The value is not finite.", where=f"{where}.value", todo="Leave it null and say why.")
    if row.value is not None and row.missing:
        raise BadInput("A score with a value is not missing.", where=f"{where}.missing", todo="Give one of the two.")
    if row.value is None and not row.label and not row.missing:
        raise BadInput(
            "A score needs a value, a label, or the reason why it is missing.", where=where, todo="Give one."
        )
    return Score(
        id=parse_id(row.id, f"{where}.id") if row.id else new_id(),
        target_kind=row.target_kind,
        target_id=row.target_id,
        trace_id=row.trace_id,
        name=row.name,
        value=row.value,
        label=row.label,
        explanation=row.explanation,
        source=row.source,
        author=ctx.principal.name,
        missing=row.missing,
        metadata=row.metadata,
        at=ctx.now(),
    )


async def _redacted(ctx: Context, scores: list[Score]) -> list[Score]:
    """Return scores as the project's redaction lets them be stored."""
    redactor = await redactor_of(ctx)
    if redactor is None:
        return scores
    found: list[Score] = []
    for score in scores:
        # Who is signed in here is named as in the audit log; whom a sender names is a text of it.
        names = _SAID if score.author == ctx.principal.name else (*_SAID, "author")
        said = {name: getattr(score, name) for name in names}
        said = await redactor.values(ctx, said, "scores")
        if score.target_kind is ScoreTarget.SESSION:
            said["target_id"] = redactor.identity(SESSION, score.target_id)
        found.append(msgspec.structs.replace(score, **said))
    return found


def _score(row: dict[str, Any]) -> Score:
    values = {k: v for k, v in row.items() if k != "at_us"}
    values |= {
        "at": from_us(row["at_us"]),
        "target_kind": ScoreTarget(row["target_kind"]),
        "source": ScoreSource(row["source"]),
        "metadata": _metadata(row),
    }
    return Score(**values)


def _metadata(row: dict[str, Any]) -> dict[str, Any]:
    return msgspec.json.decode(row["metadata"]) if row["metadata"] else {}
