"""The verbs that scripts use: models, predictions, prompts, scores, and the whole surface of the SDK."""

import inspect
import subprocess
import sys
import typing
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import gimbal
from gimbal.axis.endpoints.model import Target
from gimbal.faces.client.generate import class_name, method_name
from gimbal.faces.server import capabilities
from gimbal.generative.prompts.model import PromptFile
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import Operation, operations

capabilities.load_operations()
ONE = pd.DataFrame({"x": [1.0]})
ANSWER = '+++\nmodel = "local/extractive"\n+++\n\n## user\nAnswer {{question}} in {{tone}}.\n'


def test_a_model_comes_back_as_it_was(client: gimbal.Client) -> None:
    """Logged inside a run, released, asked over HTTP: the same probabilities, and lineage to the run."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)})
    model = LogisticRegression().fit(frame, np.where(frame["x"] > 0, "late", "fine"))
    with gimbal.run("fit", client=client) as run:
        version = gimbal.log_model("sdk/late", model, example=frame.head(3), note="first", client=client)
    with pytest.raises(NotFound, match="No gate guards model:sdk/late@production"):
        gimbal.promote("model:sdk/late@v1", "production", client=client)
    client.assets.move_alias("model:sdk/late", "production", to="v1")
    client.endpoints.set(slug="sdk-late", targets=[Target(ref="model:sdk/late@production")])
    rows = frame.head(20)
    moments = [datetime(2026, 1, 1, tzinfo=UTC)] * 20

    found = gimbal.predict("sdk-late", rows, event_time=moments, entity=[str(i) for i in range(20)], client=client)

    assert (version.number, version.run_id, version.note) == (1, run.id, "first")
    assert [str(ref) for ref in client.runs.show(run.id).outputs] == ["model:sdk/late@v1"]
    assert found.predict == list(model.predict(rows))
    expected = model.predict_proba(rows)
    for i, name in enumerate(model.classes_):
        assert found.probability[name] == pytest.approx(list(expected[:, i]), abs=1e-12)
    assert (len(set(found.ids)), found.version) == (20, "model:sdk/late@v1")

    columns = gimbal.predict("sdk-late", {"x": list(rows["x"]), "y": list(rows["y"])}, client=client)
    records = gimbal.predict("sdk-late", rows.to_dict("records"), client=client)
    assert columns.predict == records.predict == found.predict
    with pytest.raises(NotFound, match="no-such-endpoint"):
        gimbal.predict("no-such-endpoint", rows, client=client)
    with pytest.raises(BadInput, match="There are no rows"):
        gimbal.predict("sdk-late", [], client=client)
    with pytest.raises(BadInput, match="y"):
        gimbal.predict("sdk-late", {"x": [1.0]}, client=client)


def test_what_is_no_model_is_refused(client: gimbal.Client) -> None:
    """Before anything is stored."""
    with pytest.raises(BadInput):
        gimbal.log_model("sdk/nothing", object(), example=pd.DataFrame({"x": [1.0]}), client=client)
    with pytest.raises(BadInput):
        gimbal.log_model("Bad Name@", Ridge().fit(ONE, [1.0]), example=ONE, client=client)
    with pytest.raises(NotFound):
        client.assets.show("model:sdk/nothing")


def test_a_prompt_is_filled(client: gimbal.Client) -> None:
    """Messages ready to send; a missing variable is named."""
    report = client.prompts.sync(files=[PromptFile(path="sdk/answer.md", text=ANSWER)])
    assert [(row.state, str(row.ref)) for row in report.prompts] == [("created", "prompt:sdk/answer@v1")]

    filled = gimbal.prompt("prompt:sdk/answer", {"question": "why", "tone": "{{question}}"}, client=client)

    assert [(m.role, m.content) for m in filled.messages] == [("user", "Answer why in {{question}}.")]
    with pytest.raises(gimbal.GimbalError, match="tone"):
        gimbal.prompt("prompt:sdk/answer", {"question": "why"}, client=client)


def test_a_score_is_recorded(client: gimbal.Client) -> None:
    """By its target; NaN and unknown kinds are refused instead of becoming something else."""
    trace_id = "ab" * 16
    stored = gimbal.score("helpful", np.float64(0.5), target_id=trace_id, label="so so", source="user", client=client)

    assert (stored.value, stored.label, stored.source, stored.target_kind) == (0.5, "so so", "user", "trace")
    assert [s.id for s in client.scores.list(target_id=trace_id).items] == [stored.id]
    for wrong, where in (
        ({"value": float("nan"), "label": "x"}, "value"),
        ({"value": 1.0, "target": "moon"}, "target"),
        ({"value": 1.0, "source": "oracle"}, "source"),
    ):
        with pytest.raises(BadInput) as caught:
            gimbal.score("helpful", target_id=trace_id, client=client, **wrong)  # type: ignore[arg-type]
        assert caught.value.where == where


@pytest.mark.parametrize("op", [op for op in operations() if "sdk" not in op.absent], ids=lambda op: op.name)
def test_every_operation_is_a_typed_method(client: gimbal.Client, op: Operation) -> None:
    """It takes each path and query parameter, tells the type of everything, and says what the operation says."""
    method = getattr(getattr(client, op.group), method_name(op))
    hints = typing.get_type_hints(method, vars(sys.modules[method.__module__]), {"list": list})
    parameters = inspect.signature(method).parameters

    assert type(getattr(client, op.group)).__name__ == class_name(op.group)
    assert {p.name for p in op.parameters if p.place != "body"} <= set(parameters)
    assert set(hints) == {*parameters, "return"}
    assert inspect.getdoc(method).startswith(op.summary)  # type: ignore[union-attr]


def test_the_public_names_are_there() -> None:
    """Every name of `gimbal` loads, and what is no name says so."""
    for name in gimbal.__all__:
        assert callable(getattr(gimbal, name))
    assert dir(gimbal) == sorted(gimbal.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        gimbal.nothing  # noqa: B018 - the access is what is tested


def test_the_client_needs_no_server_library() -> None:
    """A training job that tracks a run loads msgspec and httpx, and nothing of the server."""
    code = (
        "import sys, gimbal; gimbal.run, gimbal.trace, gimbal.predict, gimbal.evaluate, gimbal.Client();"
        "heavy = {'numpy', 'pyarrow', 'sqlalchemy', 'sklearn', 'chdb', 'cyclopts', 'pandas', 'jinja2', 'dbos',"
        "         'obstore', 'blake3', 're2', 'cryptography', 'sqlglot', 'scipy', 'grpc', 'uvicorn', 'aiosqlite'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
