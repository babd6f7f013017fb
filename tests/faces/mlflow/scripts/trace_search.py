"""Finding traces: filters over all that they have, orders, pages."""

import sys
import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import SpanType
from refusals import INVALID, refused

name = sys.argv[1]
made = mlflow.set_experiment(name)
client = MlflowClient()


def send(title, *, fails=False, waits=0.0, team=""):
    with mlflow.start_span(title, span_type=SpanType.CHAIN) as root:
        mlflow.update_current_trace(tags={"team": team} if team else {}, metadata={"shop.id": title[-1]})
        with mlflow.start_span("tool", span_type=SpanType.TOOL, attributes={"kind": f"k{title[-1]}"}) as tool:
            tool.set_outputs({"said": f"tomato {title[-1]}"})
        time.sleep(waits)
        root.set_inputs({"of": title})
        if fails:
            root.set_status("ERROR")
    return root.trace_id


with mlflow.start_run() as run:
    one = send("first 1", team="north")
two = send("second 2", fails=True, team="south")
three = send("third 3", waits=0.15)
mlflow.flush_trace_async_logging()
mlflow.log_feedback(trace_id=one, name="helpful", value=True)
mlflow.log_feedback(trace_id=two, name="helpful", value=False)
mlflow.log_feedback(trace_id=one, name="score", value=0.9)
mlflow.log_feedback(trace_id=two, name="score", value=0.2)
mlflow.log_feedback(trace_id=three, name="tone", value="rude")
mlflow.log_expectation(trace_id=three, name="wanted", value="polite")
mlflow.log_expectation(trace_id=three, name="score", value=5)
NAMES = {one: 1, two: 2, three: 3}
infos = {trace: client.get_trace(trace).info for trace in NAMES}
times = {trace: info.request_time for trace, info in infos.items()}
took = {number: infos[trace].execution_duration for trace, number in NAMES.items()}


def found(text, **more):
    rows = client.search_traces(locations=[made.experiment_id], filter_string=text, include_spans=False, **more)
    return [NAMES[row.info.trace_id] for row in rows]


CASES = {
    "": {1, 2, 3},
    "status = 'ERROR'": {2},
    "trace.status = 'OK'": {1, 3},
    "attributes.status != 'OK'": {2},
    "name = 'first 1'": {1},
    "trace.name LIKE 'th%'": {3},
    "attributes.name ILIKE '%SECOND%'": {2},
    "name IN ('first 1', 'third 3')": {1, 3},
    "tag.`mlflow.traceName` = 'second 2'": {2},
    f"request_id = '{two}'": {2},
    f"timestamp_ms > {times[one]}": {2, 3},
    f"timestamp <= {times[two]}": {1, 2},
    f"attributes.timestamp_ms = {times[three]}": {3},
    f"execution_time_ms >= {took[3]}": {number for number in took if took[number] >= took[3]},
    f"execution_time < {took[3]}": {number for number in took if took[number] < took[3]},
    f"end_time >= {times[three] + took[3]}": {3},
    "tag.team = 'north'": {1},
    "tags.team != 'north'": {2},
    "tags.`team` LIKE '%out%'": {2},
    "tag.team IS NULL": {3},
    "tag.team IS NOT NULL AND status = 'OK'": {1},
    "metadata.`shop.id` = '3'": {3},
    "request_metadata.`shop.id` != '3'": {1, 2},
    "metadata.none IS NULL": {1, 2, 3},
    f"run_id = '{run.info.run_id}'": {1},
    f"metadata.`mlflow.sourceRun` = '{run.info.run_id}'": {1},
    "span.name = 'tool'": {1, 2, 3},
    "span.type = 'TOOL' AND span.attributes.kind = 'k2'": {2},
    "span.type = 'CHAIN' AND span.attributes.kind = 'k2'": set(),
    "span.status = 'ERROR'": {2},
    "span.content LIKE '%tomato 3%'": {3},
    "trace.text ILIKE '%TOMATO 1%'": {1},
    "feedback.helpful = 'true'": {1},
    "feedback.helpful = 'false'": {2},
    "feedback.score > 0.5": {1},
    "feedback.score <= 0.2": {2},
    "feedback.score != 0.2": {1},
    "feedback.tone = 'rude'": {3},
    "feedback.score IS NULL": {3},
    "feedback.score IS NOT NULL AND status = 'ERROR'": {2},
    "expectation.wanted = 'polite'": {3},
    "expectation.score > 4.5": {3},
    "expectation.score = 5": {3},
    "expectation.score != 5": set(),
    "expectation.helpful IS NULL": {1, 2, 3},
}
for text, wanted in CASES.items():
    assert set(found(text)) == wanted, (text, found(text))

assert found("") == [3, 2, 1]
assert found("", order_by=["timestamp_ms ASC"]) == [1, 2, 3]
assert found("", order_by=["execution_time DESC"])[0] == max(took, key=took.get)
assert found("", order_by=["status ASC", "name DESC"]) == [2, 3, 1]
assert found("", order_by=["attributes.name DESC"]) == [3, 2, 1]
assert found("", run_id=run.info.run_id) == [1]
assert client.search_traces(locations=["999999"]) == []

# Pages, also while others come.
first = client.search_traces(locations=[made.experiment_id], max_results=2, include_spans=False)
assert [NAMES[row.info.trace_id] for row in first] == [3, 2]
later = send("later 4")
mlflow.flush_trace_async_logging()
rest = client.search_traces(locations=[made.experiment_id], max_results=2, page_token=first.token)
assert [NAMES[row.info.trace_id] for row in rest] == [1]
assert {span.name for span in rest[0].data.spans} == {"first 1", "tool"}
assert not rest.token

for text in (
    "no = 'a'",
    "status > 'a'",
    "status = 'OK' OR status = 'ERROR'",
    "tag.team = north",
    "span.nothing = 'a'",
    "feedback.tone LIKE 'r%'",
    "issue.id = 'a'",
    "prompt = 'a'",
    "(",
):
    said = refused(INVALID, found, text)
    assert "filter" in said or "searched" in said or "Invalid" in said, said
refused(INVALID, found, "", page_token="none")
refused(INVALID, found, "status = 'OK'", page_token=first.token)
refused(INVALID, found, "", order_by=["team DESC"])
refused(INVALID, found, "", max_results=501)
# By time: the first two of the experiment.
assert client.delete_traces(made.experiment_id, max_timestamp_millis=times[two], max_traces=10) == 2
assert {row.info.trace_id for row in client.search_traces(locations=[made.experiment_id])} == {three, later}
print("ok")
