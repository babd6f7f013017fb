"""Logged models: made, tagged, measured, searched and deleted."""

import sys
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException

client = MlflowClient()
made = mlflow.set_experiment(sys.argv[1])


def refused(code: str, call: Callable[[], object]) -> None:
    """Fail unless a call is refused with a code."""
    try:
        call()
    except MlflowException as error:
        if error.error_code == code:
            return
        raise
    raise AssertionError(f"not refused: {code}")


models = []
with mlflow.start_run() as run:
    for at in range(5):
        model = mlflow.initialize_logged_model(
            name=f"model-{at}", params={"depth": str(at)}, tags={"parity": "even" if at % 2 == 0 else "odd"},
            model_type="tree" if at < 3 else "net",
        )  # fmt: skip
        assert model.status == LoggedModelStatus.PENDING
        models.append(mlflow.finalize_logged_model(model.model_id, LoggedModelStatus.READY))
        mlflow.log_metric("auc", at / 10, model_id=model.model_id, step=1)
        mlflow.log_metric("auc", 1 - at / 10, model_id=model.model_id, step=2)
assert models[0].source_run_id == run.info.run_id

many = {f"p{at}": str(at) for at in range(250)}
big = client.create_logged_model(made.experiment_id, params=many, name="big")
assert client.get_logged_model(big.model_id).params == many
unnamed = client.create_logged_model(made.experiment_id)
assert unnamed.name
client.finalize_logged_model(unnamed.model_id, LoggedModelStatus.FAILED)

client.set_logged_model_tags(models[0].model_id, {"a": "b", "gone": "soon"})
client.delete_logged_model_tag(models[0].model_id, "gone")
assert client.get_logged_model(models[0].model_id).tags["a"] == "b"
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.delete_logged_model_tag(models[0].model_id, "gone"))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_logged_model("m-" + "0" * 32))
refused("INVALID_PARAMETER_VALUE", lambda: client.create_logged_model(made.experiment_id, name="a/b"))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.create_logged_model("99999999"))


def found(text: str | None = None, **more: Any) -> list[str]:
    """Return the names that a filter finds."""
    return [one.name for one in client.search_logged_models([made.experiment_id], filter_string=text, **more)]


assert set(found("name LIKE 'model-%'")) == {f"model-{at}" for at in range(5)}
assert found("name = 'model-3'") == ["model-3"]
assert found("params.depth = '2'") == ["model-2"]
assert set(found("tags.parity = 'odd'")) == {"model-1", "model-3"}
assert set(found("model_type = 'net' AND status = 'READY'")) == {"model-3", "model-4"}
assert set(found(f"source_run_id = '{run.info.run_id}' AND model_type != 'net'")) == {"model-0", "model-1", "model-2"}
assert found(f"model_id = '{models[4].model_id}'") == ["model-4"]
assert found("metrics.auc > 0.75", order_by=[{"field_name": "metrics.auc", "ascending": True}]) == [
    "model-2", "model-1", "model-0",
]  # fmt: skip
assert found(f"creation_timestamp >= {models[3].creation_timestamp}", order_by=[{"field_name": "creation_time"}])[0] in {
    "model-3", "model-2",
}  # fmt: skip
page = client.search_logged_models([made.experiment_id], filter_string="name LIKE 'model-%'", max_results=2)
assert [one.name for one in page] == ["model-4", "model-3"]
rest = client.search_logged_models(
    [made.experiment_id], filter_string="name LIKE 'model-%'", max_results=2, page_token=page.token
)
assert [one.name for one in rest] == ["model-2", "model-1"]
for text in ("name = 'a' OR name = 'b'", "foo = 'a'", "metrics.auc > 'x'", "name > 'a'", "name = 'a';"):
    refused("INVALID_PARAMETER_VALUE", lambda text=text: found(text))

seen = {one.key: one for one in client.get_logged_model(models[1].model_id).metrics}["auc"]
assert (seen.value, seen.step, seen.run_id, seen.model_id) == (0.9, 2, run.info.run_id, models[1].model_id)

client.delete_logged_model(models[0].model_id)
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_logged_model(models[0].model_id))
assert "model-0" not in found()
print("ok")
