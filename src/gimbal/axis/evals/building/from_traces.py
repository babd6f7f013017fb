"""Examples out of traces: drawn, read, cleaned, freed of duplicates, with what was left out and how they were made."""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.evals.building.cleaning import Cleaner
from gimbal.axis.evals.building.dimensions import Dimension, judgements_of, read_dimension, values_of
from gimbal.axis.evals.building.duplicates import Among, Known
from gimbal.axis.evals.building.feedback import corrected, judged_so, scores_of
from gimbal.axis.evals.building.model import MOST_PARTS, BuiltSuite, Drawn, Drop, FromTraces, Part, TraceSelection
from gimbal.axis.evals.building.reading import Refused, Taken, answer_of, check_span, input_of, taken, texts_of
from gimbal.axis.evals.building.sampling import Candidate, Looked, allotted, look
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.suites import applied
from gimbal.axis.evals.telling import Telling
from gimbal.axis.traces.filters import TraceFilter, narrow
from gimbal.axis.traces.finding_model import Judgement
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.score_filter import read_tests, with_scores
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import iso
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

# Traces that are read at a time, whose spans are in memory then, and examples that are compared at a time.
_AT_ONCE, _COMPARED = 200, 2000
# A draw ends there: of so many traces that hardly one is an example nobody needs more to see it.
_MOST_READ = 50_000
_SELECTION = tuple(field.name for field in msgspec.structs.fields(TraceSelection))
_HOW = ("most", "by", "allot", "seed", "span", "answers", "good", "correction", "slice", "cluster", "near", "keep")

_Made = tuple[Example, dict[str, int]] | str
"""An example with what was replaced in it, or why a trace is none."""


def filter_of(ctx: Context, body: TraceSelection) -> TraceFilter:
    """Return what a list of traces is narrowed by; raise BadInput."""
    narrowed = narrow(
        since=body.since,
        until=body.until,
        user=body.user,
        session=body.session,
        attribute=body.attribute,
        ms=(body.min_ms, body.max_ms),
        usd=(body.min_usd, body.max_usd),
        tokens=(None, None),
        key=body.api_key,
        tag=body.tag,
        status=body.status,
        kind=body.kind,
        model=body.model,
        feature=body.feature,
        text=body.text,
        provider=body.provider,
        endpoint=body.endpoint,
        ref=body.ref,
        search=body.search,
    )
    return with_scores(ctx, narrowed, read_tests(body.score, body.scored_by))


