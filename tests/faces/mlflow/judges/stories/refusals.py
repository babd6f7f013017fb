"""What MLflow has and the server does not: each call of the client raises MLflow's own error, which names the feature."""

import json

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import http_request, verify_rest_response

GATEWAY = "/api/3.0/mlflow/gateway/endpoints/list"
client = mlflow.MlflowClient()
creds = client._tracking_client.store.get_host_creds()
calls = {
    "webhooks": lambda: client.create_webhook("w", "https://example.org", ["registered_model.created"]),
    "evaluation datasets": lambda: mlflow.genai.create_dataset(name="d", experiment_id="0"),
    "registered scorers": lambda: mlflow.genai.list_scorers(experiment_id="0"),
    "MLflow's gateway": lambda: verify_rest_response(http_request(creds, GATEWAY, "GET"), GATEWAY),
}
found = {}
for feature, call in calls.items():
    try:
        found[feature] = ["", repr(call())]
    except MlflowException as error:
        found[feature] = [error.error_code, str(error)]
print(json.dumps(found))
