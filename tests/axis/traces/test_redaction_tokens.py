"""Tokens and digests: who can undo them, where, with which key; and what revealing asks for."""

import base64
import itertools
import random
from pathlib import Path

import httpx
import pytest
from tests.axis.traces import wire

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.ingest import take
from gimbal.axis.traces.redaction.model import Reveal, SetRedaction
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.redaction.revealing import Pace, reveal
from gimbal.axis.traces.redaction.tokens import Keys, ProjectKeys, keys_of
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy, ConfigurationError, NotFound, NotReady
from gimbal.kernel.keyring import read_keys
from gimbal.kernel.operations import AuditTrail, find, invoke
from gimbal.kernel.settings import RedactionSettings

EMAIL = "ada.lovelace@mail.example"
_rng = random.Random(5)
OLD, NEW = (f"k{n}:{base64.b64encode(_rng.randbytes(48)).decode()}" for n in (1, 2))


def keys(*lines: str, project: str = "p") -> ProjectKeys:
    found = Keys(read_keys("\n".join(lines), "test", "key")).of(project)
    assert found is not None
    return found


def test_a_token_is_the_same_for_the_same_value_and_undone_in_its_project_only() -> None:
    """Another project, another kind, another value: another token, which the first project cannot undo."""
    token = keys(OLD).token("email", EMAIL)

    assert token == keys(OLD).token("email", EMAIL)
    assert token.startswith("[email:tok_k1_")
    assert keys(OLD).undone(token) == EMAIL
    assert (
        len(
            {
                token,
                keys(OLD).token("phone", EMAIL),
                keys(OLD).token("email", "x"),
                keys(OLD, project="q").token("email", EMAIL),
            }
        )
        == 4
    )
    for other in (keys(OLD, project="q"), keys(NEW.replace("k2", "k1"))):
        with pytest.raises(ValueError, match="another project, or was altered"):
            other.undone(token)
    with pytest.raises(ValueError, match="altered"):
        keys(OLD).undone(token.replace("email", "phone"))


def test_an_altered_token_is_refused_wherever_it_was_altered() -> None:
    """Every character counts; the reason is the same for all of them."""
    made = keys(OLD)
    token = made.token("email", EMAIL)
    begin = token.index("_k1_") + 4
    told: set[str] = set()
    for place in range(begin, len(token) - 1):
        altered = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(ValueError, match="altered") as refused:
            made.undone(altered)
        told.add(str(refused.value))
    for cut in (token[:-2] + "]", token[:-1] + "A]", token[:-1] + "AAAA]"):
        with pytest.raises(ValueError, match="altered"):
            made.undone(cut)
    assert len(told) == 1


@pytest.mark.parametrize("value", ["", "x", "日本😀", "\ud800", "a\0b", "x" * 4000])
def test_any_value_comes_back(value: str) -> None:
    """Whatever its characters."""
    assert keys(OLD).undone(keys(OLD).token("own", value)) == value


def test_a_new_key_leaves_old_tokens_and_digests_as_they_are() -> None:
    """It makes the new tokens; who takes the old one away has erased what its tokens held."""
    before, after, gone = keys(OLD), keys(NEW, OLD), keys(NEW)
    token = before.token("email", EMAIL)

    assert after.token("email", EMAIL).startswith("[email:tok_k2_")
    assert after.undone(token) == EMAIL
    assert after.digest("email", EMAIL) == before.digest("email", EMAIL)
    with pytest.raises(ValueError, match="key is not configured"):
        gone.undone(token)
    assert gone.digest("email", EMAIL) != before.digest("email", EMAIL)


def test_digests_differ_by_value_kind_and_project() -> None:
    """And cannot be undone."""
    found = {
        keys(OLD, project=project).digest(kind, value)
        for project, kind, value in itertools.product("pq", ("user", "email"), ("a", "b"))
    }
    assert len(found) == 8
    with pytest.raises(ValueError, match="no token"):
        keys(OLD).undone(found.pop())