class Drawing:
    """The examples of one suite while they are drawn."""

    def __init__(self, ctx: Context, body: FromTraces, telling: Telling) -> None:
        """Check what is asked for; raise BadInput."""
        self._ctx = ctx
        self._body = body
        self._telling = telling
        self._narrowed = filter_of(ctx, body)
        self._slice = read_dimension(body.slice, "slice")
        if body.by == "slice" and self._slice is None:
            raise BadInput("There is no slice to deal out by.", where="by", todo="Say what the slice is: `slice`.")
        self._by: Dimension | None = self._slice if body.by == "slice" else read_dimension(body.by, "by")
        self._cleaner = Cleaner(body.keep)
        self._known = Known(body.near)
        self._present: set[str] = set()
        self._dropped: Counter[str] = Counter()
        self._drawn: list[Drawn] = []
        self._seen = 0
        self._read = 0
        check_span(body.span)
        if body.good:
            with_scores(ctx, TraceFilter(), read_tests(body.good, None))
        applied(body.scorers)

    @property
    def examples(self) -> list[Example]:
        """The examples that were taken."""
        return [one.example for one in self._drawn]

    async def run(self, present: Sequence[Example]) -> BuiltSuite:
        """Draw; what is `present` is not drawn again. Tell what came."""
        self._present = {one.id for one in present}
        await asyncio.to_thread(self._known.take, [texts_of(one.input) for one in present])
        looked = await look(self._ctx, self._narrowed, self._body.seed, self._parts_of)
        if looked.evaluations:
            self._dropped[Drop.EVALUATION] = looked.evaluations
        await self._draw(looked)
        await self._tell(len(self._drawn), whole=True)
        return self._told(looked)

    async def _tell(self, total: int, *, whole: bool = False) -> None:
        await self._telling(len(self._drawn), total, f"examples of {self._read:,} traces", whole=whole)

    async def _parts_of(self, traces: Sequence[TraceSummary]) -> Mapping[str, str]:
        self._seen += len(traces)
        await self._telling(0, 0, f"{self._seen:,} traces looked at")
        found = await values_of(self._ctx, self._by, traces)
        # What is personal in the name of a part is so in reports, too.
        clean = {value: self._cleaner.clean([value])[0][0] for value in set(found.values())}
        return {trace_id: clean[value] for trace_id, value in found.items()}

    async def _draw(self, looked: Looked) -> None:
        """Read traces by their lots until there are enough examples, each part as many as it gets."""
        body = self._body
        left = {part: deque(ones) for part, ones in looked.parts.items()}
        got: Counter[str] = Counter()
        while len(self._drawn) < body.most and self._read < _MOST_READ:
            there = {part: got[part] + len(ones) for part, ones in left.items()}
            quota = allotted(body.most, there, equal=body.allot == "equal")
            wanted = {part: quota[part] - got[part] for part in left if quota[part] > got[part]}
            if not wanted:
                break
            more = max(1, _AT_ONCE // sum(wanted.values()))
            batch = [
                (ones.popleft(), part)
                for part, ones in left.items()
                for _ in range(min(wanted.get(part, 0) * more, len(ones)))
            ]
            for begin in range(0, len(batch), _COMPARED):
                some = sorted(batch[begin : begin + _COMPARED], key=lambda one: one[0].lot)
                await self._read_some(some, wanted, left, got)

    async def _read_some(
        self,
        some: Sequence[tuple[Candidate, str]],
        wanted: dict[str, int],
        left: Mapping[str, deque[Candidate]],
        got: Counter[str],
    ) -> None:
        """Take those of some traces that are examples; what is not wanted any more goes back."""
        made: dict[str, _Made] = {}
        for begin in range(0, len(some), _AT_ONCE):
            await self._tell(self._body.most)
            made |= await self._examples([one.trace_id for one, _ in some[begin : begin + _AT_ONCE]])
        new = [one for one in made.values() if isinstance(one, tuple)]
        check = await asyncio.to_thread(Among, self._known, [texts_of(example.input) for example, _ in new])
        places = {example.id: place for place, (example, _) in enumerate(new)}
        back: list[tuple[Candidate, str]] = []
        for candidate, part in some:
            if not wanted[part] or len(self._drawn) == self._body.most:
                back.append((candidate, part))
                continue
            self._read += 1
            found = made[candidate.trace_id]
            reason = found if isinstance(found, str) else check.reason(places[candidate.trace_id])
            if reason or isinstance(found, str):
                self._dropped[reason] += 1
                continue
            check.take(places[candidate.trace_id])
            self._drawn.append(Drawn(example=found[0], part=part, replaced=found[1]))
            wanted[part] -= 1
            got[part] += 1
        for candidate, part in reversed(back):
            left[part].appendleft(candidate)

    async def _examples(self, trace_ids: Sequence[str]) -> dict[str, _Made]:
        """Return of each trace its example with what was replaced in it, or why it is none."""
        ctx, body = self._ctx, self._body
        summaries = await ctx.get(Traces).summaries(ctx, trace_ids)
        spans = await taken(ctx, body.span, trace_ids)
        judged = await judgements_of(ctx, trace_ids)
        good = set(trace_ids) if body.answers else await judged_so(ctx, body.good, trace_ids)
        slices = await values_of(ctx, self._slice, list(summaries.values()))

        def all_of_them() -> dict[str, _Made]:
            found: dict[str, _Made] = {}
            for trace_id in trace_ids:
                span, summary = spans.get(trace_id), summaries.get(trace_id)
                if trace_id in self._present:
                    found[trace_id] = Drop.PRESENT
                elif span is None or summary is None:
                    found[trace_id] = Drop.NO_INPUT
                else:
                    said = judged.get(trace_id, ())
                    found[trace_id] = self._example(
                        summary, span, said, slices.get(trace_id, ""), good=trace_id in good
                    )
            return found

        return await asyncio.to_thread(all_of_them)

    def _example(
        self, summary: TraceSummary, span: Taken, said: Sequence[Judgement], part: str, *, good: bool
    ) -> _Made:
        """Return the example of a span with what was replaced in it, or why it is none."""
        names = frozenset(self._body.correction)
        try:
            given = input_of(span)
            better = corrected(said, names)
            # What was recorded may be of another form, as a number, and does not stand beside what corrects it.
            expected = (answer_of(span) if good and "answer" not in better else {}) | better
            (given, expected, scores), replaced = self._cleaner.clean([given, expected, scores_of(said, names)])
            # By itself, so that a slice is called the same in all examples.
            (part,), of_part = self._cleaner.clean([part])
        except Refused as problem:
            return problem.reason
        except RecursionError:
            return Drop.UNREADABLE
        metadata = {
            "trace": span.trace_id,
            "span": span.span_id,
            "at": iso(summary.start),
            "refs": span.refs,
            "model": summary.model,
            "scores": scores,
            # What the project's sampling left out beside it.
            "stands_for": summary.weight if summary.weight != 1 else None,
        }
        example = Example(
            id=span.trace_id,
            input=given,
            expected=expected,
            cluster=self._cluster(summary),
            slice=part,
            metadata={name: value for name, value in metadata.items() if value},
        )
        return example, dict(Counter(replaced) + Counter(of_part))

    def _cluster(self, summary: TraceSummary) -> str | None:
        """Return what stands for the session or user: the same in all versions of all suites of the project."""
        by = self._body.cluster
        if by == "session" and summary.session_id:
            return f"session-{self._digest(summary.session_id)}"
        return f"user-{self._digest(summary.user_id)}" if by != "none" and summary.user_id else None

    def _digest(self, identity: str) -> str:
        return hashlib.blake2b(f"{self._ctx.project}\0{identity}".encode(errors="replace"), digest_size=8).hexdigest()

    def _told(self, looked: Looked) -> BuiltSuite:
        replaced: Counter[str] = Counter()
        for one in self._drawn:
            replaced.update(one.replaced)
        parts = self._parts(looked) if self._by is not None else []
        most = sorted(parts, key=lambda one: (-one.traces, one.name))[:MOST_PARTS]
        return BuiltSuite(
            ref=None,
            examples=len(self._drawn),
            expected=sum(bool(one.example.expected) for one in self._drawn),
            looked_at=looked.count,
            share=looked.share,
            read=self._read,
            dropped={str(reason): count for reason, count in sorted(self._dropped.items())},
            replaced=dict(sorted(replaced.items())),
            parts=sorted(most, key=lambda one: one.name),
            more_parts=len(parts) - len(most),
            samples=[],
        )

    def _parts(self, looked: Looked) -> list[Part]:
        of_parts = Counter(one.part for one in self._drawn)
        return [Part(name=name, traces=len(ones), examples=of_parts[name]) for name, ones in looked.parts.items()]

    def made(self, told: BuiltSuite) -> dict[str, Any]:
        """Return how the examples were made, for the version's manifest; without what is personal in the question."""
        said = msgspec.to_builtins(self._body)
        asked = {name: said[name] for name in _SELECTION if said[name] not in (None, [])}
        for name in ("user", "session"):
            if name in asked:
                asked[name] = f"{name}-{self._digest(asked[name])}"
        counted = msgspec.to_builtins(told)
        return {
            "from": "traces",
            "filter": self._cleaner.clean([asked])[0][0],
            **{name: said[name] for name in _HOW if said[name] or name == "seed"},
            **{name: counted[name] for name in ("examples", "looked_at", "share", "read", "dropped", "replaced")},
        }
