"""The recorded sequence: a model is logged, registered, gets an alias, and is loaded by it."""

import sys
from pathlib import Path
from tempfile import mkdtemp

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

code = Path(mkdtemp()) / "model.py"
code.write_text(
    "import mlflow\n"
    "class Twice(mlflow.pyfunc.PythonModel):\n"
    "    def predict(self, context, model_input, params=None):\n"
    "        return [2 * value for value in model_input]\n"
    "mlflow.models.set_model(Twice())\n"
)

name = f"Delay model {sys.argv[1]}"
made = mlflow.set_experiment(sys.argv[1])
with mlflow.start_run() as run:
    info = mlflow.pyfunc.log_model(
        name="delay",
        python_model=str(code),
        registered_model_name=name,
        params={"depth": "3"},
        tags={"team": "ops"},
        model_type="classifier",
        pip_requirements=[],
    )
client = MlflowClient()
assert info.model_id.startswith("m-")
assert str(info.registered_model_version) == "1", info.registered_model_version

logged = mlflow.get_logged_model(info.model_id)
assert logged.name == "delay"
assert logged.status == "READY", logged.status
assert logged.source_run_id == run.info.run_id
assert logged.experiment_id == made.experiment_id
assert logged.params == {"depth": "3"}
assert logged.tags["team"] == "ops"
assert logged.model_type == "classifier"
assert '"version": "1"' in logged.tags["mlflow.modelVersions"], logged.tags

version = client.get_model_version(name, "1")
assert version.run_id == run.info.run_id, version
assert version.status == "READY"
assert version.current_stage == "None"
assert version.source == f"models:/{info.model_id}", version.source

client.set_registered_model_alias(name, "champion", "1")
assert client.get_model_version_by_alias(name, "champion").version == "1"
assert client.get_registered_model(name).aliases == {"champion": "1"}
assert mlflow.pyfunc.load_model(f"models:/{name}@champion").predict([1, 2]) == [2, 4]
assert mlflow.pyfunc.load_model(f"models:/{name}/1").predict([3]) == [6]
assert mlflow.pyfunc.load_model(f"models:/{info.model_id}").predict([4]) == [8]
assert mlflow.pyfunc.load_model(f"models:/{name}/latest").predict([5]) == [10]

# The same once more is another version; a copy of a version is one, too.
again = mlflow.register_model(f"models:/{info.model_id}", name)
assert again.version == "2", again
copied = client.copy_model_version(f"models:/{name}@champion", f"{name} copy")
assert (copied.name, copied.version) == (f"{name} copy", "1")
assert copied.source == f"models:/{name}/1", copied.source
assert mlflow.pyfunc.load_model(f"models:/{name} copy/1").predict([1]) == [2]
assert {one.version for one in client.search_model_versions(f"run_id = '{run.info.run_id}' AND name = '{name}'")} == {
    "1",
    "2",
}

seen = client.get_run(run.info.run_id)
assert [one.model_id for one in seen.outputs.model_outputs] == [info.model_id], seen.outputs

try:
    client.create_model_version(name, "/etc/passwd", run.info.run_id)
except MlflowException as refused:
    if refused.error_code != "INVALID_PARAMETER_VALUE":
        raise
else:
    raise AssertionError("a local path was taken")
print("ok")