@pytest.mark.parametrize("text", ["", "k1", "k1:", "k1:AAAA", "K1:" + "A" * 64, f"{OLD}\n{OLD}", "k1:!!!!", "# none"])
def test_keys_that_are_none_are_refused_without_saying_them(text: str, tmp_path: Path) -> None:
    """The place is named, never what stands there."""
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        keys_of(RedactionSettings(key_file=str(path)))
    assert refused.value.where == "redaction.key_file"
    for line in text.split("\n"):
        secret = line.partition(":")[2]
        assert not secret or secret not in str(refused.value)


def test_keys_come_from_one_place_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a variable, not both; none is no keys."""
    monkeypatch.setenv("REDACTION_KEYS", f"{NEW},{OLD}")
    assert keys_of(RedactionSettings(key_env="REDACTION_KEYS")).ids == ["k2", "k1"]
    assert keys_of(RedactionSettings()).ids == []
    with pytest.raises(ConfigurationError, match="two places"):
        keys_of(RedactionSettings(key_env="REDACTION_KEYS", key_file="x"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        keys_of(RedactionSettings(key_file=str(tmp_path / "none")))


@pytest.fixture
def redactions(here: Context, traces: Traces, policies: object, catalog: Catalog, tmp_path: Path) -> Redactions:
    """Give an installation with a key, and with what revealing needs."""
    (tmp_path / "keys").write_text(OLD)
    found = Redactions(catalog, RedactionSettings(key_file=str(tmp_path / "keys")))
    here.services.register(Redactions, found)
    here.services.register(Pace, Pace())
    return found


async def stored(here: Context, redactions: Redactions) -> str:
    """Store a span with an address under a policy of tokens; return its trace."""
    await redactions.set(here, SetRedaction(detectors=["email"], action="token"))
    trace = wire.trace_id()
    await take(
        here, wire.request(wire.span(trace, 1, attributes={"a": f"to {EMAIL}"})).SerializeToString(), wire.PROTOBUF
    )
    return trace


async def test_a_span_is_revealed(here: Context, redactions: Redactions, traces: Traces) -> None:
    """By its ids or by its text; what stands there elsewhere is not."""
    trace = await stored(here, redactions)
    span = (await traces.get(here, trace)).spans[0]
    token = span.attributes["a"].removeprefix("to ")

    assert (await reveal(here, Reveal(reason="x", trace_id=trace, span_id=span.span_id))).values == {token: EMAIL}
    assert (await reveal(here, Reveal(reason="x", tokens=[f"he wrote {token} twice: {token}"]))).values == {
        token: EMAIL
    }
    with pytest.raises(NotFound):
        await reveal(here, Reveal(reason="x", trace_id=trace, span_id="ff" * 8))


async def test_tokens_of_others_are_refused_one_by_one(here: Context, redactions: Redactions) -> None:
    """Those that can be undone are, beside them."""
    project = str(here.project)
    good, other = keys(OLD, project=project).token("email", EMAIL), keys(OLD, project="q").token("email", EMAIL)
    lost = keys(NEW, project=project).token("email", EMAIL)

    found = await reveal(here, Reveal(reason="x", tokens=[good, other, lost]))

    assert found.values == {good: EMAIL}
    assert found.refused == {
        other: "it is of another project, or was altered",
        lost: "its key is not configured here, or was destroyed",
    }


async def test_revealing_asks_for_a_reason_tokens_and_a_key(
    here: Context, redactions: Redactions, catalog: Catalog
) -> None:
    """Each refusal says what is missing."""
    token = keys(OLD, project=str(here.project)).token("email", EMAIL)
    for body in (Reveal(reason=" ", tokens=[token]), Reveal(reason="x"), Reveal(reason="x", tokens=["nothing"])):
        with pytest.raises(BadInput):
            await reveal(here, body)
    many = [keys(OLD, project=str(here.project)).token("email", str(n)) for n in range(201)]
    with pytest.raises(BadInput, match="too many"):
        await reveal(here, Reveal(reason="x", tokens=many))
    here.services.register(Redactions, Redactions(catalog, RedactionSettings()))
    with pytest.raises(NotReady, match="no key"):
        await reveal(here, Reveal(reason="x", tokens=[token]))


async def test_a_caller_reveals_so_often_at_most(here: Context, redactions: Redactions) -> None:
    """Then it is told when to come again; others are not held up."""
    token = keys(OLD, project=str(here.project)).token("email", EMAIL)
    for _ in range(30):
        await reveal(here, Reveal(reason="x", tokens=[token]))
    with pytest.raises(Busy) as refused:
        await reveal(here, Reveal(reason="x", tokens=[token]))
    assert 0 < (refused.value.retry_after or 0) <= 60
    with pytest.raises(BadInput):
        await reveal(here.within("q"), Reveal(reason="x", tokens=["none"]))


async def test_revealing_is_audited_without_values(here: Context, redactions: Redactions, catalog: Catalog) -> None:
    """Who, why, and for how many."""
    await Projects(catalog, here.get(Clock)).ensure_default()
    audit = AuditLog(catalog)
    here.services.register(AuditTrail, audit)
    token = keys(OLD, project=str(here.project)).token("email", EMAIL)

    found = await invoke(
        find("redaction.reveal"), here, {"project": here.project, "body": Reveal(reason="complaint 7", tokens=[token])}
    )

    assert found.values == {token: EMAIL}
    entry = (await audit.page(str(here.project))).items[0]
    assert (entry.action, entry.details["reason"], entry.details["revealed"]) == ("redaction.reveal", "complaint 7", 1)
    assert EMAIL not in str(entry)
    assert token not in str(entry)


async def test_findings_are_masked_while_the_key_is_gone(
    here: Context, redactions: Redactions, catalog: Catalog, traces: Traces
) -> None:
    """Another process, or one started anew, without the key: nothing passes for that."""
    await redactions.set(here, SetRedaction(detectors=["email"], action="token", users="hash"))
    here.services.register(Redactions, Redactions(catalog, RedactionSettings(key_file="/nowhere")))
    trace = wire.trace_id()

    sent = wire.request(wire.span(trace, 1, attributes={"a": f"to {EMAIL}", "user.id": "ada"}))
    await take(here, sent.SerializeToString(), wire.PROTOBUF)

    span = (await traces.get(here, trace)).spans[0]
    assert (span.attributes["a"], span.user_id) == ("to [EMAIL]", "[USER]")


async def test_the_page_shows_the_policy_and_tries_it(site: httpx.AsyncClient, here: Context, catalog: Catalog) -> None:
    """What is tried stands in the answer and nowhere else; a policy that cannot be meant is told."""
    here.services.register(AuditTrail, AuditLog(catalog))
    home = f"/p/{here.project}/redaction"
    assert "Nothing is taken out" in (await site.get(home)).text
    own = {"origin": str(site.base_url).rstrip("/")}

    done = await site.post(f"{home}/recommended", data={"ok": "1"}, headers=own)
    assert done.status_code == 303
    page = (await site.get(home)).text
    assert "contact" in page
    tried = await site.post(f"{home}/try", data={"text": f"mail <b>{EMAIL}</b>"}, headers=own)
    assert "mail &lt;b&gt;[EMAIL]&lt;/b&gt;" in tried.text
    bad = await site.post(home, data={"detectors": "contact", "action": "token"}, headers=own, follow_redirects=True)
    assert "needs a key" in bad.text
    form = {
        "detectors": ["contact", "payment"],
        "patterns": r"order = \bA-\d+",
        "actions": "order = drop",
        "allow": "*@x.example",
    }
    done = await site.post(home, data=form, headers=own)
    shown = (await site.get(f"/api/v1/projects/{here.project}/redaction")).json()
    assert shown["patterns"] == [{"kind": "order", "pattern": r"\bA-\d+"}]
    assert (shown["actions"], shown["allow"], shown["detectors"]) == (
        {"order": "drop"},
        ["*@x.example"],
        ["contact", "payment"],
    )
    await site.post(home, data={"action": "mask"}, headers=own)
    assert not (await site.get(f"/api/v1/projects/{here.project}/redaction")).json()["detectors"]
