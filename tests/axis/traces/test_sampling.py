"""Sampling by policy: who may set it, what it refuses, and head sampling by the bits of the trace."""

import json
import random
from decimal import Decimal

import httpx
import pytest
from tests.axis.traces import wire
from tests.axis.traces.sampled import activity, check_unbiased, send, traffic

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.sampling import (
    RANGE,
    SetSampling,
    check_sampling,
    kept,
    of_sender,
    randomness,
    threshold,
    weight,
)
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import AuditTrail

LOW, HIGH = "1" * 18 + "00000000000001", "1" * 18 + "ffffffffffffff"


@pytest.mark.parametrize(
    ("state", "least", "explicit"),
    [
        ("", 0, None),
        ("ot=th:8", RANGE // 2, None),
        ("ot=th:0", 0, None),
        ("ot=th:fd70a3d70a3d71", 0xFD70A3D70A3D71, None),
        ("vendor=a:b, ot=rv:0123456789abcd;th:c", RANGE // 4 * 3, 0x0123456789ABCD),
        ("ot=th:", 0, None),
        ("ot=th:123456789012345", 0, None),
        ("ot=th:-1", 0, None),
        ("ot=th:٣", 0, None),
        ("ot=rv:123", 0, None),
        ("other=th:8", 0, None),
        ("ot", 0, None),
        (",,=;:", 0, None),
    ],
)
def test_trace_states(state: str, least: int, explicit: int | None) -> None:
    """What the sender says is read by the specification; what is no threshold says nothing."""
    assert of_sender(state) == (least, explicit)


@pytest.mark.parametrize("rate", [1.0, 0.5, 0.25, 0.1, 1 / 3, 0.001, 1e-9])
def test_a_threshold_keeps_the_share_and_the_weight_is_its_inverse(rate: float) -> None:
    """Exactly enough that counts do not drift: to one part in a million even for the smallest share."""
    assert weight(threshold(rate)) == pytest.approx(1 / rate, rel=1e-6)
    assert kept(HIGH, "", threshold(rate)) is not None
    assert (kept(LOW, "", threshold(rate)) is None) == (rate < 1)


def test_of_two_shares_the_smaller_counts() -> None:
    """Ours and the sender's are thresholds on the same bits; one that its own bits belie says nothing."""
    half, quarter = threshold(0.5), threshold(0.25)
    assert kept(HIGH, "ot=th:c", half) == (4, None)
    assert kept(HIGH, "ot=th:8", quarter) == (4, None)
    assert kept(HIGH, "ot=th:c", 0) == (4, None)
    assert kept(LOW, "ot=th:c", 0) == (1, None)
    assert kept(LOW, "ot=th:c;rv:ffffffffffffff", half) == (4, RANGE - 1)
    assert kept(HIGH, "ot=rv:00000000000000", half) is None


async def test_by_default_everything_is_kept(policies: SamplingPolicies, here: Context, counters: Counters) -> None:
    """Nothing is left out or counted as such, and every span weighs one."""
    happened = traffic(200, seed=1)
    await send(here, happened)
    found = await activity(here)
    assert (found.traces, found.stored) == (200, 200)
    assert found.cost == sum(one.cost for one in happened)
    assert not [s for s in counters.samples() if "sampled" in s.name]
    assert {s.weight for s in (await here.get(Traces).get(here, happened[0].id)).spans} == {1.0}


async def test_collectors_agree_on_whole_traces(
    policies: SamplingPolicies, here: Context, catalog: Catalog, columns: Columns, counters: Counters
) -> None:
    """Spans of a trace that come by several requests to several servers are all kept or all left out, and counted."""
    await policies.set(here, SetSampling(head_rate=0.3))
    other = Context(here.services, here.principal, here.project)
    happened = traffic(600, seed=2)
    spans = [span for one in happened for span in one.spans()]
    random.Random(3).shuffle(spans)
    for first in range(0, len(spans), 100):
        # Another server has the policy from the catalog.
        servers = SamplingPolicies(catalog, here.get(Clock))
        other.services.register(SamplingPolicies, servers if first % 200 else policies)
        assert await ingest(other, wire.request(*spans[first : first + 100])) == []

    expected = {one.id: 1 + one.calls for one in happened if randomness(one.id) >= threshold(0.3)}
    found = await columns.query(
        "SELECT trace_id, uniqExact(span_id) AS spans, min(weight) AS least, max(weight) AS most FROM spans "
        "WHERE project = {p:String} GROUP BY trace_id",
        {"p": here.project},
    )
    assert {row["trace_id"]: row["spans"] for row in found} == expected
    assert [row["least"] for row in found] + [row["most"] for row in found] == pytest.approx(
        [1 / 0.3] * 2 * len(expected)
    )
    left_out = next(s for s in counters.samples() if s.name == "gimbal_ingest_spans_sampled_total")
    assert (left_out.labels, left_out.value) == ({"reason": "head"}, len(spans) - sum(expected.values()))


async def test_what_the_sender_left_out_is_counted_in(policies: SamplingPolicies, here: Context) -> None:
    """Without a policy of ours, a sender's own share makes its traces stand for others: no estimate is biased."""
    happened = traffic(20_000, seed=9)
    sent = [one for one in happened if randomness(one.id) >= RANGE // 4 * 3]
    spans = [span for one in sent for span in one.spans()]
    for span in spans:
        span.trace_state = "vendor=1,ot=th:c"
    for first in range(0, len(spans), 1000):
        await ingest(here, wire.request(*spans[first : first + 1000]))
    found = await activity(here)
    assert found.stored == len(sent)
    check_unbiased(found, happened, SetSampling(head_rate=0.25))


async def test_resent_and_mixed_weights_count_a_trace_once(policies: SamplingPolicies, here: Context) -> None:
    """A trace with spans of two weights counts as the likeliest of them: it is seen whenever that one is."""
    await ingest(here, wire.request(wire.span(HIGH, 1), wire.span(HIGH, 2, 1, trace_state="ot=th:c")))
    await ingest(here, wire.request(wire.span(HIGH, 1), wire.span(HIGH, 2, 1, trace_state="ot=th:c")))
    found = await activity(here)
    assert (found.traces, found.stored) == (1, 1)
    assert (await here.get(Traces).get(here, HIGH)).summary.weight == 1


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ('{"head_rate": 0}', "head_rate"),
        ('{"head_rate": 1.5}', "head_rate"),
        ('{"head_rate": -0.1}', "head_rate"),
        ('{"head_rate": NaN}', None),
        ('{"head_rate": 1e400}', None),
        ('{"head_rate": "many"}', "head_rate"),
        ('{"tail_rate": 0}', "tail_rate"),
        ('{"head_rate": 0.1, "tail_rate": 0.5}', "tail_rate"),
        ('{"slow_ms": 10}', "tail_rate"),
        ('{"tail_rate": 0.1, "slow_ms": -1}', "slow_ms"),
        ('{"tail_rate": 0.1, "costly_usd": "-0.01"}', "costly_usd"),
        ('{"tail_rate": 0.1, "costly_usd": "NaN"}', "costly_usd"),
        ('{"tail_rate": 0.1, "wait_s": 9}', "wait_s"),
        ('{"tail_rate": 0.1, "wait_s": 1000000}', "wait_s"),
        ('{"rate": 0.1}', "rate"),
    ],
)
async def test_a_policy_that_cannot_be_meant_is_refused(
    site: httpx.AsyncClient, here: Context, body: str, where: str
) -> None:
    """The answer names the field and what would do; the policy stays as it was."""
    address = f"/api/v1/projects/{here.project}/traces/sampling"
    reply = await site.put(address, content=body, headers={"content-type": "application/json"})
    assert reply.status_code in {400, 422}, reply.text
    error = reply.json()["error"]
    assert error["todo"]
    if where:
        assert where in error["where"]
    assert (await site.get(address)).json()["updated_at"] is None


def test_rates_that_json_cannot_say_are_refused(here: Context) -> None:
    """NaN and infinities come by other faces."""
    for rate in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(BadInput, match="share"):
            check_sampling(SetSampling(head_rate=rate))


async def test_a_policy_is_set_shown_audited_and_in_force(
    site: httpx.AsyncClient, here: Context, catalog: Catalog, counters: Counters
) -> None:
    """The operation answers with the whole policy, the audit says what was set, and the next request goes by it."""
    audit = AuditLog(catalog)
    here.services.register(AuditLog, audit)
    here.services.register(AuditTrail, audit)
    address = f"/api/v1/projects/{here.project}/traces/sampling"
    first = (await site.get(address)).json()
    assert (first["head_rate"], first["tail_rate"], first["updated_by"]) == (1.0, None, "")

    asked = {"head_rate": 0.5, "tail_rate": 0.1, "costly_usd": "0.25", "wait_s": 15}
    shown = (await site.put(address, json=asked)).json()
    assert shown.items() >= {**asked, "slow_ms": None, "updated_by": "local owner"}.items()
    assert shown["decided_until"] is not None
    assert (await site.get(address)).json() == shown

    (record,) = (await audit.page(str(here.project), action="sampling.set")).items
    assert record.details.items() >= asked.items()
    assert record.outcome == "done"

    body = json.dumps(wire.as_json(wire.request(wire.span(LOW, 1), wire.span(HIGH, 1))))
    reply = await site.post("/v1/traces", content=body, headers={"content-type": wire.JSON})
    assert (reply.status_code, reply.json()) == (200, {})
    assert (await here.get(Traces).get(here, HIGH)).spans[0].weight == 2
    assert (await site.get(f"/api/v1/projects/{here.project}/traces/{LOW}")).status_code == 404


async def test_the_page_of_traces_shows_and_sets_the_policy(
    site: httpx.AsyncClient, here: Context, catalog: Catalog
) -> None:
    """What the form says is in force; what it cannot mean is told on the page and changes nothing."""
    here.services.register(AuditTrail, AuditLog(catalog))
    page = f"/p/{here.project}/traces"
    assert "Every trace is kept." in (await site.get(page)).text
    form = {"head_rate": "0.5", "tail_rate": "0.125", "slow_ms": "", "costly_usd": "0.3", "wait_s": "12"}
    reply = await site.post(f"{page}/sampling", data=form, follow_redirects=True)
    assert "only a part of the traces is kept" in reply.text
    assert "12.5 % of all" in reply.text
    for wrong in ({"head_rate": "1.5"}, {"head_rate": "nan"}, {"slow_ms": "soon"}, {"costly_usd": "-1"}):
        reply = await site.post(f"{page}/sampling", data=form | wrong, follow_redirects=True)
        assert "12.5 % of all" in reply.text, wrong
        assert "is kept" not in reply.text, wrong

    body = wire.request(wire.span(HIGH, 1, name="kept"), wire.span(LOW, 1)).SerializeToString()
    await site.post("/v1/traces", content=body, headers={"content-type": wire.PROTOBUF})
    assert "stands for 2" in (await site.get(page)).text
    assert "stands for 2 traces" in (await site.get(f"{page}/{HIGH}")).text


async def test_sums_are_exact_until_something_is_left_out(policies: SamplingPolicies, here: Context) -> None:
    """Without sampling there is no error; with it, it is told from how many traces the sums come and how far off."""
    await ingest(here, wire.request(wire.chat(HIGH, 1)))
    found = await activity(here)
    assert (found.traces, found.stored, found.cost) == (1, 1, Decimal("0.0035"))
    assert (found.traces_error, found.cost_error) == (0, 0)
    await policies.set(here, SetSampling(head_rate=0.25))
    await ingest(here, wire.request(wire.chat("2" * 18 + HIGH[18:], 1)))
    found = await activity(here)
    assert (found.traces, found.stored, found.calls, found.cost) == (5, 2, 5, Decimal("0.0175"))
    # One trace of weight 4 says that its count has the variance 4 · 3.
    assert found.traces_error == pytest.approx(12**0.5, abs=1e-5)
    assert float(found.cost_error) == pytest.approx(0.0035 * 12**0.5, abs=1e-5)
