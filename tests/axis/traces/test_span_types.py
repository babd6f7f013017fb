"""Spans are typed: each type of each convention has its kind, with its documents, and what went in and out.

The rows are the constants of openinference-semantic-conventions 0.1.42, langfuse 5.0.4, mlflow-skinny 3.17.2,
opentelemetry-semantic-conventions 0.66b2, opentelemetry-semantic-conventions-ai 0.5.1 and the AI SDK 5 to 7.
"""

import json
from typing import Any

import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_dialects import reading

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces import otlp
from gimbal.axis.traces.derive import derived
from gimbal.axis.traces.dialects import read
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import KINDS, Document
from gimbal.axis.traces.otlp import RawSpan
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context

TYPES: dict[str, dict[str, str]] = {
    "openinference.span.kind": {
        "LLM": "llm", "CHAIN": "chain", "AGENT": "agent", "TOOL": "tool", "RETRIEVER": "retriever", "EMBEDDING": "embedding",
        "RERANKER": "reranker", "GUARDRAIL": "guard", "EVALUATOR": "evaluator", "PROMPT": "chain", "DECISION": "prediction",
        "UNKNOWN": "other",
    },
    "langfuse.observation.type": {
        "generation": "llm", "embedding": "embedding", "agent": "agent", "tool": "tool", "chain": "chain",
        "retriever": "retriever", "evaluator": "evaluator", "guardrail": "guard", "span": "other", "event": "other",
    },
    "mlflow.spanType": {
        '"LLM"': "llm", '"CHAT_MODEL"': "llm", '"CHAIN"': "chain", '"AGENT"': "agent", '"TOOL"': "tool",
        '"RETRIEVER"': "retriever", '"PARSER"': "chain", '"EMBEDDING"': "embedding", '"RERANKER"': "reranker",
        '"MEMORY"': "other", '"UNKNOWN"': "other", '"WORKFLOW"': "chain", '"TASK"': "chain", '"GUARDRAIL"': "guard",
        '"EVALUATOR"': "evaluator", '"my own"': "other",
    },
    "gen_ai.operation.name": {
        "chat": "llm", "generate_content": "llm", "text_completion": "llm", "embeddings": "embedding", "retrieval": "retriever",
        "create_agent": "agent", "invoke_agent": "agent", "execute_tool": "tool", "invoke_workflow": "chain",
        # Proposed ones, and those of the AI SDK 7 and Strands.
        "apply_guardrail": "guard", "run_guardrail": "guard", "rerank": "reranker", "agent_step": "chain", "decision": "prediction",
    },
    "traceloop.span.kind": {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool", "unknown": "other"},
    "llm.request.type": {"completion": "llm", "chat": "llm", "rerank": "reranker", "embedding": "embedding", "unknown": "other"},
    "ai.operationId": {
        "ai.generateText": "chain", "ai.generateText.doGenerate": "llm", "ai.streamText": "chain", "ai.streamText.doStream": "llm",
        "ai.generateObject": "chain", "ai.generateObject.doGenerate": "llm", "ai.streamObject": "chain",
        "ai.streamObject.doStream": "llm", "ai.embed": "chain", "ai.embed.doEmbed": "embedding", "ai.embedMany": "chain",
        "ai.embedMany.doEmbed": "embedding", "ai.rerank": "chain", "ai.rerank.doRerank": "reranker", "ai.toolCall": "tool",
    },
}  # fmt: skip
ROWS = [(name, given, kind) for name, kinds in TYPES.items() for given, kind in kinds.items()]


@pytest.mark.parametrize(("name", "given", "kind"), ROWS)
def test_each_type_of_each_convention_has_its_kind(name: str, given: str, kind: str) -> None:
    """One row for each constant of the packages."""
    assert reading({name: given}).kind == kind
    assert kind in KINDS


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.guardrail.name": "pii"}, "guard"),
        ({"gen_ai.guardian.name": "pii", "gen_ai.request.model": "m"}, "guard"),
        ({"gen_ai.evaluation.name": "helpful"}, "evaluator"),
        ({"gen_ai.operation.name": "chat", "gen_ai.evaluation.name": "helpful"}, "llm"),
        ({"gen_ai.response.model": "m"}, "llm"),
        ({"db.system": "chroma", "db.operation": "query"}, "retriever"),
        ({"db.system": "qdrant", "db.operation": "search_batch"}, "retriever"),
        ({"db.system": "chroma", "db.operation": "add"}, "other"),
        ({"db.system": "postgresql", "db.operation": "query"}, "other"),
    ],
)
def test_a_span_without_an_operation_is_told_by_what_it_bears(attributes: dict[str, Any], kind: str) -> None:
    """Guards, evaluations, and searches of vector databases."""
    assert reading(attributes).kind == kind


