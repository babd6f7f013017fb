"""Prompts, by the calls of MLflow's prompt registry."""

import sys
from collections.abc import Callable

import mlflow
from mlflow.exceptions import MlflowException

own = sys.argv[1].replace(" ", "_")
name = f"answer_{own}"


def refused(call: Callable[[], object]) -> str:
    """Return the message of a call that must fail."""
    try:
        call()
    except MlflowException as error:
        return str(error)
    raise AssertionError("not refused")


first = mlflow.genai.register_prompt(
    name=name, template="Answer {{question}} as {{ tone }}.", commit_message="first", tags={"team": "ops"}
)
assert first.version == 1, first
same = mlflow.genai.register_prompt(name=name, template="Answer {{question}} as {{ tone }}.", commit_message="again")
assert same.version == 2, same
chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{ question }}"}]
third = mlflow.genai.register_prompt(
    name=name,
    template=chat,
    response_format={"type": "object", "properties": {"answer": {"type": "string"}}},
    model_config={"provider": "openai", "model_name": "gpt-5", "temperature": 0.2, "max_tokens": 10},
)
assert third.version == 3

loaded = mlflow.genai.load_prompt(f"prompts:/{name}/1")
assert loaded.template == "Answer {{question}} as {{ tone }}."
assert loaded.variables == {"question", "tone"}
assert loaded.format(question="it", tone="a friend") == "Answer it as a friend."
assert loaded.commit_message == "first"
assert loaded.tags["team"] == "ops", loaded.tags
loaded = mlflow.genai.load_prompt(name, version=3)
assert loaded.template == chat
assert loaded.response_format["type"] == "object"
assert loaded.model_config["model_name"] == "gpt-5"

mlflow.genai.set_prompt_alias(name, alias="production", version=2)
assert mlflow.genai.load_prompt(f"prompts:/{name}@production").version == 2
mlflow.genai.set_prompt_alias(name, alias="production", version=3)
assert mlflow.genai.load_prompt(f"prompts:/{name}@production", cache_ttl_seconds=0).version == 3
mlflow.genai.delete_prompt_alias(name, alias="production")
assert mlflow.genai.load_prompt(f"prompts:/{name}@latest").version == 3

mlflow.genai.set_prompt_tag(name, "owner", "lena")
assert mlflow.genai.get_prompt_tags(name)["owner"] == "lena"
mlflow.genai.delete_prompt_tag(name, "owner")
mlflow.genai.set_prompt_version_tag(name, 1, "reviewed", "yes")
assert mlflow.genai.load_prompt(name, version=1, cache_ttl_seconds=0).tags["reviewed"] == "yes"
mlflow.genai.delete_prompt_version_tag(name, 1, "reviewed")

# What our placeholders cannot say is theirs, and loads as it was.
odd = mlflow.genai.register_prompt(name=f"odd_{own}", template="{{ user.name }} has {{ 1 + 1 }} {{")
assert mlflow.genai.load_prompt(f"prompts:/odd_{own}/1").template == "{{ user.name }} has {{ 1 + 1 }} {{"

found = [one.name for one in mlflow.genai.search_prompts(filter_string=f"name LIKE '%{own}'")]
assert sorted(found) == sorted([name, f"odd_{own}"]), found
assert [one.name for one in mlflow.genai.search_prompts(filter_string=f"name = '{name}'")] == [name]

# Models and prompts are apart, and have no name in common.
client = mlflow.MlflowClient()
assert client.search_registered_models(f"name = '{name}'") == []
client.create_registered_model(f"model_{own}")
assert "prompt" in refused(lambda: client.create_model_version(name, "s3://bucket/model"))
refused(lambda: mlflow.genai.register_prompt(name=f"model_{own}", template="{{a}}"))
assert mlflow.genai.load_prompt(f"prompts:/never_{own}/1", allow_missing=True) is None
assert sorted(int(one.version) for one in client.search_prompt_versions(name)) == [1, 2, 3]
client.delete_prompt_version(name, "3")
assert refused(lambda: mlflow.genai.load_prompt(f"prompts:/{name}/3", cache_ttl_seconds=0))
print("ok")
