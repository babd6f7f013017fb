"""Whose data a row is: the SQL that knows the rows of erased users by salted hashes, in tables and in files of them.

Statements never hold a user id, since the engine keeps their text with the parts that they changed. What is found of a user
is found by what spans say of themselves (`user_id`), by the attributes, tags and metadata under which senders name users, and
by the traces in which they are named: such a trace belongs to the user whole, whatever else is in it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from gimbal.axis.retention.classes import Table
from gimbal.axis.retention.model import Tombstone
from gimbal.axis.traces.dialects.reading import USERS
from gimbal.axis.traces.facts.model import METADATA, SESSION

MARKS = "erased_traces"
_PLACE = re.compile(r"\{(traces|sessions|users):(\w+)\}")
_HERE = "project = {project:String}"
_OF_SESSION = f"kind = '{METADATA}' AND name = '{SESSION}' AND value != ''"
Source = Callable[[str], str]
"""Names the table, or the file in its place, of which a statement reads."""


def mark_of(salt: str, text: str) -> str:
    """Return the salted hash of an id, as `_hashed` computes it in the engine."""
    return hashlib.sha256((salt + text).encode()).hexdigest()


def hashes_of(salt: str, user: str) -> tuple[str, str]:
    """Return the salted hashes of a user id as it is, and as the JSON text of it."""
    return mark_of(salt, user), mark_of(salt, json.dumps(user, ensure_ascii=False))


def table_named(name: str) -> str:
    """Return the table itself."""
    return f"`{name}`"


class Subject:
    """The users of one project whose data are erased, all with the project's salt."""

    def __init__(self, project: str, stones: Sequence[Tombstone]) -> None:
        self.project = project
        self.stones = stones
        self.values: dict[str, Any] = {
            "project": project,
            "salt": stones[0].salt,
            "users": [one for stone in stones for one in (stone.user_hash, stone.quoted_hash)],
            "ats": [stone.at_us for stone in stones for _ in range(2)],
            "with_sessions": [int(stone.sessions) for stone in stones for _ in range(2)],
            "erasures": [stone.erasure for stone in stones],
            "keys": list(USERS),
            "quoted_keys": [json.dumps(key) for key in USERS],
        }

    def named(self, clock: str, *, user: bool, attributes: Sequence[str] = (), only_sessions: bool = False) -> str:
        """Return the test whether a row names one of the users, in time for their erasure."""
        tests = [_hit("user_id", clock, only_sessions=only_sessions)] if user else []
        for column in attributes:
            found = _hit(f"JSONExtractString({column}, k)", clock, only_sessions=only_sessions)
            tests.append(
                f"(multiSearchAny({column}, {{quoted_keys:Array(String)}}) "
                f"AND arrayExists(k -> {found}, {{keys:Array(String)}}))"
            )
        return f"({' OR '.join(tests)})"

    def named_spans(self, columns: Sequence[str], *, only_sessions: bool = False) -> str:
        """Return the test of spans."""
        said = [name for name in ("attributes", "resource") if name in columns]
        clock = arrival("start_us", columns)
        return self.named(clock, user=True, attributes=said, only_sessions=only_sessions)

    def traces(self, source: Source, spans: Sequence[str]) -> str:
        """Return the query of the ids of all traces that are to go: those that name a user, and those of sessions."""
        events = self.named("least(intDiv(at_ns, 1000), written_us)", user=False, attributes=("attributes", "resource"))
        parts = [
            f"SELECT trace_id FROM {source('spans')} WHERE {_HERE} AND {self.named_spans(spans)}",
            f"SELECT trace_id FROM {source('span_events')} WHERE {_HERE} AND {events}",
            _named_facts(source),
        ]
        if any(stone.sessions for stone in self.stones):
            last = max(stone.at_us for stone in self.stones if stone.sessions)
            of_sessions = self.sessions(source, spans, only_sessions=True)
            for table, moment, column in (
                ("spans", "start_us", "session_id"),
                ("trace_facts", f"{_OF_SESSION} AND written_us", "value"),
            ):
                parts.append(
                    f"SELECT trace_id FROM {source(table)} WHERE {_HERE} AND {moment} <= {last} AND {column} IN ({of_sessions})"
                )
        return f"SELECT DISTINCT trace_id FROM ({' UNION ALL '.join(parts)}) WHERE trace_id != ''"

    def sessions(self, source: Source, spans: Sequence[str], *, only_sessions: bool = False) -> str:
        """Return the query of the ids of all sessions in which a user was named."""
        return (
            f"SELECT DISTINCT session_id FROM {source('spans')} WHERE {_HERE} AND session_id != '' "
            f"AND {self.named_spans(spans, only_sessions=only_sessions)} UNION DISTINCT "
            f"SELECT value AS session_id FROM {source('trace_facts')} WHERE {_HERE} AND {_OF_SESSION} "
            f"AND trace_id IN ({_named_facts(source, only_sessions=only_sessions)})"
        )

    def owned(self, table: Table, columns: Sequence[str], unmarked: tuple[str, str] | None = None) -> str:
        """Return the test whether a row of a table goes, once the traces are marked; empty where none ever does.

        `unmarked` gives the queries of the traces and of the sessions that are not, for what is only counted or in files.
        """

        def test(column: str, *, session: bool = False) -> str:
            known = marked(column, session=session)
            return f"({column} IN ({unmarked[session]}) OR {known})" if unmarked else known

        clock = arrival(table.clock, columns)

        def place(found: re.Match[str]) -> str:
            if found[1] == "users":
                return _hit(found[2], clock)
            return test(found[2], session=found[1] == "sessions")

        tests: list[str] = []
        said = [name for name in ("attributes", "resource") if name in columns]
        if "user_id" in columns or said:
            tests.append(self.named(clock, user="user_id" in columns, attributes=said))
        if "trace_id" in columns:
            tests.append(f"(trace_id != '' AND {test('trace_id')})")
        if table.owned:
            tests.append(f"({_PLACE.sub(place, table.owned)})")
        return f"{_HERE} AND ({' OR '.join(tests)})" if tests else ""