FOUND = [Document(id="d1", content="Noon.", score=0.5, source="a.md"), Document(id="d2", content="Dusk.")]
PLAIN = [{"id": "d1", "content": "Noon.", "score": 0.5, "source": "a.md"}, {"id": "d2", "content": "Dusk."}]
LANGCHAIN = [
    {"id": "d1", "page_content": "Noon.", "metadata": {"score": 0.5, "source": "a.md"}},
    {"page_content": "Dusk.", "metadata": {"doc_id": "d2"}},
]
FLAT = {
    "0.document.id": "d1", "0.document.content": "Noon.", "0.document.score": 0.5, "0.document.metadata": '{"source": "a.md"}',
    "1.document.id": "d2", "1.document.content": "Dusk.",
}  # fmt: skip


def without_metadata(documents: list[Document]) -> list[Document]:
    return [Document(id=d.id, content=d.content, score=d.score, source=d.source) for d in documents]


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "RETRIEVER", **{f"retrieval.documents.{name}": value for name, value in FLAT.items()}},
        {"openinference.span.kind": "RERANKER", **{f"reranker.output_documents.{name}": value for name, value in FLAT.items()}},
        {"langfuse.observation.type": "retriever", "langfuse.observation.output": json.dumps(PLAIN)},
        {"langfuse.observation.type": "retriever", "langfuse.observation.output": json.dumps({"documents": LANGCHAIN})},
        {"mlflow.spanType": '"RETRIEVER"', "mlflow.spanOutputs": json.dumps(LANGCHAIN)},
        {"mlflow.spanType": '"RERANKER"', "mlflow.spanOutputs": json.dumps(PLAIN)},
        {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": json.dumps(PLAIN)},
        {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": PLAIN},
    ],
)  # fmt: skip
def test_documents_are_the_same_whoever_found_them(attributes: dict[str, Any]) -> None:
    """Id, content, score and source, from the metadata where they stand there; what else it says is kept."""
    seen = reading(attributes)
    assert without_metadata(seen.documents) == FOUND


def test_a_ranking_of_the_ai_sdk_has_documents_in_its_order() -> None:
    """Its rows name them by their number; of version 6 and, among GenAI names, of 7."""
    documents = [json.dumps("Dusk."), json.dumps({"id": "n", "text": "Noon."}), json.dumps("x")]
    ranking = [
        json.dumps({"index": 1, "relevanceScore": 0.9}),
        json.dumps({"index": 0, "relevanceScore": 0.2}),
        '{"index": 9}',
        "x",
    ]
    for own in ({"ai.operationId": "ai.rerank.doRerank"}, {"gen_ai.operation.name": "rerank"}):
        seen = reading({**own, "ai.documents": documents, "ai.ranking": ranking})
        assert seen.kind == "reranker"
        assert seen.documents == [
            Document(id="n", content="Noon.", score=0.9),
            Document(id="0", content="Dusk.", score=0.2),
        ]


def test_a_reranker_of_openinference_has_what_went_in() -> None:
    """The question and the documents before, and the model."""
    flat = {f"reranker.input_documents.{name}": value for name, value in FLAT.items()}
    seen = reading(
        {"openinference.span.kind": "RERANKER", "reranker.query": "When?", "reranker.model_name": "r-1", **flat}
    )
    assert seen.model == "r-1"
    assert seen.input["query"] == "When?"
    assert without_metadata(seen.input["documents"]) == FOUND


