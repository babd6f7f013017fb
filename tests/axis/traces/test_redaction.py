"""The policy and what it does to values: shapes, scripts, disguises, and that nothing is found twice."""

import asyncio
import base64
import copy
import json
import random
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.axis.traces import wire
from tests.axis.traces.test_dialect_recorded import NAMES, raw_spans
from tests.engines.text import numbers

from gimbal.axis.traces.dialects import read
from gimbal.axis.traces.ingest import take
from gimbal.axis.traces.redaction.model import CustomPattern, SetRedaction
from gimbal.axis.traces.redaction.policies import Redactions, redactor_of
from gimbal.axis.traces.redaction.redactor import Redactor
from gimbal.axis.traces.redaction.rules import RECOMMENDED
from gimbal.axis.traces.redaction.tokens import Keys
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.status import code_of
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.text.registry import FAMILIES
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import BadInput
from gimbal.kernel.settings import RedactionSettings

EMAIL, CARD, KEY = "ada.lovelace@mail.example", "4111111111111111", "sk-proj-Ab3dE5gH7jK9mN1pQ3rS"
ALL = SetRedaction(detectors=list(FAMILIES))
KEYS = Keys({"k1": bytes(48)}).of("p")
CTX = Context(Services(), Principal(kind="owner", id="o", name="o"), "p")


def redacted(value: Any, policy: SetRedaction = ALL) -> Any:
    """Return one value as it would be stored."""
    found = asyncio.run(Redactor(policy, KEYS).values(CTX, {"value": value}, "attributes"))
    return found["value"]


@pytest.fixture
async def redactions(traces: Traces, policies: object, here: Context) -> Redactions:
    """Give the policies of an installation that has the test's project."""
    return here.get(Redactions)


async def test_by_default_nothing_is_taken_out(redactions: Redactions, here: Context) -> None:
    """A project without a policy has no redactor at all, and one that was switched off neither."""
    assert await redactor_of(here) is None
    assert not (await redactions.get(here)).is_on

    await redactions.set(here, RECOMMENDED)
    assert await redactor_of(here) is not None
    await redactions.set(here, SetRedaction())
    assert await redactor_of(here) is None


async def test_every_process_follows_within_a_second(redactions: Redactions, here: Context, catalog: Catalog) -> None:
    """One that knew another policy a moment ago does not ask the catalog each time, and is not behind for long."""
    other, project = Redactions(catalog, RedactionSettings()), str(here.project)
    assert await other.redactor(project) is None
    await redactions.set(here, RECOMMENDED)
    async with asyncio.timeout(1.5):
        while await other.redactor(project) is None:  # noqa: ASYNC110 - a second's clock has no event
            await asyncio.sleep(0)
    first = await other.redactor(project)
    await redactions.set(here, SetRedaction(detectors=["card"]))
    async with asyncio.timeout(1.5):
        while await other.redactor(project) is first:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("policy", "where", "told"),
    [
        (SetRedaction(detectors=["emails"]), "detectors", "no detector"),
        (SetRedaction(detectors=["email"], actions={"card2": "mask"}), "actions", "no detector"),
        (SetRedaction(detectors=["email"], action="token"), "action", "key"),
        (SetRedaction(detectors=["email"], actions={"email": "hash"}), "action", "key"),
        (SetRedaction(users="hash"), "action", "key"),
        (SetRedaction(patterns=[CustomPattern(kind="email", pattern="x")]), "patterns", "called"),
        (SetRedaction(patterns=[CustomPattern(kind="a", pattern="x")] * 2), "patterns", "called"),
        (SetRedaction(patterns=[CustomPattern(kind="user", pattern="x")]), "patterns", "called"),
        (SetRedaction(patterns=[CustomPattern(kind="own", pattern=r"(\w+) \1")]), "pattern", "RE2 refuses"),
        (SetRedaction(patterns=[CustomPattern(kind="own", pattern=r"(?<=a)b")]), "pattern", "RE2 refuses"),
        (SetRedaction(patterns=[CustomPattern(kind="own", pattern=r"\pL{1,100}")]), "pattern", "too large"),
        (SetRedaction(patterns=[CustomPattern(kind="own", pattern=r"[a-c].{900}x\d")]), "pattern", "too slow"),
        (SetRedaction(patterns=[CustomPattern(kind="own", pattern="x*")]), "pattern", "empty"),
        (SetRedaction(patterns=[CustomPattern(kind=f"k{n}", pattern="x") for n in range(51)]), "patterns", "too many"),
        (SetRedaction(detectors=["email"], allow=["*"]), "allow", "everything"),
        (SetRedaction(detectors=["email"], allow_keys=[""]), "allow_keys", "short"),
    ],
)
async def test_a_policy_that_cannot_be_carried_out_is_refused(
    redactions: Redactions, here: Context, policy: SetRedaction, where: str, told: str
) -> None:
    """With what is wrong and what to do; the one before stays."""
    await redactions.set(here, RECOMMENDED)
    with pytest.raises(BadInput, match=told) as refused:
        await redactions.set(here, policy)
    assert refused.value.where == where
    assert refused.value.todo
    assert code_of(refused.value) == 3
    assert (await redactions.get(here)).detectors == RECOMMENDED.detectors


