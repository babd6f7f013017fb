"""Examples that every built-in scorer can judge: one that has all fields that were agreed on, and some of their own."""

from typing import Any

Example = tuple[dict[str, Any], dict[str, Any]]

TEXT = "The gate moves the alias 42 times before anybody is told of it."
EXPECTED: dict[str, Any] = {
    "answer": TEXT,
    "contains": ["gate", "alias"],
    "contains_any": ["42", "43"],
    "excludes": "dog",
    "regex": r"\d+ times",
    "number": 42,
    "json": {"moves": 42},
    "schema": {"type": "object", "required": ["moves"]},
    "label": "yes",
    "value": 3.5,
    "sources": ["gate.md", "alias.md"],
    "relevance": ["gate.md", "alias.md"],
    "claims": ["The gate moves the alias.", "It does so 42 times."],
    "contexts": [TEXT],
    "tool_calls": [{"name": "move", "arguments": {"alias": "production"}}],
    "steps": ["move"],
    "goals": ["The alias is moved."],
    "tests": "assert moves() == 42",
    "language": "en",
    "refuses": False,
}
OUTPUT: dict[str, Any] = {
    "text": TEXT,
    "value": "yes",
    "sources": ["gate.md#moving", "alias.md"],
    "contexts": [TEXT, "Nobody is told."],
    "tool_calls": [{"name": "move", "arguments": {"alias": "production"}}],
    "steps": [{"role": "user", "content": "Move it."}, {"role": "assistant", "content": TEXT}],
    "latency_ms": 120.0,
    "cost": 0.002,
    "input_tokens": 12,
    "output_tokens": 20,
    "input": {"question": "How often does the gate move the alias?"},
}


def _saying(text: str) -> list[Example]:
    return [(EXPECTED, {**OUTPUT, "text": text})]


def _suite(field: str, pairs: list[tuple[Any, Any]]) -> list[Example]:
    """Return examples that expect the first of each pair under a field and have the second as the output's value."""
    return [({**EXPECTED, field: wanted}, {**OUTPUT, "value": said}) for wanted, said in pairs]


CLASSES = _suite("label", [("yes", "yes"), ("no", "no"), ("yes", "no"), ("no", "no")])
CHANCES = _suite(
    "label", [("yes", {"yes": 0.8, "no": 0.2}), ("no", {"yes": 0.3, "no": 0.7}), ("yes", {"yes": 0.4, "no": 0.6})]
)
NUMBERS = _suite("value", [(3.5, 3.0), (1.0, 1.5), (2.0, 2.5), (7.0, 6.0)])

SPECIAL: dict[str, list[Example]] = {
    "code": _saying("```python\ndef moves():\n    return 42\n```"),
    "json_fields": _saying('```json\n{"moves": 42}\n```'),
    "json_schema": _saying('{"moves": 42}'),
    "corpus_bleu": [
        (EXPECTED, OUTPUT),
        ({"answers": ["Both rings move.", "Two rings move."]}, {"text": "Both rings move on."}),
    ],
    "corpus_chrf": [
        (EXPECTED, OUTPUT),
        ({"answers": ["Both rings move.", "Two rings move."]}, {"text": "Both rings move on."}),
    ],
    **dict.fromkeys(("balanced_accuracy", "cohen_kappa", "matthews"), CLASSES),
    **dict.fromkeys(("average_precision", "brier", "log_loss", "roc_auc"), CHANCES),
    "citation_support": _saying("The gate moves the alias 42 times [1]."),
    "ece": CHANCES * 4,
    **dict.fromkeys(("mae", "mape", "pinball", "r2", "rmse", "smape", "spearman"), NUMBERS),
}
"""By scorer, where the common example is none for it; of a metric the examples of a suite."""


def examples_of(scorer: str) -> list[Example]:
    """Return the examples of a scorer, at least one."""
    return SPECIAL.get(scorer, [(EXPECTED, OUTPUT)])
