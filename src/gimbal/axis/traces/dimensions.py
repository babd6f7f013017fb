"""What spans are grouped by, and the statement that reads the spans that are counted.

Who asked, in which session, for which feature and with which versions is often said by one span of a trace only. Then it
holds for the others, too, as lists show it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gimbal.axis.traces.counting import REPEATED, repeats
from gimbal.axis.traces.filters import Condition, TraceFilter, equal, held, near, of_head, said, used, without_cost
from gimbal.axis.traces.measures import LIMITED
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import nearest

MOST_DIMENSIONS = 2
_OF_TRACE = {
    "feature": "feature", "user": "user_id", "session": "session_id", "endpoint": "endpoint", "key": "key_id",
}  # fmt: skip
_OF_SPAN = {name: name for name in ("model", "provider", "kind", "status", "name", "dialect")}
_LISTS = {"ref": ("refs", "s.refs"), "prompt": ("refs", "arrayFilter(r -> startsWith(r, 'prompt:'), s.refs)"),
          "tag": ("tags", "s.tags")}  # fmt: skip
DIMENSIONS = (*_OF_SPAN, *_OF_TRACE, *_LISTS)
_FEW = frozenset({*_OF_SPAN, "feature"})
_ATTRIBUTE, _TAG = "attribute:", "tag:"
_SETS = frozenset({"refs", "tags"})
_ID = "sipHash64(trace_id, span_id)"
_READ = (
    "trace_id", "span_id", "start_us", "end_us", "status", "billable", "input_tokens", "output_tokens", "cost", "unpriced",
    "first_token_us", "weight",
)  # fmt: skip


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How the spans are read that are counted."""

    values: dict[str, Any]
    within: str
    around: str
    """Where else spans of the same traces may be."""
    keys: tuple[str, ...]
    reads: frozenset[str]
    conditions: tuple[str, ...]
    of_trace: frozenset[str]
    """Columns that hold for a whole trace."""
    few: tuple[str, ...] = ()
    """Columns that have few values each, where the keys are all such; else empty."""
    measured: tuple[str, ...] = ()
    """Columns that only some measures read."""
    twice: bool = True
    """Whether some spans are stored in several versions."""
    parts: bool = True
    """Whether parts of a trace came in requests of their own."""

    def over(self, state: dict[str, Any], *, measured: tuple[str, ...] = ()) -> "Plan":
        """Return the plan for what is really stored, as `state` told it: what is not there need not be looked for."""
        twice, parts = bool(state["twice"]), bool(state["parts"])
        # Where every span says something itself, its trace need not be asked.
        silent = {name for name, some in zip(sorted(self.of_trace), state["missing"], strict=True) if some}
        return msgspec.structs.replace(
            self, twice=twice, parts=parts or twice, measured=measured, of_trace=frozenset(silent)
        )

    def state(self, *, groups: bool = False) -> str:
        """Return the statement that tells what there is, and about how many `groups`: 0 where they may be many."""
        numbers = [f"uniqCombined(12)({name})" for name in self.few] if groups else []
        missing = [f"countIf({_is_missing(name)}) > 0" for name in sorted(self.of_trace)]
        # Two spans of different traces with the same id only make the other way be taken.
        return (
            "SELECT count() != uniqExact(cityHash64(span_id)) AS twice, countIf(is_root = 1 AND parent_id != '') > 0 AS parts, "
            f"countIf(weight != 1) > 0 AS weighted, max(cached) AS cached, [{', '.join(missing)}] AS missing, "
            f"max(start_us) AS newest, {' * '.join(numbers) or 0} AS groups "
            f"FROM spans WHERE {self.within}{LIMITED}"
        )

    def head(self) -> str:
        """Return what stands before SELECT."""
        queries = [repeats(self.around, resent=self.twice)] if self.parts else []
        if self.of_trace:
            first = "tuple(is_root = 0, parent_id != '', start_us)"
            whole = [
                f"groupUniqArrayArray(s.{name}) AS all_{name}"
                if name in _SETS
                else f"argMinIf(s.{name}, {first}, s.{name} != '') AS all_{name}"
                for name in sorted(self.of_trace)
            ]
            names = ", ".join(sorted({"trace_id", "is_root", "parent_id", "start_us", "weight", *self.of_trace}))
            queries.append(
                f"traces AS (SELECT cityHash64(trace_id) AS trace, {', '.join(whole)} "
                f"FROM ({self.newest(names, self.around)}) AS s WHERE weight > 0 GROUP BY trace)"
            )
        return f"WITH {', '.join(queries)}" if queries else ""

    def spans(self) -> str:
        """Return the statement that reads each span that is counted once, with its keys `k0`, `k1`."""
        every = {*_READ, *self.measured, *self.reads}
        names = ", ".join(sorted(every))
        kept = [name for name in (*_READ, *self.measured) if name not in {"trace_id", "span_id", "billable"}]
        keys = "".join(f", {key} AS k{place}" for place, key in enumerate(self.keys))
        source = f"({self.newest(names, self.within)}) AS s"
        if self.of_trace:
            said_once = ", ".join(f"{_or_trace(name)} AS {name}" for name in sorted(self.of_trace))
            rest = ", ".join(f"s.{name} AS {name}" for name in sorted(every - self.of_trace))
            source = (
                f"(SELECT {rest}, {said_once} FROM (SELECT *, cityHash64(trace_id) AS trace FROM {source}) AS s "
                "LEFT JOIN traces ON s.trace = traces.trace) AS s"
            )
        where = " AND ".join(["s.weight > 0", *self.conditions])
        shown = ", ".join(f"s.{name} AS {name}" for name in kept)
        return f"SELECT {shown}, cityHash64(s.trace_id) AS trace, {self.once()} AS billable{keys} FROM {source} WHERE {where}"

    def once(self) -> str:
        """Return the condition for a span that counts its call."""
        return f"(s.billable = 1 AND NOT ({REPEATED}))" if self.parts else "s.billable = 1"

    def newest(self, names: str, within: str) -> str:
        """Return the statement that reads the newest version of each span."""
        if not self.twice:
            return f"SELECT {names} FROM spans WHERE {within}"
        several = f"FROM spans WHERE {within} GROUP BY 1 HAVING count() > 1"
        return (
            f"SELECT {names} FROM spans WHERE {within} AND ({_ID} NOT IN (SELECT {_ID} {several}) "
            f"OR ({_ID}, written_us) IN (SELECT {_ID}, max(written_us) {several}))"
        )


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Raise BadInput for what is not among what there is to choose from."""
    if value not in known:
        raise BadInput(f"{name!r} cannot be {value!r}.", where=name, todo=f"Choose one of {', '.join(known)}.")


def _or_trace(name: str) -> str:
    return f"if({_is_missing(f's.{name}')}, traces.all_{name}, s.{name})"


def _is_missing(name: str) -> str:
    """Return the condition that a span says nothing by itself."""
    return f"empty({name})"


def plan(project: str, by: Sequence[str], narrowed: TraceFilter, *, roots: bool) -> Plan:
    """Return how to read what a question is about; raise BadInput."""
    if len(by) > MOST_DIMENSIONS or len(set(by)) < len(by):
        raise BadInput(
            "Spans can be grouped by up to two different dimensions.", where="group", todo="Leave one of them out."
        )
    if narrowed.since_us is not None and narrowed.until_us is not None and narrowed.since_us >= narrowed.until_us:
        raise BadInput("The range ends before it begins.", where="until", todo="Give an `until` after `since`.")
    range_, values = of_head(TraceFilter(since_us=narrowed.since_us, until_us=narrowed.until_us))
    wide, bounds = near(narrowed)
    values |= {**bounds, "project": project}
    own, own_values = of_head(msgspec.structs.replace(narrowed, since_us=None, until_us=None))
    columns = ("model", "provider", "status", "feature", "user_id", "session_id", "endpoint", "key_id")
    wanted: list[Condition] = [*equal(narrowed, columns), *used(narrowed), *without_cost(narrowed), *said(narrowed)]
    wanted += _sizes(narrowed)
    reads = {name for one in wanted for name in one.reads} | {"kind", "name"} | ({"parent_id"} if roots else set())
    for one in wanted:
        values |= one.values
    keys = [_key(name, place, reads, values) for place, name in enumerate(by)]
    here = "project = {project:String}"
    return Plan(
        values=values | own_values,
        within=" AND ".join([here, *range_]),
        around=" AND ".join([here, *wide]),
        keys=tuple(keys),
        reads=frozenset(reads),
        conditions=(*own, *(one.sql for one in wanted), *(["s.parent_id = ''"] if roots else [])),
        of_trace=frozenset(reads & {*_OF_TRACE.values(), *_SETS}),
        few=tuple(by) if _FEW.issuperset(by) else (),
    )


def _sizes(narrowed: TraceFilter) -> list[Condition]:
    """Return what the cost and tokens of a span must be."""
    tokens = "ifNull(s.input_tokens + s.output_tokens, -1)"
    cost = ("cost", "billable")
    found = [
        ("min_cost", "s.billable = 1 AND s.cost >= toDecimal128({}, 12)", "String", cost),
        ("max_cost", "s.billable = 1 AND s.cost <= toDecimal128({}, 12)", "String", cost),
        ("min_tokens", f"s.billable = 1 AND {tokens} >= {{}}", "Int64", ("input_tokens", "output_tokens")),
        (
            "max_tokens",
            f"s.billable = 1 AND {tokens} BETWEEN 0 AND {{}}",
            "Int64",
            ("input_tokens", "output_tokens"),
        ),
    ]
    return [
        Condition(
            sql.format(f"{{{name}:{kind}}}"),
            {name: f"{value:f}" if kind == "String" else value},
            reads,
        )
        for name, sql, kind, reads in found
        if (value := getattr(narrowed, name)) is not None
    ]


def _key(name: str, place: int, reads: set[str], values: dict[str, Any]) -> str:
    """Return the expression of a dimension; note what it reads."""
    if name.startswith(_ATTRIBUTE) and len(name) > len(_ATTRIBUTE) and "\0" not in name:
        values[f"by{place}"] = name.removeprefix(_ATTRIBUTE)
        reads.add("attributes")
        return held(f"by{place}")
    if name.startswith(_TAG) and len(name) > len(_TAG) and "\0" not in name:
        values[f"by{place}"] = name
        reads.add("tags")
        key = f"substring({{by{place}:String}}, {len(_TAG) + 1})"
        # Of several values the first by the alphabet counts, so that the groups come to the whole.
        said = f"arraySort(arrayFilter(t -> startsWith(t, concat({key}, ':')), s.tags))[1]"
        return f"toString(substring({said}, length({key}) + 2))"
    if name in _LISTS:
        column, listed = _LISTS[name]
        reads.add(column)
        return f"toString(arrayJoin(if(empty({listed}), [''], {listed})))"
    column = (_OF_SPAN | _OF_TRACE).get(name)
    if column is None:
        raise BadInput(
            f"{name!r} is no dimension.",
            where="group",
            todo=nearest(name, DIMENSIONS) or f"There are {', '.join(DIMENSIONS)}, tag:<key> and attribute:<key>.",
        )
    reads.add(column)
    return f"toString(s.{column})"