def test_every_shape_of_a_value_is_looked_into() -> None:
    """Texts, numbers, names of fields, JSON in texts in JSON, base64 in texts; each stays what it was around it."""
    inner = json.dumps({"er": [f"to {EMAIL}", 7]})
    value = {
        "text": f"I am {EMAIL}.",
        "json": json.dumps({"m": [{"content": f"card {CARD}\n", "n": int(CARD), "inner": inner}]}),
        "escaped": '{"a": "ada\\u0040mail.example"}',
        "number": int(CARD),
        "real": float(CARD),
        EMAIL: {"deep": [[EMAIL]]},
        "bytes": base64.b64encode(f"from {EMAIL}".encode()).decode(),
        "data": f"see data:text/plain;base64,{base64.b64encode(EMAIL.encode()).decode()} there",
        "password": "hunter2A9xyz",
        "phone": "4155552671",
        "parts": [{"name": "api_key", "value": "aB3dE5gH7jK9mN1pQ3"}],
    }

    found = redacted(value)

    assert found["text"] == "I am [EMAIL]."
    read_again = json.loads(found["json"])["m"][0]
    assert read_again == {"content": "card [CARD]\n", "n": "[CARD]", "inner": '{"er":["to [EMAIL]",7]}'}
    assert json.loads(found["escaped"]) == {"a": "[EMAIL]"}
    assert (found["number"], found["real"]) == ("[CARD]", "[CARD]")
    assert found["[EMAIL]"] == {"deep": [["[EMAIL]"]]}
    assert base64.b64decode(found["bytes"]) == b"from [EMAIL]"
    assert base64.b64decode(found["data"].split(",")[1].split(" ")[0]) == b"[EMAIL]"
    assert (found["password"], found["phone"], found["parts"][0]["value"]) == ("[SECRET]", "[PHONE]", "[SECRET]")
    assert list(found) == [("[EMAIL]" if key == EMAIL else key) for key in value]


def test_two_names_of_fields_that_become_one_both_stay() -> None:
    """No value is lost for its name."""
    assert redacted({"a@x.example": 1, "b@x.example": 2}) == {"[EMAIL]": 1, "[EMAIL] 2": 2}


PLAIN = st.text(max_size=40)
LEAVES = PLAIN | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans()
PERSONAL = st.sampled_from([EMAIL, CARD, KEY, f"{EMAIL} {CARD}", int(CARD), json.dumps({"x": EMAIL}), f"a{KEY}"])
VALUES = st.recursive(
    LEAVES | PERSONAL,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(PLAIN | st.just(EMAIL), inner, max_size=4) | inner.map(json.dumps)
    ),
    max_leaves=12,
)


@example('{"ada.lovelace@mail.example": "\\"0@0.AA\\""}', "mask")
@given(VALUES, st.sampled_from(["mask", "hash", "token", "drop"]))
@settings(max_examples=300)
def test_what_was_found_is_gone_and_found_no_more(value: Any, action: Any) -> None:
    """Whatever holds it, in whatever depth; and redacting twice is redacting once."""
    policy = SetRedaction(detectors=list(FAMILIES), action=action)

    once = redacted(copy.deepcopy(value), policy)

    whole = json.dumps(once)
    # Where it is a part of a longer word, as in `aKEY`, or of a float, it is none.
    assert EMAIL not in whole
    assert redacted(copy.deepcopy(once), policy) == once


@given(st.text(max_size=30), st.integers(0, 10_000), st.text(max_size=30))
@settings(max_examples=300)
def test_no_finding_is_left_in_a_text(before: str, seed: int, after: str) -> None:
    """Numbers of every kind among any characters: what the scanner finds, it does not find in what is stored."""
    rng = random.Random(seed)
    value = rng.choice([numbers.card, numbers.iban, numbers.us_ssn, numbers.uk_nino, numbers.uk_nhs])(rng)
    text = f"{before} {value} {after}"
    policy = SetRedaction(detectors=list(FAMILIES), action=rng.choice(["mask", "token", "hash"]))

    once = redacted(text, policy)

    assert asyncio.run(Redactor(policy, KEYS).tried(once)).found == []
    assert redacted(once, policy) == once


