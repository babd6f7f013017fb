"""Registered models and their versions without files: names, tags, descriptions, aliases, stages, searches, deletion."""

import sys
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient()
own = sys.argv[1]


def refused(code: str, call: Callable[[], object]) -> str:
    """Return the message of a call that must fail with a code."""
    try:
        call()
    except MlflowException as error:
        if error.error_code == code:
            return str(error)
        raise
    raise AssertionError(f"not refused: {code}")


name = f"Über {own}"
made = client.create_registered_model(name, tags={"team": "ops", "kind": "tree"}, description="what it is")
assert (made.name, made.description, made.tags) == (name, "what it is", {"team": "ops", "kind": "tree"})
assert made.latest_versions == []
assert made.creation_timestamp > 0
refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_registered_model(name))
refused("INVALID_PARAMETER_VALUE", lambda: client.create_registered_model("a/b"))
refused("INVALID_PARAMETER_VALUE", lambda: client.create_registered_model("a:b"))
refused("INVALID_PARAMETER_VALUE", lambda: client.create_registered_model(" "))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model(f"never {own}"))

client.set_registered_model_tag(name, "team", "night")
client.set_registered_model_tag(name, "gone", "soon")
client.delete_registered_model_tag(name, "gone")
client.delete_registered_model_tag(name, "never")
client.update_registered_model(name, "what it is now")
seen = client.get_registered_model(name)
assert (seen.tags, seen.description) == ({"team": "night", "kind": "tree"}, "what it is now")
assert seen.last_updated_timestamp >= seen.creation_timestamp

sources = [f"s3://bucket/{number}" for number in range(1, 5)]
versions = [
    client.create_model_version(name, source, tags={"nth": str(at)}, description=f"no. {at}")
    for at, source in enumerate(sources, 1)
]
assert [one.version for one in versions] == ["1", "2", "3", "4"]
assert versions[2].source == sources[2]
assert client.get_model_version_download_uri(name, "3") == sources[2]
seen = client.get_model_version(name, "2")
assert (seen.tags, seen.description, seen.status) == ({"nth": "2"}, "no. 2", "READY")
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version(name, "9"))
refused("INVALID_PARAMETER_VALUE", lambda: client.get_model_version(name, "x"))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.create_model_version(f"never {own}", "s3://b/1"))
for source in (
    "s3://b/../c",
    "file:///etc/passwd",
    "models:/m-" + "0" * 32,
    "s3://b/%2e%2e/c",
    "runs:/" + "0" * 32 + "/m",
):
    refused("INVALID_PARAMETER_VALUE", lambda source=source: client.create_model_version(name, source))

client.update_model_version(name, "2", "another")
client.set_model_version_tag(name, "2", "a.b/c", "d")
client.set_model_version_tag(name, "2", "gone", "soon")
client.delete_model_version_tag(name, "2", "gone")
seen = client.get_model_version(name, "2")
assert (seen.description, seen.tags) == ("another", {"nth": "2", "a.b/c": "d"})

# Aliases.
client.set_registered_model_alias(name, "champion", "2")
client.set_registered_model_alias(name, "champion", "3")
client.set_registered_model_alias(name, "Best-One_7", "3")
assert client.get_model_version_by_alias(name, "champion").version == "3"
assert sorted(client.get_model_version(name, "3").aliases) == ["Best-One_7", "champion"]
client.delete_registered_model_alias(name, "Best-One_7")
client.delete_registered_model_alias(name, "never")
refused("INVALID_PARAMETER_VALUE", lambda: client.get_model_version_by_alias(name, "Best-One_7"))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version_by_alias(f"never {own}", "champion"))
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.set_registered_model_alias(name, "x", "9"))
for alias in ("latest", "v3", "a b", "", "é"):
    refused("INVALID_PARAMETER_VALUE", lambda alias=alias: client.set_registered_model_alias(name, alias, "3"))

# Stages.
assert client.transition_model_version_stage(name, "1", "production").current_stage == "Production"
client.transition_model_version_stage(name, "2", "Production")
client.transition_model_version_stage(name, "4", "Staging")
latest = {one.current_stage: one.version for one in client.get_latest_versions(name)}
assert latest == {"Production": "2", "Staging": "4", "None": "3"}, latest
assert [one.version for one in client.get_latest_versions(name, ["Production"])] == ["2"]
assert {one.current_stage for one in client.get_registered_model(name).latest_versions} == {
    "Production",
    "Staging",
    "None",
}
client.transition_model_version_stage(name, "3", "Production", archive_existing_versions=True)
assert [client.get_model_version(name, str(n)).current_stage for n in (1, 2, 3)] == [
    "Archived",
    "Archived",
    "Production",
]
refused("INVALID_PARAMETER_VALUE", lambda: client.transition_model_version_stage(name, "1", "Heaven"))
assert client.get_model_version_by_alias(name, "production").version == "3"

