"""How values are written for a person."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gimbal.engines.console import filters
from gimbal.kernel.clock import to_us
from gimbal.testing.clock import FrozenClock

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (0.123456, "0.1235"),
        (0.00098765, "0.001"),
        (12.3456, "12.35"),
        (1234.5678, "1,235"),
        (-0.25, "−0.25"),
        (0.00001234, "1.234e−05"),
        (float("nan"), "not a number"),
        (float("-inf"), "−∞"),
    ],
)
def test_number_keeps_four_digits_and_says_what_is_missing(value, text):
    assert filters.number(value) == text


def test_unknown_money_is_never_zero_dollars():
    assert filters.money(None) == "unknown"
    assert filters.money(Decimal(0)) == "$0"
    assert filters.money(Decimal("0.0000825")) == "$0.00008250"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0.00042, "420 µs"),
        (0.0123, "12.3 ms"),
        (59.94, "59.9 s"),
        (312, "5 min 12 s"),
        (7380, "2 h 03 min"),
        (4 * 86400 + 7200, "4 d 2 h"),
    ],
)
def test_duration_takes_seconds(seconds, text):
    assert filters.duration(seconds) == text


def test_interval_is_shown_with_its_value_or_said_to_be_missing():
    assert filters.interval((0.7132, 0.7051, 0.7214)) == "0.713 [0.705, 0.721]"
    assert filters.interval((0.7132, None, None)) == "0.713 no interval"
    assert filters.interval(None) == "—"


def test_ago_reads_datetimes_and_microseconds_alike():
    ago = filters.make_ago(FrozenClock(NOW))
    moment = NOW - timedelta(minutes=14)
    assert ">14 min ago<" in ago(moment)
    assert ago(moment) == ago(to_us(moment))
    assert ">in 2 d<" in ago(NOW + timedelta(days=2))
    assert ">now<" in ago(NOW)
    assert 'datetime="2026-05-03T11:46:00+00:00"' in ago(moment)


def test_sizes_counts_shares_and_days():
    assert filters.size(1023) == "1023 B"
    assert filters.size(1_834_022) == "1.75 MiB"
    assert filters.compact(9_999) == "9,999"
    assert filters.compact(12_345) == "12.3 k"
    assert filters.compact(4_100_000) == "4.1 M"
    assert filters.percent(0.0123) == "1.2 %"
    assert filters.day(NOW) == "2026-05-03"


def test_short_id_keeps_the_part_that_tells_ids_apart():
    """Two UUIDv7 of one moment begin alike; a digest begins differently."""
    assert filters.short_id("0196b8a2-7c11-7c3e-9d10-5f2ac1d0e9b1") == "c1d0e9b1"
    assert filters.short_id("b3:9f2c77aa01d4e88b") == "b3:9f2c77aa"
    assert filters.short_id("v7") == "v7"
    assert filters.short_id(None) == "—"


def test_json_is_indented_and_text_that_is_none_stays():
    assert filters.pretty_json({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
    assert filters.pretty_json('{"a":1}') == '{\n  "a": 1\n}'
    assert filters.pretty_json("not json {") == "not json {"


def test_excerpt_flattens_and_cuts():
    assert filters.excerpt("one\n  two", 40) == "one two"
    assert filters.excerpt("abcdefgh", 5) == "abcd…"


def test_excerpt_ends_at_a_word_where_one_is_near():
    text = "All rules hold. The loss lies wholly on the good side of the threshold, and so does the rest"
    assert filters.excerpt(text, 75) == "All rules hold. The loss lies wholly on the good side of the threshold…"
    assert filters.excerpt("x" * 80, 60) == "x" * 59 + "…"
    assert len(filters.excerpt(text, 60)) <= 60


def test_codes_are_set_apart_and_everything_is_escaped():
    assert filters.codes("empty means `a < b`, <b>") == "empty means <code>a &lt; b</code>, &lt;b&gt;"
    assert filters.codes("a lone ` stays <i>") == "a lone ` stays &lt;i&gt;"
