"""Prompts by `mlflow.genai`: registered, found, aliased, loaded, filled, and of use in a chat."""

import sys

import mlflow
from facts import tell
from mlflow.exceptions import MlflowException

name = sys.argv[1]
first = mlflow.genai.register_prompt(
    name=name, template="Answer {{ question }} briefly.", commit_message="first", tags={"team": "night"}
)
chat = [{"role": "system", "content": "You are {{ tone }}."}, {"role": "user", "content": "{{ question }}"}]
second = mlflow.genai.register_prompt(name=name, template=chat, model_config={"temperature": 0.2})
mlflow.genai.set_prompt_alias(name, alias="production", version=first.version)
loaded = mlflow.genai.load_prompt(f"prompts:/{name}@production")
mlflow.genai.set_prompt_alias(name, alias="production", version=second.version)
moved = mlflow.genai.load_prompt(f"prompts:/{name}@production", cache_ttl_seconds=0)
found = mlflow.genai.search_prompts(filter_string=f"name = '{name}' AND tags.team = 'night'")
try:
    mlflow.genai.load_prompt(f"prompts:/{name}/99")
except MlflowException as error:
    refused = error.error_code
tell(
    text=loaded.format(question="why"),
    chat=moved.format(tone="calm", question="why"),
    found=[one.name for one in found],
    refused=refused,
)
