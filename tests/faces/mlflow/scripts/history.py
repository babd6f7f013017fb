"""Histories of metrics: whole, in pages, while they are written, and thinned out for charts."""

import math
import random
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from refusals import INVALID, refused

client = MlflowClient()
store = client._tracking_client.store
experiment = mlflow.set_experiment(sys.argv[1]).experiment_id
chance = random.Random(7)


# The order is that of time, then step, then value; steps come in any order, and several at one time.
run = client.create_run(experiment).info.run_id
points = [Metric("loss", float(i % 13), 1_700_000_000_000 + i // 3, chance.randrange(-50, 50)) for i in range(900)]
chance.shuffle(points)
client.log_batch(run, metrics=points)
client.log_batch(run, metrics=points)
expected = sorted({(one.timestamp, one.step, one.value) for one in points})
history = [(one.timestamp, one.step, one.value) for one in client.get_metric_history(run, "loss")]
assert history == expected, (len(history), len(expected))

# One page after the other, and what is written meanwhile shifts none of them.
seen, token = [], None
while True:
    page = store.get_metric_history(run, "loss", max_results=100, page_token=token)
    seen += [(one.timestamp, one.step, one.value) for one in page]
    client.log_metric(run, "loss", 5.0, timestamp=1_600_000_000_000 + len(seen), step=1)
    token = page.token
    if not token:
        break
assert seen == expected
first = store.get_metric_history(run, "loss", max_results=10).token
refused(INVALID, store.get_metric_history, run, "other", max_results=10, page_token=first)
refused(INVALID, store.get_metric_history, run, "loss", max_results=10, page_token="e30")
refused(INVALID, store.get_metric_history, run, "loss", max_results=0)
refused(INVALID, store.get_metric_history, run, "loss", max_results=-3)

# Thinned out: the first, the last and the extremes stay, and there are never more than asked for.
other = client.create_run(experiment).info.run_id
values = [math.sin(i / 300) for i in range(6000)]
values[1234], values[4321] = 99.0, -99.0
for start in range(0, 6000, 1000):
    part = [Metric("wave", values[i], 1_700_000_000_000 + i, i) for i in range(start, start + 1000)]
    client.log_batch(other, metrics=part)
for most in (1, 2, 3, 7, 320, 2500):
    reply = mlflow.utils.rest_utils.http_request(
        store.get_host_creds(),
        "/api/2.0/mlflow/metrics/get-history-bulk-interval",
        "GET",
        params={"run_ids": [other, run], "metric_key": "wave", "max_results": most},
    ).json()["metrics"]
    assert {one["run_id"] for one in reply} == {other}
    assert 1 <= len(reply) <= most, (most, len(reply))
    assert [one["step"] for one in reply] == sorted(one["step"] for one in reply)
    if most >= 320:
        assert {0, 5999, 1234, 4321} <= {one["step"] for one in reply}
reply = mlflow.utils.rest_utils.http_request(
    store.get_host_creds(),
    "/api/2.0/mlflow/metrics/get-history-bulk-interval",
    "GET",
    params={"run_ids": other, "metric_key": "wave", "start_step": 100, "end_step": 120},
).json()["metrics"]
assert [one["step"] for one in reply] == list(range(100, 121)), reply
reply = mlflow.utils.rest_utils.http_request(
    store.get_host_creds(),
    "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
    "GET",
    params={"run_id": [other, run], "metric_key": "wave", "max_results": 40},
).json()["metrics"]
assert len(reply) == 40
for wrong in (
    {"start_step": 1}, {"end_step": 1}, {"start_step": 2, "end_step": 1}, {"max_results": 0}, {"max_results": 2501},
    {"run_ids": []}, {"run_ids": [other] * 101}, {"metric_key": ""}, {"start_step": "x", "end_step": 3},
):  # fmt: skip
    asked = {"run_ids": [other], "metric_key": "wave"} | wrong
    reply = mlflow.utils.rest_utils.http_request(
        store.get_host_creds(), "/api/2.0/mlflow/metrics/get-history-bulk-interval", "GET", params=asked,
        raise_on_status=False,
    )  # fmt: skip
    assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), (wrong, reply.text)
print("ok")
