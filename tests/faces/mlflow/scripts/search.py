"""Runs searched: filters with odd keys, orders, views, pages while others write."""

import math
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from refusals import INVALID, refused

client = MlflowClient()
experiment = client.create_experiment(sys.argv[1])
other = client.create_experiment(f"{sys.argv[1]} other")


def run(at: int, of: str = experiment) -> str:
    made = client.create_run(of, start_time=1_700_000_000_000 + at * 1000, run_name=f"r{at}", tags={"at": str(at)})
    loss = math.nan if at == 7 else at / 10
    metrics = [] if at == 8 else [Metric("loss", loss, 1, 0), Metric("val/odd key:x", float(at % 3), 1, 0)]
    params = [Param("depth", str(at % 4)), Param("opt name", "Adam" if at % 2 else "sgd")]
    client.log_batch(made.info.run_id, metrics, params, [RunTag("a.b/c d", "It" if at < 5 else "not it")])
    return made.info.run_id


ids = [run(at) for at in range(10)]
run(3, other)


def found(filter_string: str = "", **asked) -> list[int]:
    runs = client.search_runs([experiment], filter_string, **asked)
    return [int(one.data.tags["at"]) for one in runs]


assert found() == list(range(9, -1, -1))
assert found("metrics.loss < 0.35") == [3, 2, 1, 0]
assert found("metric.loss <= 0.3 AND params.depth = '1'") == [1]
assert found("metrics.loss != 0.1") == [9, 7, 6, 5, 4, 3, 2, 0]  # NaN is unequal to any number, and missing is neither
assert found("metrics.`val/odd key:x` = 2") == [5, 2]
assert found("metrics.\"val/odd key:x\" >= 2 and tags.`a.b/c d` = 'It'") == [2]
assert found("params.`opt name` LIKE 'A%'") == [9, 7, 5, 3, 1]
assert found("params.`opt name` LIKE 'a%'") == []
assert found("params.`opt name` ILIKE 'aD_m'") == [9, 7, 5, 3, 1]
assert found("tags.at IS NOT NULL AND tags.never IS NULL AND tag.at != '9'") == list(range(8, -1, -1))
assert found("tags.never != 'x'") == []
assert found("attributes.run_name = 'r4'") == [4]
assert found("run_name LIKE 'r%' AND start_time >= 1700000008000") == [9, 8]
assert found("attribute.status = 'RUNNING' AND created < 1700000002000") == [1, 0]
assert found(f"run_id IN ('{ids[2]}', '{ids[6]}')") == [6, 2]
assert found(f"attributes.run_id NOT IN ('{ids[2]}', '{ids[6]}')") == [9, 8, 7, 5, 4, 3, 1, 0]
assert found(f"run_id = '{ids[2]}'") == [2]
assert found(order_by=["metrics.loss DESC"]) == [9, 6, 5, 4, 3, 2, 1, 0, 7, 8]
assert found(order_by=["metrics.loss ASC"]) == [0, 1, 2, 3, 4, 5, 6, 9, 7, 8]
assert found(order_by=["params.depth DESC", "attributes.start_time ASC"]) == [3, 7, 2, 6, 1, 5, 9, 0, 4, 8]
assert found(order_by=["tags.at"], max_results=3) == [0, 1, 2]
assert found(order_by=["start_time ASC"], max_results=2) == [0, 1]
assert client.search_runs([]) == []
assert len(client.search_runs([experiment, other])) == 11
assert client.search_runs(["999999"]) == []

client.delete_run(ids[9])
assert found("", run_view_type=ViewType.DELETED_ONLY) == [9]
assert len(found("", run_view_type=ViewType.ALL)) == 10
assert found()[0] == 8

client.log_inputs(ids[1], [mlflow.entities.DatasetInput(
    mlflow.entities.Dataset("flights", "d1", "local", "s"), [mlflow.entities.InputTag("mlflow.data.context", "train")],
)])  # fmt: skip
assert found("datasets.name = 'flights' AND dataset.context = 'train'") == [1]
assert found("datasets.digest IN ('d1', 'd2')") == [1]
assert found("datasets.name = 'weather'") == []

# Pages, while somebody else begins runs.
seen, token = [], None
while True:
    page = client.search_runs(
        [experiment], "metrics.loss >= 0", max_results=2, page_token=token, order_by=["start_time DESC"]
    )
    seen += [int(one.data.tags["at"]) for one in page]
    run(100 + len(seen))
    token = page.token
    if not token:
        break
assert seen == [6, 5, 4, 3, 2, 1, 0], seen

first = client.search_runs([experiment], "", max_results=2).token
refused(
    "INVALID_PARAMETER_VALUE", client.search_runs, [experiment], "metrics.loss > 1", max_results=2, page_token=first
)
for wrong in ("nonsense", "e30", "x" * 5000, "eyJhIjoxfQ"):
    refused(INVALID, client.search_runs, [experiment], "", max_results=2, page_token=wrong)
for wrong in (
    "metrics.loss > 1 OR metrics.loss < 0", "(metrics.loss > 1)", "metrics.loss > 1;", "metrics.loss > 'a'",
    "params.depth > 3", "params.depth = 3", "tags.at > 'x'", "colour.x = 'y'", "run_name", "attributes.colour = 'red'",
    "metrics.loss = 1 -- x", "metrics.loss > 1 metrics.loss < 3", "start_time = 'now'", "run_id LIKE", "AND",
    "tags.`at = 'x'", "datasets.colour = 'x'", "metrics.loss IS NULL", "run_name IN ('a')", "' OR 1=1 --",
):  # fmt: skip
    refused(INVALID, client.search_runs, [experiment], wrong)
for wrong in ("metrics.loss SIDEWAYS", "attributes.colour", "metrics.loss; DROP TABLE runs", "", "colour.x"):
    refused(INVALID, client.search_runs, [experiment], order_by=[wrong])
refused(INVALID, client.search_runs, ["abc"])
refused(INVALID, client.search_runs, [experiment], max_results=50_001)
refused(INVALID, client.search_runs, [experiment], max_results=0)
assert found("metrics.loss < 0.35") == [3, 2, 1, 0]
print("ok")