GREETINGS = (
    "My address is {}.", "Meine Adresse ist {}.", "Mon adresse est {}.", "Mi dirección es {}.", "Il mio indirizzo è {}.",
    "Moja adresa je {}.", "Мой адрес {}.", "Моята поща е {}.", "Η διεύθυνσή μου είναι {}.", "Minun osoitteeni on {}.",  # noqa: RUF001
    "Az én címem {}.", "Mój adres to {}.", "Adresim {}.", "عنواني هو {}.", "הכתובת שלי היא {}.", "آدرس من {} است.",
    "मेरा पता {} है।", "আমার ঠিকানা {}।", "எனது முகவரி {}.", "నా చిరునామా {}.", "ನನ್ನ ವಿಳಾಸ {}.", "എന്റെ വിലാസം {}.",
    "ที่อยู่ของฉันคือ{}ครับ", "ທີ່ຢູ່ຂອງຂ້ອຍແມ່ນ {}", "အီးမေးလ် {}", "អ៊ីមែលគឺ {}", "我的邮箱是{}谢谢", "私のアドレスは{}です。",
    "제 주소는 {}입니다.", "Địa chỉ của tôi là {}.", "Alamat saya {}.", "Anwani yangu ni {}.", "Adireesi mi ni {}.",
    "ჩემი მისამართია {}.", "Իմ հասցեն {} է։", "አድራሻዬ {} ነው።", "Менің мекенжайым {}.", "Миний хаяг {}.", "Хаяги ман {}.",  # noqa: RUF001
    "ඔගේ ලිපිනය {}", "Min adress är {}.", "Adresa mea este {}.", "Mano adresas {}.", "Mana adrese ir {}.",
    "Netfangið mitt er {}.", "Is é mo sheoladh {}.", "Fy nghyfeiriad yw {}.", "Nire helbidea {} da.", "😀{}😀", "«{}»", "„{}“",
)  # fmt: skip
DISGUISES = (
    str,
    lambda text: text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),
    "\u200b".join,
    lambda text: text.replace("m", "m\u00ad"),
)


@pytest.mark.parametrize("greeting", GREETINGS)
def test_it_is_found_among_words_of_any_script(greeting: str) -> None:
    """An address and a card, also in full width, with characters nobody sees, and in the script's own digits."""
    for disguise in DISGUISES:
        for value, kind in ((EMAIL, "[EMAIL]"), ("4111 1111 1111 1111", "[CARD]")):
            said = redacted(greeting.format(f" {disguise(value)} "))
            assert said.replace(" ", "") == greeting.format(kind).replace(" ", ""), disguise(value)


@pytest.mark.parametrize("zero", [0x660, 0x6F0, 0x966, 0x9E6, 0xBE6, 0xE50, 0xFF10, 0x1D7CE])
def test_digits_of_every_script_are_digits(zero: int) -> None:
    """A card stays a card."""
    written = "".join(chr(zero + int(digit)) for digit in CARD)
    assert redacted(f"card {written} ok") == "card [CARD] ok"


@pytest.mark.parametrize("name", NAMES)
async def test_recorded_spans_say_the_same(name: str) -> None:
    """Nothing personal is in them: ids, models, tokens, times and messages of every instrumentation stay as they are."""
    redactor = Redactor(RECOMMENDED, None)
    for raw in raw_spans(name):
        before = copy.deepcopy(raw)
        await redactor.span(CTX, raw)
        assert raw == before


@pytest.mark.parametrize("name", NAMES)
async def test_recorded_spans_with_a_person_in_them_are_read_as_before(name: str) -> None:
    """The person is gone from all that a dialect reads; whatever else it reads is the same."""
    redactor = Redactor(RECOMMENDED, None)
    for raw in raw_spans(name):
        document = json.dumps([raw.attributes, raw.events]).replace("rings", EMAIL)
        raw.attributes, raw.events = json.loads(document)
        expected = json.loads(document.replace(EMAIL, "[EMAIL]"))
        await redactor.span(CTX, raw)
        assert EMAIL not in json.dumps([raw.attributes, raw.events])
        seen = read(raw)
        raw.attributes, raw.events = expected
        told = read(raw)
        assert seen == told


