"""Feedback and expectations as people and judges give them on traces and spans."""

import math
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentError, AssessmentSource, Expectation, Feedback
from refusals import INVALID, MISSING, refused

mlflow.set_experiment(sys.argv[1])
client = MlflowClient()


@mlflow.trace
def answer(question):
    with mlflow.start_span("inner") as span:
        mlflow.log_feedback(trace_id=span.trace_id, name="during", value=0.5)
    return "Tuesday."


answer("When?")
mlflow.flush_trace_async_logging()
trace_id = mlflow.get_last_active_trace_id()
inner = next(one for one in mlflow.get_trace(trace_id).data.spans if one.name == "inner")
human = AssessmentSource(source_type="HUMAN", source_id="ann@example.org")
judge = AssessmentSource(source_type="LLM_JUDGE", source_id="gpt-4o-mini")


def seen():
    return {one.name: one for one in mlflow.get_trace(trace_id).info.assessments}


assert seen()["during"].value == 0.5
assert seen()["during"].source.source_type == "CODE"

# Values of every kind come back as they were.
values = {"yes": True, "score": 0.25, "whole": 3, "word": "rude", "several": ["a", "b"], "map": {"a": 1.5, "b": "c"}}
for name, value in values.items():
    made = mlflow.log_feedback(
        trace_id=trace_id, name=name, value=value, source=human, rationale=f"why {name}", metadata={"round": "1"}
    )
    assert made.assessment_id.startswith("a-"), made
    assert made.value == value, made
back = seen()
for name, value in values.items():
    assert back[name].value == value, back[name]
    assert back[name].rationale == f"why {name}"
    assert back[name].source == human
    assert back[name].metadata == {"round": "1"}
    assert back[name].valid is True

# Of a span, by a judge; one that failed; what was expected.
on_span = mlflow.log_feedback(trace_id=trace_id, name="grounded", value="no", source=judge, span_id=inner.span_id)
assert mlflow.get_assessment(trace_id, on_span.assessment_id).span_id == inner.span_id
failed = mlflow.log_feedback(
    trace_id=trace_id, name="broken", source=judge, error=AssessmentError("RATE_LIMIT", "too many calls", "trace of it")
)
assert failed.error.error_code == "RATE_LIMIT"
assert seen()["broken"].error.error_message == "too many calls"
assert seen()["broken"].value is None
for name, value in {"text": "On Tuesday.", "facts": ["Tuesday", {"at": 9}], "number": 7}.items():
    expected = mlflow.log_expectation(trace_id=trace_id, name=name, value=value, source=human)
    assert isinstance(mlflow.get_assessment(trace_id, expected.assessment_id), Expectation)
    assert seen()[name].value == value, seen()[name]

# Changed: the value, the reason, the name.
first = mlflow.log_feedback(trace_id=trace_id, name="tone", value="rude", source=human, rationale="loud")
mlflow.update_assessment(trace_id, first.assessment_id, Feedback(name="tone", value="kind", rationale="soft"))
again = mlflow.get_assessment(trace_id, first.assessment_id)
assert (again.value, again.rationale, again.source) == ("kind", "soft", human), again
assert again.last_update_time_ms >= again.create_time_ms
mlflow.update_assessment(trace_id, first.assessment_id, Feedback(name="manner", value="kind", metadata={"by": "b"}))
assert "tone" not in seen()
assert seen()["manner"].metadata == {"by": "b"}

# Overridden, and back when that is deleted.
second = mlflow.override_feedback(trace_id=trace_id, assessment_id=first.assessment_id, value="cold", source=human)
assert second.overrides == first.assessment_id
assert mlflow.get_assessment(trace_id, first.assessment_id).valid is False
assert mlflow.get_assessment(trace_id, first.assessment_id).value == "kind"
mlflow.delete_assessment(trace_id, second.assessment_id)
assert mlflow.get_assessment(trace_id, first.assessment_id).valid is True
refused(MISSING, mlflow.get_assessment, trace_id, second.assessment_id)
mlflow.delete_assessment(trace_id, second.assessment_id)

# What cannot be.
refused(MISSING, mlflow.log_feedback, trace_id="tr-" + "0" * 31 + "1", name="a", value=1)
refused(MISSING, mlflow.get_assessment, trace_id, "a-none")
refused(MISSING, mlflow.update_assessment, trace_id, "a-" + "0" * 32, Feedback(name="a", value=1))
refused(INVALID, mlflow.log_feedback, trace_id=trace_id, name="n" * 300, value=1)
refused(INVALID, mlflow.log_feedback, trace_id=trace_id, name="a", value=1, span_id="no")
refused(INVALID, mlflow.update_assessment, trace_id, first.assessment_id, Expectation(name="a", value=1))
refused(MISSING, mlflow.override_feedback, trace_id=trace_id, assessment_id="a-" + "0" * 32, value=1)
assert math.isclose(seen()["score"].value, 0.25)
print(trace_id, inner.span_id)
print("ok")
