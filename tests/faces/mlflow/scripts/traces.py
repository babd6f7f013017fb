"""Traces as applications send them: decorated functions, spans by hand, tags, metadata, links to runs and prompts."""

import contextlib
import json
import sys
import uuid

import mlflow
from mlflow import MlflowClient
from mlflow.entities import SpanType
from refusals import INVALID, MISSING, refused

name = sys.argv[1]
experiment = mlflow.set_experiment(name)
client = MlflowClient()


@mlflow.trace(span_type=SpanType.RETRIEVER, attributes={"top": 2})
def look_up(question):
    return [{"page_content": f"about {question}", "metadata": {"doc_uri": "a.txt"}}]


@mlflow.trace(name="answer", span_type=SpanType.CHAIN)
def answer(question, user):
    mlflow.update_current_trace(
        tags={"team": "search", "release": "7"},
        metadata={"mlflow.trace.user": user, "mlflow.trace.session": "s-1", "shop": "north"},
        client_request_id=f"req-{user}",
    )
    found = look_up(question)
    with mlflow.start_span(name="model", span_type=SpanType.CHAT_MODEL) as span:
        span.set_inputs({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]})
        span.set_attribute("mlflow.llm.model", "gpt-4o-mini")
        span.set_attribute("mlflow.llm.provider", "openai")
        span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15})
        span.set_outputs({"choices": [{"message": {"role": "assistant", "content": "Tuesday."}}]})
        span.add_event(mlflow.entities.SpanEvent("streamed", attributes={"chunks": 3}))
    return {"text": "Tuesday.", "sources": len(found)}


with mlflow.start_run(run_name="evening") as run:
    assert answer("When?", "ann")["sources"] == 1
mlflow.flush_trace_async_logging()
trace_id = mlflow.get_last_active_trace_id()
assert trace_id.startswith("tr-"), trace_id

# What was flushed is read at once, and is what was sent.
trace = mlflow.get_trace(trace_id)
info = trace.info
assert info.trace_id == trace_id
assert info.experiment_id == experiment.experiment_id
assert info.state == "OK", info.state
assert info.client_request_id == "req-ann"
assert info.tags["team"] == "search", info.tags
assert info.tags["mlflow.traceName"] == "answer"
assert info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
assert info.trace_metadata["mlflow.sourceRun"] == run.info.run_id
assert info.trace_metadata["mlflow.trace.session"] == "s-1"
assert info.trace_metadata["shop"] == "north"
assert info.token_usage["total_tokens"] == 15, info.token_usage
assert json.loads(info.request_preview) == {"question": "When?", "user": "ann"}, info.request_preview
assert json.loads(info.response_preview) == {"text": "Tuesday.", "sources": 1}
spans = {span.name: span for span in trace.data.spans}
assert set(spans) == {"answer", "look_up", "model"}
assert spans["answer"].inputs == {"question": "When?", "user": "ann"}
assert spans["look_up"].parent_id == spans["answer"].span_id
assert spans["look_up"].span_type == "RETRIEVER"
assert spans["look_up"].outputs[0]["metadata"] == {"doc_uri": "a.txt"}
assert spans["look_up"].attributes["top"] == 2
assert spans["model"].attributes["mlflow.chat.tokenUsage"]["output_tokens"] == 3
assert [(one.name, one.attributes) for one in spans["model"].events] == [("streamed", {"chunks": 3})]
assert spans["answer"].request_id == trace_id
assert abs(spans["answer"].start_time_ns // 1_000_000 - info.request_time) <= 1
assert not any(one.startswith("gimbal") for span in trace.data.spans for one in span.attributes)


@mlflow.trace
def fails():
    raise ValueError("no such flight")


with contextlib.suppress(ValueError):
    fails()
mlflow.flush_trace_async_logging()
failed = mlflow.get_trace(mlflow.get_last_active_trace_id())
assert failed.info.state == "ERROR"
assert "no such flight" in failed.data.spans[0].status.description
assert failed.data.spans[0].events[0].name == "exception"

# Tags come and go.
mlflow.set_trace_tag(trace_id, "reviewed", "yes")
mlflow.set_trace_tag(trace_id, "team", "support")
client.delete_trace_tag(trace_id, "release")
tags = client.get_trace(trace_id).info.tags
assert (tags["reviewed"], tags["team"], "release" in tags) == ("yes", "support", False), tags
assert "No trace tag" in refused(MISSING, client.delete_trace_tag, trace_id, "release")
assert "not found" in refused(MISSING, client.set_trace_tag, "tr-" + "0" * 31 + "1", "a", "b")
assert "not found" in refused(MISSING, client.get_trace, "tr-" + uuid.uuid4().hex)
refused(MISSING, client.get_trace, "none")

# A span begun and ended by hand.
begun = client.start_trace("by hand", inputs={"a": 1}, experiment_id=experiment.experiment_id)
child = client.start_span("step", trace_id=begun.trace_id, parent_id=begun.span_id)
client.end_span(begun.trace_id, child.span_id, outputs={"b": 2})
client.end_trace(begun.trace_id, outputs={"c": 3})
mlflow.flush_trace_async_logging()
assert {one.name for one in client.get_trace(begun.trace_id).data.spans} == {"by hand", "step"}

# Links.
other = client.create_run(experiment.experiment_id, run_name="later")
client.link_traces_to_run([trace_id, begun.trace_id], other.info.run_id)
linked = client.search_traces(
    locations=[experiment.experiment_id], filter_string=f"attribute.run_id = '{other.info.run_id}'"
)
assert {one.info.trace_id for one in linked} == {trace_id, begun.trace_id}
refused(MISSING, client.link_traces_to_run, ["tr-" + "0" * 31 + "1"], other.info.run_id)
refused(MISSING, client.link_traces_to_run, [trace_id], "0" * 32)
assert "more than 100" in refused(INVALID, client.link_traces_to_run, [trace_id] * 101, other.info.run_id)
prompt = client.register_prompt(name=f"{name.replace(' ', '-')}-greet", template="Hello {{ who }}")
client.link_prompt_versions_to_trace([prompt], trace_id)
by_prompt = client.search_traces(
    locations=[experiment.experiment_id], filter_string=f"prompt = '{prompt.name}/{prompt.version}'"
)
assert [one.info.trace_id for one in by_prompt] == [trace_id]
told = json.loads(by_prompt[0].info.tags["mlflow.linkedPrompts"])
assert told == [{"name": prompt.name, "version": str(prompt.version)}], told

# Gone for good.
assert client.delete_traces(experiment.experiment_id, trace_ids=[begun.trace_id]) == 1
refused(MISSING, client.get_trace, begun.trace_id)
assert client.delete_traces(experiment.experiment_id, trace_ids=[begun.trace_id]) == 0
print(trace_id, run.info.run_id, prompt.name)
print("ok")