def test_ids_and_numbers_of_traces_are_not_taken_for_people() -> None:
    """Of ten thousand ids, times, sums and lines of code hardly one; a few of a hundred thousand digits pass any check."""
    rng = random.Random(4)
    lines: list[Any] = []
    for n in range(2000):
        at = 1_770_000_000 + rng.randrange(10**7)
        lines += [
            {
                "trace_id": f"{rng.getrandbits(128):032x}",
                "span_id": f"{rng.getrandbits(64):016x}",
                "dd.trace_id": rng.getrandbits(63),
            },
            {
                "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                "response": f"chatcmpl-{rng.getrandbits(160):040x}",
            },
            {
                "at": at,
                "ms": at * 1000,
                "ns": at * 10**9,
                "cost": rng.random(),
                "vector": [rng.gauss(0, 1) for _ in range(4)],
            },
            f"def step_{n}(x: int = {rng.randrange(10**9)}) -> float:  # 3.11.{n} gpt-4o-2024-08-06 @app.route('/v1/{n}')",
            f"2026-11-21T13:{n % 60:02d}:{n % 59:02d}.{rng.randrange(10**6):06d}Z INFO took {rng.random() * 1e3:.3f} ms, {n} rows",
        ]
    policy = SetRedaction(detectors=[one for one in FAMILIES if one != "network"])

    found = redacted(lines, policy)

    changed = [(a, b) for a, b in zip(lines, found, strict=True) if a != b]
    assert len(changed) <= 3, changed[:5]


def test_what_may_stay_stays() -> None:
    """By value, in any case, by `*`, and by the name of a field."""
    policy = SetRedaction(
        detectors=["contact"], allow=["support@ours.example", "*@team.example"], allow_keys=["build.*"]
    )

    text = redacted(f"SUPPORT@ours.example, x@team.example, {EMAIL}, x@team.example.org", policy)

    assert text == "SUPPORT@ours.example, x@team.example, [EMAIL], [EMAIL]"
    assert redacted({"build.by": EMAIL, "by": EMAIL}, policy) == {"build.by": EMAIL, "by": "[EMAIL]"}


def test_a_dropped_finding_takes_its_text_along_and_no_other() -> None:
    """In JSON the one text in it."""
    policy = SetRedaction(detectors=["email", "card"], actions={"email": "drop"})

    found = redacted(json.dumps({"a": f"I live there: {EMAIL}", "b": f"pays with {CARD}"}), policy)

    assert json.loads(found) == {"a": "[email:dropped]", "b": "pays with [CARD]"}


def test_custom_patterns_see_a_value_by_itself() -> None:
    """`^` is where the value begins, not its field."""
    policy = SetRedaction(patterns=[CustomPattern(kind="order", pattern=r"^\d{6}$")])

    assert redacted({"n": "123456", "t": "no 123456"}, policy) == {"n": "[ORDER]", "t": "no 123456"}


async def test_a_text_for_which_there_is_no_time_is_replaced_as_a_whole(counters: Counters) -> None:
    """A pattern that reads on after each match uses up the time of the span; the rest is not let through unread."""
    policy = SetRedaction(patterns=[CustomPattern(kind="own", pattern="a(.*b)?")])
    services = Services()
    services.register(Counters, counters)
    ctx = Context(services, CTX.principal, "p")

    found = await Redactor(policy, None).values(ctx, {str(n): "a " * 20_000 + "end" for n in range(12)}, "attributes")

    assert found["11"] == "[redaction:timeout]"
    assert not [text for text in found.values() if "end" in text]
    counted = {s.labels["detector"]: s.value for s in counters.samples() if s.name == "gimbal_redactions_total"}
    assert counted["timeout"] >= 1
    assert set(counted) == {"custom", "timeout"}


def test_what_is_nested_too_deep_to_be_walked_is_replaced_as_a_whole() -> None:
    """Fails closed."""
    deep: Any = EMAIL
    for _ in range(5000):
        deep = [deep]

    assert redacted({"a": deep}) == {"a": "[redaction:failed]"}
    assert redacted(deep) == "[redaction:failed]"


async def test_fields_that_are_not_asked_for_stay(redactions: Redactions, traces: Traces, here: Context) -> None:
    """A policy for names leaves attributes, and says so on the span."""
    await redactions.set(here, SetRedaction(detectors=["email"], fields=["name"]))
    trace = wire.trace_id()
    sent = wire.request(wire.span(trace, 1, name=f"to {EMAIL}", attributes={"a": EMAIL, "gimbal.redaction": "theirs"}))

    await take(here, sent.SerializeToString(), wire.PROTOBUF)

    span = (await traces.get(here, trace)).spans[0]
    assert span.name == "to [EMAIL]"
    assert span.attributes == {"a": EMAIL, "gimbal.redaction.sent": "theirs", "gimbal.redaction": {"email": 1}}


async def test_keys_stand_in_a_file_that_no_error_repeats(tmp_path: Path, catalog: Catalog, here: Context) -> None:
    """Neither the policy nor what is wrong with the file says a key."""
    secret = base64.b64encode(random.Random(1).randbytes(20)).decode()
    path = tmp_path / "keys"
    path.write_text(f"# keys\nk1:{secret}\n")

    shown = await Redactions(catalog, RedactionSettings(key_file=str(path))).get(here)

    assert "Key 1" in shown.problem
    assert secret not in shown.problem
    assert shown.keys == []
