"""Exports as the providers write them, with figures that can be added up by hand."""

from datetime import UTC, datetime
from typing import Any

import msgspec

FIRST = int(datetime(2025, 12, 1, tzinfo=UTC).timestamp())
DAY = 86_400


def page(*buckets: tuple[int, list[dict[str, Any]]], **more: Any) -> bytes:
    """Return an answer of OpenAI's usage or costs API; each bucket is a day and its results."""
    data = [
        {"object": "bucket", "start_time": FIRST + day * DAY, "end_time": FIRST + (day + 1) * DAY, "results": results}
        for day, results in buckets
    ]
    return msgspec.json.encode({"object": "page", "data": data, "has_more": False, "next_page": None} | more)


def used(model: str | None, input_tokens: Any, output_tokens: Any, requests: int = 1, **more: Any) -> dict[str, Any]:
    """Return a result of OpenAI's usage API."""
    return {
        "object": "organization.usage.completions.result", "input_tokens": input_tokens, "output_tokens": output_tokens,
        "input_cached_tokens": 0, "num_model_requests": requests, "project_id": None, "user_id": None, "api_key_id": None,
        "model": model, "batch": None, "service_tier": None,
    } | more  # fmt: skip


def cost(item: str | None, value: Any, currency: str = "usd", **more: Any) -> dict[str, Any]:
    """Return a result of OpenAI's costs API."""
    amount = {"value": value, "currency": currency}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item, "project_id": None} | more


OPENAI_COSTS_CSV = b"""start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id,organization_name
1764547200,1764633600,2025-12-01T00:00:00+00:00,2025-12-02T00:00:00+00:00,0.8958740000000000,usd,"gpt-4o-2024-08-06, input",,org-1,Personal
1764547200,1764633600,2025-12-01T00:00:00+00:00,2025-12-02T00:00:00+00:00,0.1041260000000000,usd,"gpt-4o-2024-08-06, output",,org-1,Personal
1764633600,1764720000,2025-12-02T00:00:00+00:00,2025-12-03T00:00:00+00:00,,,,,,
1764720000,1764806400,2025-12-03T00:00:00+00:00,2025-12-04T00:00:00+00:00,many,usd,"gpt-4o-2024-08-06, input",,org-1,Personal
"""

ANTHROPIC_USAGE = {
    "data": [
        {
            "starting_at": "2025-12-01T00:00:00Z",
            "ending_at": "2025-12-02T00:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 1000,
                    "cache_creation": {"ephemeral_1h_input_tokens": 10, "ephemeral_5m_input_tokens": 20},
                    "cache_read_input_tokens": 300,
                    "output_tokens": 50,
                    "server_tool_use": {"web_search_requests": 2},
                    "model": "claude-sonnet-4-5-20250929",
                    "service_tier": "standard",
                    "context_window": "0-200k",
                    "api_key_id": None,
                    "workspace_id": None,
                }
            ],
        }
    ],
    "has_more": False,
    "next_page": None,
}

ANTHROPIC_COSTS = {
    "data": [
        {
            "starting_at": "2025-12-01T00:00:00Z",
            "ending_at": "2025-12-02T00:00:00Z",
            "results": [
                {
                    "currency": "USD", "amount": "123.45", "workspace_id": None, "cost_type": "tokens",
                    "description": "Claude Sonnet 4.5 Usage - Input Tokens", "model": "claude-sonnet-4-5-20250929",
                    "service_tier": "standard", "token_type": "uncached_input_tokens", "context_window": "0-200k",
                },
                {
                    "currency": "USD", "amount": "2", "workspace_id": None, "cost_type": "web_search",
                    "description": "Web Search Usage", "model": None, "service_tier": None, "token_type": None,
                    "context_window": None,
                },
            ],
        }
    ],
    "has_more": False,
}  # fmt: skip

ANTHROPIC_USAGE_CSV = """usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed
2025-12-01,claude-sonnet-4-5-20250929,app,Default,standard,\u2264 200k,1000,20,10,300,50,2,global,
2025-12-02,claude-sonnet-4-5-20250929,app,Default,batch,\u2264 200k,5,0,0,0,1,0,global,
""".encode()

ANTHROPIC_COSTS_CSV = """usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed
2025-12-01,Claude Sonnet 4.5,Default,app,message,\u2264 200k,input_no_cache,0.01,0.01,token,global,
2025-12-01,Claude Sonnet 4.5,Default,app,message,\u2264 200k,output,1.25,1.25,token,global,
2025-12-01,,Default,app,message,,,0.02,0.02,web_search,global,
""".encode()


def encoded(value: Any) -> bytes:
    """Return JSON."""
    return msgspec.json.encode(value)
