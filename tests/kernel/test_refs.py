"""References: what the grammar accepts comes back as it was written; anything else is told, never an accident."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import (
    AtAlias,
    AtDigest,
    AtVersion,
    Latest,
    Ref,
    ResolvedRef,
    check_alias,
    check_name,
    check_slug,
    parse_selector,
)  # fmt: skip

kinds = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}(/[a-z0-9][a-z0-9._-]{0,63}){0,7}", fullmatch=True)
aliases = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", fullmatch=True).filter(
    lambda a: a.lower() != "latest" and not (a[0] in "vV" and a[1:].isdigit())
)
moments = st.datetimes(timezones=st.just(UTC))
selectors = (
    st.just(Latest())
    | st.integers(1, 999_999_999).map(AtVersion)
    | st.from_regex(r"[0-9a-f]{8,64}", fullmatch=True).map(AtDigest)
    | st.builds(AtAlias, aliases, st.none() | moments)
)
refs = st.builds(Ref, kinds, names, selectors)


@given(refs)
def test_a_reference_survives_its_text(ref: Ref) -> None:
    """Parsing what was printed gives the same reference."""
    assert Ref.parse(str(ref)) == ref
    assert Ref.parse(f"  {ref}\n") == ref
    assert Ref.parse(str(ref).partition(":")[2], kind=ref.kind) == ref
    assert ref.asset == f"{ref.kind}:{ref.name}"


@given(selectors)
def test_a_selector_survives_its_text(selector: Latest) -> None:
    """Each of the five forms is told from the others."""
    assert parse_selector(str(selector)) == selector


@given(kinds, names, st.integers(1, 999_999_999))
def test_a_resolved_reference_reads_as_a_reference(kind: str, name: str, number: int) -> None:
    """What runs and traces record can be asked for."""
    resolved = ResolvedRef(kind=kind, name=name, number=number, digest="b3:" + "0" * 64)

    assert Ref.parse(str(resolved)) == Ref(kind, name, AtVersion(number))
    assert resolved.asset == f"{kind}:{name}"


@given(st.text(), st.sampled_from(["", "model"]))
@example("model:a@production~2026-05-03T12:00Z", "")
@example("a:b:c", "")
@example("model:a@@", "")
def test_any_text_is_a_reference_or_bad_input(text: str, kind: str) -> None:
    """No other error, and what is accepted is stable."""
    try:
        ref = Ref.parse(text, kind=kind)
    except BadInput:
        return
    else:
        assert Ref.parse(str(ref)) == ref


@given(refs, st.data())
def test_a_damaged_reference_is_no_accident(ref: Ref, data: st.DataObject) -> None:
    """One character changed, taken out or put in: another reference or bad input."""
    text = str(ref)
    at = data.draw(st.integers(0, len(text) - 1))
    with_ = data.draw(st.text(max_size=2))
    with contextlib.suppress(BadInput):
        Ref.parse(text[:at] + with_ + text[at + data.draw(st.integers(0, 1)) :])


@pytest.mark.parametrize(
    "text",
    [
        "", "flights/delay", ":a", "model:", "model:/a", "model:a/", "model:a//b", "Model:a", "model:A", "mödel:a",
        "model:a@", "model:a@v0", "model:a@v9999999999", "model:a@b3:12", "model:a@b3:XYZ12345",
        "model:a@latest~2026-05-03", "model:a@v7~2026-05-03", "model:a@production~", "model:a@production~yesterday",
        "model:a@production~2026-13-01", "model:a@production~0001-01-01T00:00+23:59", "model:a@~2026-05-03",
        "model:a@Latest", "model:a@V7", "model:a@-b", "model:a b", "model:a\n", "model:a\0", "model:" + "a" * 65, "model:a" + "/a" * 8,
        "model:a@b3:" + "0" * 65, "m" * 33 + ":a", "1model:a", "model:-a", "model:.a", "model:../a",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_told(text: str) -> None:
    """With what to write instead."""
    if text.strip() != text:
        Ref.parse(text)  # surrounding white space is no mistake
        return
    with pytest.raises(BadInput) as caught:
        Ref.parse(text)
    assert caught.value.where
    assert caught.value.todo


def test_time_of_an_alias_is_utc_whatever_zone_was_written() -> None:
    """A moment is one moment; without a zone it is UTC."""
    noon = datetime(2026, 5, 3, 12, tzinfo=UTC)
    east = noon.astimezone(timezone(timedelta(hours=5, minutes=30)))

    for text in ("2026-05-03T12:00Z", "2026-05-03T12:00", "2026-05-03 12:00:00.000000+00:00", east.isoformat()):
        assert parse_selector(f"production~{text}") == AtAlias("production", noon)
    assert parse_selector("production~2026-05-03") == AtAlias("production", noon - timedelta(hours=12))


@pytest.mark.parametrize(
    "alias", ["production", "a", "v", "v1a", "vx", "a.b-c_d", "latest2", "A", "1a", "7", "_x", "Champion-EU", "a" * 255]
)
def test_aliases_that_can_be_set(alias: str) -> None:
    """Words that mean nothing else; they select themselves."""
    assert check_alias(alias) == alias
    assert parse_selector(alias) == AtAlias(alias)


@pytest.mark.parametrize(
    "alias",
    [
        "latest",
        "v1",
        "v0",
        "v007",
        "v99999999999999",
        "V7",
        "Latest",
        "LATEST",
        "",
        "-a",
        ".a",
        "ä",
        "a b",
        "a" * 256,
        "a~b",
        "a/b",
        "a\n",
    ],
)
def test_words_that_cannot_be_aliases(alias: str) -> None:
    """They are selectors of another sort, or would read like one."""
    with pytest.raises(BadInput):
        check_alias(alias)


@given(st.text())
def test_names_and_slugs_are_checked_whole(text: str) -> None:
    """What passes is made of the allowed letters only, up to its very end."""
    for check, allowed in (
        (check_name, "abcdefghijklmnopqrstuvwxyz0123456789._-/"),
        (check_slug, "abcdefghijklmnopqrstuvwxyz0123456789-"),
    ):
        try:
            check(text)
        except BadInput:
            continue
        assert set(text) <= set(allowed)