# Searches.
other = f"other {own}"
client.create_registered_model(other, tags={"team": "day"})
client.create_model_version(other, "gs://elsewhere/m")


def names(text: str, **more: Any) -> list[str]:
    """Return the names that a filter finds."""
    return [one.name for one in client.search_registered_models(text, **more)]


assert names(f"name = '{name}'") == [name]
assert names(f"name LIKE '%{own}'", order_by=["name DESC"]) == sorted([name, other], reverse=True)
assert names(f"name ILIKE 'OTHER%' AND name LIKE '%{own}'") == [other]
assert names(f"name LIKE 'OTHER%' AND name LIKE '%{own}'") == []
assert names(f"tags.team = 'night' AND name LIKE '%{own}'") == [name]
assert names(f"tags.`team` != 'night' AND name LIKE '%{own}'") == [other]
assert names(f"tag.team LIKE 'n%' AND tags.kind ILIKE 'TREE' AND name LIKE '%{own}'") == [name]
assert names(f"name IN ('{name}', '{other}', 'x')") == sorted([name, other])
page = client.search_registered_models(f"name LIKE '%{own}'", max_results=1)
rest = client.search_registered_models(f"name LIKE '%{own}'", max_results=1, page_token=page.token)
assert [page[0].name, rest[0].name] == sorted([name, other])
assert not rest.token
refused("INVALID_PARAMETER_VALUE", lambda: names("name = 'a'", page_token=page.token))
for text in ("name = 'a' OR name = 'b'", "name", "name = a", "foo = 'a'", "name > 'a'", "name = 'a';", "(name = 'a')"):
    refused("INVALID_PARAMETER_VALUE", lambda text=text: names(text))
refused("INVALID_PARAMETER_VALUE", lambda: names("", order_by=["foo"]))


def numbers(text: str, **more: Any) -> list[str]:
    """Return the numbers of the versions of `name` that a filter finds."""
    return [one.version for one in client.search_model_versions(f"name = '{name}' AND {text}", **more)]


assert numbers("version_number > 2", order_by=["version_number ASC"]) == ["3", "4"]
assert numbers("version_number <= 2 AND tags.nth = '2'") == ["2"]
assert numbers("source_path = 's3://bucket/4'") == ["4"]
assert numbers("source_path LIKE 's3://%'", order_by=["version_number DESC"]) == ["4", "3", "2", "1"]
assert numbers("tags.`a.b/c` = 'd'") == ["2"]
assert numbers("run_id IN ('a', 'b')") == []
assert len(client.search_model_versions(f"name = '{other}'")) == 1
refused("INVALID_PARAMETER_VALUE", lambda: numbers("version_number > 'a'"))
refused("INVALID_PARAMETER_VALUE", lambda: numbers("stage = 'None'"))

# Renamed, deleted, made again.
renamed = f"renamed {own}"
refused("RESOURCE_ALREADY_EXISTS", lambda: client.rename_registered_model(name, other))
client.rename_registered_model(name, renamed)
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model(name))
assert client.get_model_version(renamed, "2").description == "another"
assert client.get_model_version_by_alias(renamed, "champion").version == "3"
client.create_registered_model(name)
assert client.create_model_version(name, "s3://b/1").version == "1"

client.delete_model_version(renamed, "3")
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version(renamed, "3"))
refused("INVALID_PARAMETER_VALUE", lambda: client.get_model_version_by_alias(renamed, "champion"))
assert [one.version for one in client.search_model_versions(f"name = '{renamed}'", order_by=["version_number ASC"])] == [
    "1", "2", "4",
]  # fmt: skip
client.delete_registered_model(renamed)
refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model(renamed))
assert client.search_model_versions(f"name = '{renamed}'") == []
client.create_registered_model(renamed)
assert client.search_model_versions(f"name = '{renamed}'") == []
# Numbers are never given twice.
assert client.create_model_version(renamed, "s3://b/1").version == "5"
print("ok")