def test_a_search_of_a_vector_database_has_documents() -> None:
    """An event each, with the distance among the rest."""
    results = {
        "db.query.result#1": {"db.query.result.id": "d1", "db.query.result.document": "Noon.", "db.query.result.metadata": '{"source": "a.md"}'},
        "db.query.result#2": {"db.query.result.id": "d2", "db.query.result.score": 0.5},
        "other": {"db.query.result.id": "d3"},
    }  # fmt: skip
    seen = reading({"db.system": "chroma", "db.operation": "query"}, results)
    assert (seen.dialect, seen.kind) == ("traceloop", "retriever")
    assert without_metadata(seen.documents) == [
        Document(id="d1", content="Noon.", source="a.md"),
        Document(id="d2", score=0.5),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "TOOL", "input.value": '{"at":"sky"}', "output.value": "clear", "tool.name": "look"},
        {"openinference.span.kind": "TOOL", "tool.parameters": '{"at":"sky"}', "output.value": "clear"},
        {"langfuse.observation.type": "tool", "langfuse.observation.input": '{"at":"sky"}', "langfuse.observation.output": "clear"},
        {"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": '{"at":"sky"}', "mlflow.spanOutputs": '"clear"'},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": '{"at":"sky"}', "gen_ai.tool.call.result": "clear"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": {"at": "sky"}, "gen_ai.tool.call.result": "clear"},
        {"ai.operationId": "ai.toolCall", "ai.toolCall.args": '{"at":"sky"}', "ai.toolCall.result": '"clear"'},
        {"traceloop.span.kind": "tool", "traceloop.entity.input": '{"at":"sky"}', "traceloop.entity.output": '"clear"'},
    ],
)  # fmt: skip
def test_a_tool_has_its_arguments_and_its_result(attributes: dict[str, Any]) -> None:
    """As values, whatever they were written in."""
    seen = reading(attributes)
    assert (seen.kind, seen.input, seen.output) == ("tool", {"at": "sky"}, "clear")


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "e-1", "llm.token_count.prompt": 4,
         "embedding.embeddings.0.embedding.text": "one", "embedding.embeddings.1.embedding.text": "two",
         "embedding.embeddings.0.embedding.vector": [0.5] * 1536},
        {"langfuse.observation.type": "embedding", "langfuse.observation.model.name": "e-1", "langfuse.observation.input": '["one","two"]',
         "langfuse.observation.usage_details": '{"input": 4}'},
        {"ai.operationId": "ai.embedMany.doEmbed", "ai.model.id": "e-1", "ai.usage.tokens": 4, "ai.values": ['"one"', '"two"'],
         "ai.embeddings": [json.dumps([0.5] * 1536)]},
    ],
)  # fmt: skip
async def test_an_embedding_has_its_texts_and_no_vectors(
    traces: Traces, here: Context, attributes: dict[str, Any]
) -> None:
    """Model, usage and texts; of the vectors references that say how many numbers they are."""
    seen = reading(attributes)
    assert (seen.kind, seen.model, seen.usage, seen.input) == (
        "embedding",
        "e-1",
        Usage.of(input_tokens=4),
        ["one", "two"],
    )
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.span(trace, 1, attributes=attributes)))
    span = (await traces.get(here, trace)).spans[0]
    held = json.dumps(span.attributes)
    assert "0.5, 0.5" not in held
    assert ("numbers=1536" in held) == ("0.5, 0.5" in json.dumps(attributes))


def test_a_decision_has_its_model_and_usage() -> None:
    """Names of their own."""
    seen = reading(
        {"openinference.span.kind": "DECISION", "decision.response.model_name": "claude-sonnet-4", "decision.provider": "anthropic",
         "decision.token_count.input": 1000, "decision.token_count.output": 50}
    )  # fmt: skip
    assert (seen.kind, seen.provider, seen.model) == ("prediction", "anthropic", "claude-sonnet-4")
    assert seen.usage == Usage.of(input_tokens=1000, output_tokens=50)


@pytest.mark.parametrize(
    ("status", "events", "expected"),
    [
        ({"code": 2}, ["first", "last"], "last"),
        ({"code": 2, "message": "said"}, ["x"], "said"),
        ({"code": 1}, ["x"], ""),
        ({"code": 2}, [], ""),
        ({"code": 2}, [7], ""),
        ({"code": 2}, ["m" * 20_000], "m" * 10_000),
    ],
)
async def test_a_failure_without_a_message_has_that_of_its_exception(
    traces: Traces, here: Context, status: dict[str, Any], events: list[Any], expected: str
) -> None:
    """The last one; MLflow writes it there only. Reading it anew finds the same."""
    trace = wire.trace_id()
    given = wire.span(trace, 1, status=status, attributes={"mlflow.spanType": '"LLM"'})
    for said in events:
        given.events.add(name="exception", attributes=wire.pairs({"exception.message": said}))
    await ingest(here, wire.request(given))
    span = (await traces.get(here, trace)).spans[0]
    assert span.status_message == expected
    assert derived(span) == span


def test_nothing_of_a_wrong_kind_breaks_the_reading_of_documents() -> None:
    """In any of the places."""
    for odd in (
        None,
        5,
        "x",
        [5],
        [None],
        [[]],
        {"documents": 5},
        [{"metadata": 5}],
        [{"content": {"text": 5}}],
        [{"id": {}, "score": "x"}],
    ):
        for attributes in (
            {"mlflow.spanType": '"RETRIEVER"', "mlflow.spanOutputs": json.dumps(odd)},
            {"langfuse.observation.type": "retriever", "langfuse.observation.output": odd},
            {"gen_ai.operation.name": "rerank", "ai.documents": odd, "ai.ranking": odd},
            {
                "openinference.span.kind": "RERANKER",
                "reranker.output_documents.0.document.metadata": odd,
                "reranker.query": odd,
            },
        ):
            raw = next(otlp.spans(wire.request(wire.span("1" * 32, 1, attributes=attributes))))
            assert isinstance(raw, RawSpan)
            assert read(raw).kind in {"retriever", "reranker"}
