"""Prometheus reads /metrics as its own client does; counters grow by what happened, with all their digits."""

import math
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gimbal.faces.server.metrics import RequestMeter, render_samples, watch_services
from gimbal.kernel.context import NOBODY, Context, Services
from gimbal.kernel.counters import Counters, Sample

RUNS = "/api/v1/projects/default/runs"


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} stands there twice"
            found[key] = sample.value
    return found


def scrape(client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    reply = client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return values(reply.text)


def labelled(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_requests_are_counted_by_route_method_and_status(client):
    made = labelled("gimbal_http_requests_total", route="runs.create", method="POST", status="200")
    refused = labelled("gimbal_http_requests_total", route="runs.create", method="POST", status="400")
    timed = labelled("gimbal_http_request_duration_seconds_count", route="runs.create")
    before = scrape(client)
    client.post(RUNS, json={"name": "counted"})
    client.post(RUNS, json={"name": 5})
    client.post(RUNS, json={"name": 6})
    after = scrape(client)

    assert after[made] - before.get(made, 0) == 1
    assert after[refused] - before.get(refused, 0) == 2
    assert after[timed] - before.get(timed, 0) == 3


def test_paths_and_methods_of_callers_never_become_labels(client):
    """Else anybody could fill the memory of the server and of Prometheus."""
    for number in range(5):
        client.request("PROPFIND", f"/nowhere/{number}")
        client.get(f"{RUNS}/none-{number}")
    text = client.get("/metrics").text

    assert "none-" not in text
    assert "PROPFIND" not in text
    assert labelled("gimbal_http_requests_total", route="unmatched", method="other", status="404") in values(text)


def test_rows_that_were_committed_are_counted(client):
    rows = labelled("gimbal_writer_committed_rows_total")
    before = scrape(client)[rows]
    now = time.time_ns()
    spans = [
        {
            "traceId": f"{n:032x}",
            "spanId": f"{n:016x}",
            "name": "step",
            "kind": 1,
            "startTimeUnixNano": str(now),
            "endTimeUnixNano": str(now + n),
        }
        for n in range(1, 8)
    ]
    client.post("/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).raise_for_status()

    assert scrape(client)[rows] - before == 7


def test_durations_fall_into_buckets_that_add_up():
    meter = RequestMeter()
    for seconds in (0.001, 0.005, 0.006, 29.0, 31.0):
        meter.observe("a", "GET", 200, seconds)
    found = values(meter.render())
    bucket = lambda le: found[labelled("gimbal_http_request_duration_seconds_bucket", route="a", le=le)]

    assert [bucket(le) for le in ("0.005", "0.01", "10.0", "30.0", "+Inf")] == [2, 3, 3, 4, 5]
    assert found[labelled("gimbal_http_request_duration_seconds_count", route="a")] == 5
    assert math.isclose(found[labelled("gimbal_http_request_duration_seconds_sum", route="a")], 60.012)


@pytest.mark.parametrize("value", [0.0, 7.0, 1_234_567.0, 123_456_789_012.0, 0.1 + 0.2, 1e-9, math.inf, -2.5])
def test_a_value_keeps_all_its_digits(value):
    """A counter that is rounded to six digits stands still after a million."""
    text = render_samples([Sample(name="gimbal_x", value=value, help="X.")])

    assert values(text) == {labelled("gimbal_x"): value}


def test_odd_labels_and_help_come_back_as_they_were():
    odd = 'a "quoted" \\ back\nslash'
    text = render_samples([Sample(name="gimbal_x", value=1, help=odd, labels={"who": odd})])
    (family,) = text_string_to_metric_families(text)

    assert family.documentation == odd
    assert family.samples[0].labels == {"who": odd}


def test_a_room_counts_without_registration():
    services = Services()
    ctx = Context(services, NOBODY)
    ctx.count("gimbal_x_total", "Nobody looks.")  # where nothing is shown nothing is kept
    counters = Counters()
    services.register(Counters, counters)
    ctx.count("gimbal_x_total", "Things.", stage="settle")
    ctx.count("gimbal_x_total", "Things.", 2, stage="settle")
    ctx.count("gimbal_x_total", "Things.", stage="record")
    counters.watch(lambda: [Sample(name="gimbal_y", value=4, help="Y.")])

    assert values(render_samples(counters.samples())) == {
        labelled("gimbal_x_total", stage="settle"): 3,
        labelled("gimbal_x_total", stage="record"): 1,
        labelled("gimbal_y"): 4,
    }


def test_what_a_call_lost_at_its_end_is_on_the_metrics(client, served):
    """The gateway counts through the same door; the name is what people will alarm on."""
    lost = labelled("gimbal_gateway_lost_stages_total", stage="record")
    before = scrape(client).get(lost, 0)
    served.context().count("gimbal_gateway_lost_stages_total", "Ends of calls that failed.", stage="record")

    assert scrape(client)[lost] == before + 1


def test_every_process_shows_its_writer_and_its_events(served):
    services = Services()
    with pytest.raises(Exception, match="no Writer"):
        watch_services(services).samples()
    names = {sample.name for sample in served.services.get(Counters).samples()}

    assert {"gimbal_writer_lag_seconds", "gimbal_writer_failed_rows_total", "gimbal_event_failures_total"} <= names


def test_times_are_a_histogram_with_the_longest_beside_it():
    counters = Counters()
    assert counters.timing("gimbal_x_seconds").quantile(0.5) is None
    for seconds in (0.004, 0.02, 0.02, 0.02, 45.0):
        counters.time("gimbal_x_seconds", "How long.", seconds)

    text = render_samples(counters.samples())
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["gimbal_x_seconds"].type == "histogram"
    found = values(text)
    assert found[labelled("gimbal_x_seconds_bucket", le="0.025")] == 4
    assert found[labelled("gimbal_x_seconds_bucket", le="30.0")] == 4
    assert found[labelled("gimbal_x_seconds_bucket", le="+Inf")] == found[labelled("gimbal_x_seconds_count")] == 5
    assert found[labelled("gimbal_x_seconds_sum")] == pytest.approx(45.064)
    assert found[labelled("gimbal_x_max_seconds")] == 45
    assert 0.01 <= counters.timing("gimbal_x_seconds").quantile(0.5) <= 0.025
    assert counters.timing("gimbal_x_seconds").quantile(1.0) == 45