def arrival(clock: str, columns: Sequence[str]) -> str:
    """Return when a row is from: what was stored before an erasure goes, whatever its sender's clock said."""
    return f"least({clock}, written_us)" if "written_us" in columns else clock


def marked(column: str, *, session: bool = False) -> str:
    """Return the test whether the trace, or session, of which a column has the id was erased."""
    text = f"concat('session ', {column})" if session else column
    return f"{_hashed(text)} IN (SELECT mark FROM {MARKS} WHERE {_HERE} AND erasure IN {{erasures:Array(String)}})"


def marks_of(subject: Subject, source: Source, spans: Sequence[str]) -> str:
    """Return the query of what is to be marked: the traces, and the sessions in which a user was named."""
    sessions = f"SELECT concat('session ', session_id) AS id FROM ({subject.sessions(source, spans)})"
    return (
        f"SELECT {{project:String}} AS project, {_hashed('id')} AS mark, {{erasure:String}} AS erasure, "
        f"{{at:Int64}} AS at_us FROM (SELECT trace_id AS id FROM ({subject.traces(source, spans)}) "
        f"UNION ALL {sessions})"
    )


def _named_facts(source: Source, *, only_sessions: bool = False) -> str:
    """Return the query of the traces of which somebody said that they are a user's."""
    named = _hit("value", "written_us", only_sessions=only_sessions)
    return f"SELECT trace_id FROM {source('trace_facts')} WHERE {_HERE} AND name IN {{keys:Array(String)}} AND {named}"


def _hashed(expression: str) -> str:
    return f"lower(hex(SHA256(concat({{salt:String}}, {expression}))))"


def _hit(expression: str, clock: str, *, only_sessions: bool = False) -> str:
    """Return the test whether a value is one of the users, in a row that is not newer than the erasure."""
    place = f"indexOf({{users:Array(String)}}, {_hashed(expression)})"
    wanted = f" AND {{with_sessions:Array(UInt8)}}[{place}] = 1" if only_sessions else ""
    return f"({expression} != '' AND {place} > 0 AND {clock} <= {{ats:Array(Int64)}}[{place}]{wanted})"
