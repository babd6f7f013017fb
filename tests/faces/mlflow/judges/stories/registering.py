"""From a trained model to a program that loads it by its alias: log, register, tag, alias, search, and load elsewhere."""

import subprocess
import sys

import mlflow
import numpy as np
import pandas as pd
from facts import tell
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

experiment = mlflow.set_experiment(sys.argv[1]).experiment_id
name = sys.argv[2]
frame = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
made = LinearRegression().fit(frame, [1.0, 2.0, 4.0])
with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(
        made, name="delay", signature=infer_signature(frame, made.predict(frame)), input_example=frame,
        params={"fit_intercept": True}, tags={"stage": "try"}, pip_requirements=["scikit-learn"],
    )  # fmt: skip
    mlflow.log_metric("rmse", 0.125, model_id=info.model_id)
    mlflow.sklearn.log_model(made, name="worse", pip_requirements=["scikit-learn"])
client = MlflowClient()
version = mlflow.register_model(info.model_uri, name, tags={"reviewed": "yes"})
mlflow.register_model(f"runs:/{run.info.run_id}/worse", name)
client.set_registered_model_alias(name, "champion", version.version)
client.update_model_version(name, version.version, "the first that may fly")

fresh = (
    "import sys, mlflow, numpy as np, pandas as pd;"
    "model = mlflow.pyfunc.load_model(sys.argv[1]);"
    "print([list(model.predict(pd.DataFrame({'a': [3.0], 'b': [0.5]}))), model.metadata.signature.inputs.input_names()])"
)
elsewhere = subprocess.run(
    [sys.executable, "-c", fresh, f"models:/{name}@champion"], capture_output=True, text=True, timeout=100, check=False
)
assert elsewhere.returncode == 0, elsewhere.stderr
better = mlflow.search_logged_models([experiment], "metrics.rmse < 0.5 AND tags.stage = 'try'", output_format="list")
table = mlflow.search_logged_models([experiment], order_by=[{"field_name": "creation_timestamp", "ascending": True}])
native = mlflow.sklearn.load_model(f"models:/{name}/1")
tell(
    run=run.info.run_id,
    model=info.model_id,
    same=bool(np.allclose(native.predict(frame), made.predict(frame))),
    elsewhere=elsewhere.stdout.strip().splitlines()[-1],
    expected=str(float(made.predict(pd.DataFrame({"a": [3.0], "b": [0.5]}))[0])),
    better=[one.model_id for one in better],
    table=table["name"].tolist(),
    champion=client.get_model_version_by_alias(name, "champion").version,
    versions=sorted(one.version for one in client.search_model_versions(f"name = '{name}'")),
)
