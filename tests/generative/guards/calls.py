"""How calls are made by each wire, for those who test what guards make of them."""

import json

SECRET = "bob@example.com"
MASK = '[[guards]]\nname = "contacts"\ndetectors = ["contact"]\naction = "mask"\n'
ASK = [{"role": "user", "content": f"Write to {SECRET} please"}]
PLAIN = [{"role": "user", "content": "Write to Bob"}]


def chat(model="up/tiny", messages=ASK, **more):
    return "/v1/chat/completions", {"model": model, "messages": messages, **more}


def anthropic(model="claude/tiny", messages=ASK, **more):
    return "/v1/messages", {"model": model, "messages": messages, "max_tokens": 50, **more}


def responses(model="up/tiny", messages=ASK, **more):
    return "/v1/responses", {"model": model, "input": messages, **more}


def gemini(model="up/tiny", messages=ASK, **more):
    streams = more.pop("stream", False)
    verb = "streamGenerateContent?alt=sse" if streams else "generateContent"
    contents = [{"role": "user", "parts": [{"text": message["content"]}]} for message in messages]
    return f"/v1beta/models/{model}:{verb}", {"contents": contents, **more}


DOORS = [chat, anthropic, responses, gemini]


async def send(http, asked, **headers):
    path, body = asked
    answer = await http.post(path, json=body, headers=headers)
    await answer.aread()
    return answer


def sent(upstream):
    return json.dumps(upstream.received, ensure_ascii=False)
