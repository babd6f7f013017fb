"""Experiments: made, found, renamed, tagged, deleted, restored, searched."""

import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import ViewType
from refusals import INVALID, refused

name = sys.argv[1]
client = MlflowClient()


default = client.get_experiment("0")
assert (default.name, default.experiment_id) == ("Default", "0"), default
assert client.get_experiment_by_name("Default").experiment_id == "0"
refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "Default")
with mlflow.start_run() as unnamed:
    pass
assert unnamed.info.experiment_id == "0"

made = client.create_experiment(f"{name} ünd /more", tags={"a": "b", "owner": "ann"})
seen = client.get_experiment(made)
assert seen.name == f"{name} ünd /more"
assert seen.tags == {"a": "b", "owner": "ann"}
assert seen.artifact_location == f"mlflow-artifacts:/{made}"
assert seen.creation_time <= seen.last_update_time
assert client.get_experiment_by_name(f"{name} nowhere") is None
refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, f"{name} ünd /more")

client.rename_experiment(made, f"{name} two")
client.set_experiment_tag(made, "owner", "bob")
client.delete_experiment_tag(made, "a")
seen = client.get_experiment_by_name(f"{name} two")
assert (seen.experiment_id, seen.tags) == (made, {"owner": "bob"})
assert "exceeds" in refused(INVALID, client.set_experiment_tag, made, "long", "x" * 20_001)

run = client.create_run(made)
client.delete_experiment(made)
assert client.get_experiment(made).lifecycle_stage == "deleted"
assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, f"{name} two")
assert "must be in the 'active' state" in refused(INVALID, client.create_run, made)
refused(INVALID, client.rename_experiment, made, "elsewhere")
refused("RESOURCE_DOES_NOT_EXIST", client.delete_experiment, made)
refused(INVALID, mlflow.set_experiment, f"{name} two")
client.restore_experiment(made)
assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"
refused("RESOURCE_DOES_NOT_EXIST", client.restore_experiment, made)

elsewhere = client.create_experiment(f"{name} elsewhere", artifact_location="s3://bucket/there")
run = client.create_run(elsewhere)
assert run.info.artifact_uri == f"s3://bucket/there/{run.info.run_id}/artifacts", run.info.artifact_uri

several = [client.create_experiment(f"{name} s{i}", tags={"n o": str(i), "of": name}) for i in range(7)]
client.delete_experiment(several[6])


def names(**asked) -> list[str]:
    return [one.name.removeprefix(f"{name} ") for one in client.search_experiments(**asked)]


mine = f"tags.of = '{name}'"
assert names(filter_string=mine) == ["s5", "s4", "s3", "s2", "s1", "s0"], names(filter_string=mine)
assert names(filter_string=mine, view_type=ViewType.DELETED_ONLY) == ["s6"]
assert len(names(filter_string=mine, view_type=ViewType.ALL)) == 7
assert names(filter_string=f"{mine} and tag.`n o` = '3'") == ["s3"]
assert names(filter_string=f"{mine} AND name LIKE '%s_' AND attribute.name != '{name} s2'", order_by=["name"]) == [
    "s0", "s1", "s3", "s4", "s5",
]  # fmt: skip
assert names(filter_string=f"name ILIKE '{name.upper()} S1'") == ["s1"]
assert names(filter_string=f"name LIKE '{name.upper()} S1'") == []
assert names(filter_string=f"experiment_id IN ('{several[0]}', '{several[1]}')", order_by=["name DESC"]) == ["s1", "s0"]
assert names(filter_string=f"{mine} AND tags.never IS NULL AND tags.`of` IS NOT NULL", max_results=2) == ["s5", "s4"]
assert names(filter_string=f"{mine} AND tags.never != 'x'") == []
assert (
    names(filter_string=f"{mine} AND creation_time > 0 AND last_update_time >= 1", order_by=["creation_time ASC"])[0]
    == "s0"
)
for wrong in (
    "name = 'a' OR name = 'b'", "(name = 'a')", "name = 'a';", "name = a", "colour = 'a'", "name > 'a'", "name =",
    "tags.x = 3", "creation_time = 'x'", "name = 'a' -- b", "metrics.x > 1", "name LIKE 'a' AND",
):  # fmt: skip
    refused(INVALID, client.search_experiments, filter_string=wrong)
refused(INVALID, client.search_experiments, order_by=["name; DROP TABLE runs"])
refused(INVALID, client.search_experiments, page_token="e30")
refused(INVALID, client.search_experiments, page_token="nonsense")

# Pages are not shifted by what is made meanwhile.
first = client.search_experiments(filter_string=mine, max_results=4)
client.create_experiment(f"{name} new", tags={"of": name})
second = client.search_experiments(filter_string=mine, max_results=4, page_token=first.token)
assert [one.name.removeprefix(f"{name} ") for one in [*first, *second]] == ["s5", "s4", "s3", "s2", "s1", "s0"]
assert not second.token
refused(INVALID, client.search_experiments, filter_string="name = 'x'", page_token=first.token)
print("ok")
