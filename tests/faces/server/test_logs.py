"""What the processes say: one JSON object per line for machines, one line for people; always whole, always UTC."""

import logging
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import pytest

from gimbal.faces.server.logs import JsonFormatter


def row(message: str, *args: object, **more: object) -> dict[str, str]:
    record = logging.LogRecord("room", logging.WARNING, __file__, 1, message, args, None)
    vars(record).update(more)
    text = JsonFormatter("server").format(record)
    assert "\n" not in text
    return msgspec.json.decode(text)


def test_a_line_says_when_who_and_what():
    before = datetime.now(UTC)
    found = row("%d rows", 5)

    assert found | {"at": ""} == {
        "at": "", "level": "warning", "logger": "room", "process": "server", "message": "5 rows",
    }  # fmt: skip
    at = datetime.fromisoformat(found["at"])
    assert at.utcoffset().total_seconds() == 0
    assert abs((at - before).total_seconds()) < 60


def test_more_than_the_message_is_added_and_never_hides_it():
    found = row("said", trace_id="abc", level="mine", at="mine", rows=3)

    assert (found["trace_id"], found["rows"]) == ("abc", "3")
    assert (found["level"], found["at"] == "mine") == ("warning", False)


def test_a_line_break_in_what_somebody_sent_makes_no_second_line():
    assert row("path %s", 'a\n{"level": "info"}')["message"] == 'path a\n{"level": "info"}'


def test_half_a_character_is_written_somehow():
    assert row("file \udcff", name_="\ud800")["message"] == "file \\udcff"


def test_an_exception_is_in_the_object():
    try:
        int("why")
    except ValueError:
        found = row("failed", exc_info=sys.exc_info())

    assert "ValueError: invalid literal" in found["exception"]
    assert "Traceback" in found["exception"]


SCRIPT = """
import logging, time, os
os.environ["TZ"] = "Asia/Tokyo"; time.tzset()
from gimbal.faces.server.logs import set_up
from gimbal.kernel.settings import LogSettings
set_up(LogSettings(format={format!r}, level={level!r}), "worker")
logging.getLogger("room").info("an %s", "info")
logging.getLogger("httpx").info("every request")
logging.getLogger("httpx").warning("something odd")
print("to standard output")
"""


def said(**settings: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(**settings)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "to standard output\n"
    return done.stderr.splitlines()


def test_machines_get_objects_and_no_chatter():
    lines = [msgspec.json.decode(line) for line in said(format="json", level="info")]

    assert [line["message"] for line in lines] == ["an info", "something odd"]
    assert {line["process"] for line in lines} == {"worker"}


def test_people_get_lines_with_the_time_in_utc():
    """Wherever the machine stands, its log agrees with the console."""
    first, second = said(format="text", level="info")
    stamp, process, level, words = first.split(None, 3)

    assert (process, level, words) == ("worker", "INFO", "an info")
    assert second.endswith("something odd")
    now = datetime.now(UTC)
    hours = (now.hour - int(stamp[:2])) % 24
    assert hours in {0, 1}
    assert stamp.endswith("Z")


@pytest.mark.parametrize(("level", "count"), [("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_is_a_setting(level, count):
    assert len(said(format="text", level=level)) == count
