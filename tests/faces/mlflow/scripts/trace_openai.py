"""Calls of the OpenAI client under MLflow's autologging, in a session of a user; some are streamed, some are not awaited."""

import asyncio
import sys

import mlflow
import openai

name, upstream = sys.argv[1:]
mlflow.set_experiment(name)
mlflow.openai.autolog()
client = openai.OpenAI(base_url=f"{upstream}/v1", api_key="sk-none")
asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


@mlflow.trace(name="turn")
def turn():
    mlflow.update_current_trace(
        tags={"team": "search"}, metadata={"mlflow.trace.user": "ann", "mlflow.trace.session": "talk-1"}
    )
    return client.chat.completions.create(**asked).choices[0].message.content


assert turn()
first = mlflow.get_last_active_trace_id()
stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
assert "".join(part.choices[0].delta.content or "" for part in stream if part.choices)


async def several():
    made = openai.AsyncOpenAI(base_url=f"{upstream}/v1", api_key="sk-none")
    return await asyncio.gather(*(made.chat.completions.create(**asked) for _ in range(3)))


assert len(asyncio.run(several())) == 3
mlflow.flush_trace_async_logging()
trace = mlflow.get_trace(first)
assert trace.info.token_usage["input_tokens"] == 21, trace.info.token_usage
assert trace.info.trace_metadata["mlflow.trace.session"] == "talk-1"
call = next(span for span in trace.data.spans if span.span_type == "CHAT_MODEL")
assert call.inputs["messages"] == asked["messages"]
found = mlflow.search_traces(return_type="list")
assert len(found) == 5, len(found)
assert all(one.info.token_usage for one in found)
by_session = mlflow.search_traces(filter_string="metadata.`mlflow.trace.session` = 'talk-1'", return_type="list")
assert [one.info.trace_id for one in by_session] == [first]
print(first)
print("ok")
