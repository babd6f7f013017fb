"""Ids and time: ordered, valid, and exact to the microsecond."""

import contextlib
import os
import threading
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.kernel import ids
from gimbal.kernel.clock import SystemClock, from_us, iso, parse_time, to_us
from gimbal.kernel.errors import BadInput
from gimbal.testing.clock import FrozenClock


def test_ids_are_uuid_7_and_increase() -> None:
    """Ten thousand in a row, many in one millisecond: as text, each after the one before."""
    made = [ids.new_id() for _ in range(10_000)]

    assert made == sorted(made)
    assert len(set(made)) == 10_000
    assert {(7, uuid.RFC_4122) for _ in made} == {(uuid.UUID(m).version, uuid.UUID(m).variant) for m in made}


def test_ids_of_many_threads_are_never_the_same() -> None:
    """And increase within each thread."""
    lists: list[list[str]] = []

    def make() -> None:
        lists.append([ids.new_id() for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({i for made in lists for i in made}) == 16_000
    assert all(made == sorted(made) for made in lists)


def test_ids_go_on_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one after a step back still sorts later."""
    monkeypatch.setattr(ids, "_sequence", ids._Sequence())
    now = 1_800_000_000_000_000_000
    monkeypatch.setattr(ids.time, "time_ns", lambda: now)
    before = ids.new_id()
    monkeypatch.setattr(ids.time, "time_ns", lambda: now - 3_600_000_000_000)
    made = [ids.new_id() for _ in range(5000)]

    assert [before, *made] == sorted([before, *made])


@given(one=st.lists(st.text(max_size=4), max_size=4), two=st.lists(st.text(max_size=4), max_size=4))
def test_a_derived_id_is_that_of_its_parts(one: list[str], two: list[str]) -> None:
    """The same in every process, and another for other parts, wherever one ends and the next begins."""
    assert (ids.derived_id(*one) == ids.derived_id(*two)) == (one == two)
    assert ids.parse_id(ids.derived_id(*one)) == ids.derived_id(*one)
    assert ids.derived_id("a", "bc") == "60807f9c-2b2d-58d0-81f5-31bc4bcbbea5"


def test_an_id_knows_when_it_was_made() -> None:
    """To the millisecond."""
    before = datetime.now(UTC)
    made = ids.id_time(ids.new_id())

    assert abs(made - before) < timedelta(seconds=5)
    assert made.microsecond % 1000 == 0


@pytest.mark.parametrize("text", ["", "x", "123", "0" * 33, "018f-…"])
def test_what_is_no_id_is_told(text: str) -> None:
    """As bad input with its place."""
    with pytest.raises(BadInput) as caught:
        ids.parse_id(text, "path.id")
    assert caught.value.where == "path.id"


def test_an_id_has_one_spelling() -> None:
    """Capitals and braces are read, lower case with dashes is written."""
    made = ids.new_id()
    assert ids.parse_id(made.upper()) == ids.parse_id("{" + made + "}") == made


@given(st.booleans(), st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
def test_a_traceparent_survives(sampled: bool, trace: int, span: int) -> None:
    """Written and read again."""
    trace_id, span_id = f"{trace:032x}", f"{span:016x}"
    assert ids.is_trace_id(trace_id)
    assert ids.is_span_id(span_id)
    assert ids.parse_traceparent(ids.format_traceparent(trace_id, span_id, sampled=sampled)) == (
        trace_id,
        span_id,
        sampled,
    )


def test_new_trace_and_span_ids_are_valid() -> None:
    """And differ."""
    assert all(ids.is_trace_id(ids.new_trace_id()) and ids.is_span_id(ids.new_span_id()) for _ in range(1000))
    assert len({ids.new_span_id() for _ in range(1000)}) == 1000


T, S = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{T}-{S}-01", True),
        (f" 00-{T}-{S}-00 ", True),
        (f"cc-{T}-{S}-01-what-the-future-will-bring", True),
        (f"cc-{T}-{S}-01", True),
        (f"cc-{T}-{S}-01.x", False),
        (f"00-{T}-{S}-01-more", False),
        (f"ff-{T}-{S}-01", False),
        (f"00-{'0' * 32}-{S}-01", False),
        (f"00-{T}-{'0' * 16}-01", False),
        (f"00-{T.upper()}-{S}-01", False),
        (f"00-{T[1:]}-{S}-01", False),
        (f"00-{T}-{S}", False),
        ("", False),
    ],
)
def test_traceparents_of_the_standard(header: str, valid: bool) -> None:
    """W3C Trace Context: invalid ones are ignored, newer versions are read as far as known."""
    assert (ids.parse_traceparent(header) is not None) is valid


@given(st.text())
def test_any_header_is_a_traceparent_or_none(text: str) -> None:
    """Never an error: callers send what they want."""
    ids.parse_traceparent(text)


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_survives_microseconds_and_text(moment: datetime) -> None:
    """Exactly, whatever its zone."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return
    assert from_us(to_us(moment)) == utc
    assert parse_time(iso(moment)) == utc
    assert iso(moment).endswith("Z")
    assert len(iso(moment)) == 27


def test_a_moment_without_a_zone_is_not_stored() -> None:
    """It is asked for; in text, no zone means UTC."""
    with pytest.raises(BadInput, match="no zone"):
        to_us(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    assert parse_time("2026-01-01T00:00") == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30", "25:00", "9999-12-31T23:59-12:00", "0001-01-01T00:00+12:00", "1e9"]
)
def test_what_is_no_time_is_told(text: str) -> None:
    """Also at both ends of the calendar."""
    with pytest.raises(BadInput):
        parse_time(text)


@given(st.text())
def test_any_text_is_a_time_or_bad_input(text: str) -> None:
    """No other error."""
    with contextlib.suppress(BadInput):
        assert parse_time(text).tzinfo is UTC


def test_the_clocks_tell_utc() -> None:
    """The frozen one stands until it is moved."""
    clock = FrozenClock()
    start = clock.now()
    clock.advance(hours=1, seconds=-1)
    assert clock.now() - start == timedelta(seconds=3599)
    clock.move_to(start)
    assert clock.now() == start
    assert SystemClock().now().tzinfo is UTC
    assert to_us(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0


def test_a_process_and_its_fork_draw_different_ids() -> None:
    """Both go on from the same state, which must not give the same ids."""
    read, write = os.pipe()
    ids.new_trace_id()
    pid = os.fork()
    if pid == 0:
        os.write(write, ids.new_trace_id().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 32).decode() != ids.new_trace_id()
    os.close(read)
    os.close(write)
