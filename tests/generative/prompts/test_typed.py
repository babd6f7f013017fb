"""A text that went through a form is what it was, but for what somebody changed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.prompts.sides import sides
from gimbal.generative.prompts.typed import notes_of, restored, shown


def sent(text: str) -> str:
    """Return what a browser sends of a form that shows the text."""
    return shown(text).replace("\n", "\r\n")


@given(st.text(alphabet="ab\n\r\0\ufeff\ufffd\t ", max_size=40))
def test_what_nobody_touched_comes_back_byte_for_byte(text: str) -> None:
    assert restored(sent(text), text) == text


@pytest.mark.parametrize(
    ("origin", "typed", "made"),
    [
        ("a\r\nb\r\n", "a\nnew\nb\n", "a\r\nnew\r\nb\r\n"),
        ("a\nb", "a\nb\nc", "a\nb\nc"),
        ("a\nb\n", "a\nb", "a\nb"),
        ("\ufeffa\n", "a\nb\n", "\ufeffa\nb\n"),
        ("a\r\nb\nc\r\n", "a\nx\nb\nc\n", "a\r\nx\r\nb\nc\r\n"),
        ("a\nb\0\nc\n", "a\nb\ufffd\nd\n", "a\nb\0\nd\n"),
        ("", "a\n\tb\n", "a\n\tb\n"),
        ("a\r\nb", "b\na", "b\r\na"),
    ],
)
def test_new_lines_end_as_the_others_do_and_the_rest_stays(origin: str, typed: str, made: str) -> None:
    assert restored(typed.replace("\n", "\r\n"), origin) == made


@given(st.text(alphabet="ab\n\r\0\ufeff", max_size=30), st.text(alphabet="ab\n", max_size=30))
def test_what_was_typed_is_what_is_shown_again(origin: str, typed: str) -> None:
    assert shown(restored(typed.replace("\n", "\r\n"), origin)) == typed


def test_a_long_text_of_mixed_line_ends_takes_no_time() -> None:
    origin = "a\n" * 100_000 + "b\r\n" + "c\n" * 100_000
    made = restored("x\n" + shown(origin), origin)

    assert made == "x\n" + origin


def test_texts_full_of_blank_lines_are_compared_in_no_time() -> None:
    """Each line is another and between them stand blanks: looking for equal stretches anew at each would take minutes."""
    before = "\r\n".join(line for n in range(1000) for line in (f"line {n}", ""))
    after = before.replace("line", "other").replace("\r\n", "\n")
    begun = time.process_time()
    found = sides(before, after)
    made = restored(after, before.replace("\r\n", "\n", 1))

    assert time.process_time() - begun < 10
    assert found is not None
    assert [(row.left, row.right) for row in found if row.mark == "changed"][:1] == [("line 0", "other 0")]
    assert shown(made) == after


def test_what_a_form_does_not_show_is_named() -> None:
    assert notes_of("\ufeffa\r\nb\n\0") == ["lines end with CRLF and LF", "a byte order mark", "U+0000"]
    assert notes_of("a\nb\n") == []


def test_two_texts_stand_beside_each_other_line_by_line() -> None:
    before = "\n".join(f"line {n}" for n in range(30))
    found = sides(before, before.replace("line 10", "other 10").replace("line 29", "line 29\nmore"))

    assert found is not None
    changed = [(row.before, row.left, row.after, row.right) for row in found if row.mark == "changed"]
    assert changed == [(11, "line 10", 11, "other 10"), (None, None, 31, "more")]
    assert [row.left for row in found if row.mark == "gap"] == ["6 equal lines", "11 equal lines"]
    assert sides("a\r\nb", "a\nb") == []
    assert sides("a\n" * 6000, "b") is None
