"""Whatever stands in a file, of whatever format it pretends to be: an answer or an error of ours, never a crash."""

import contextlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.axis.evals.formats import FORMATS, examples_jsonl, read_suite
from gimbal.axis.evals.model import decode_examples
from gimbal.kernel.errors import BadInput, GimbalError

TEXTS = st.sampled_from(["x", "{{q}}", "{{q|f}}", "file://a.txt", "a*.csv", "[**", "x" * 300, "", "C", "not-contains", "é\x00"]) | st.text(max_size=5)  # fmt: skip
NAMES = st.sampled_from(
    [
        "tests",
        "prompts",
        "providers",
        "vars",
        "assert",
        "type",
        "value",
        "threshold",
        "metadata",
        "options",
        "scenarios",
        "config",
        "defaultTest",
        "evaluateOptions",
        "repeat",
        "id",
        "label",
        "raw",
        "role",
        "content",
        "input",
        "ideal",
        "item",
        "expected",
        "answer",
        "question",
        "weight",
        "doc_id",
        "arguments",
        "resps",
        "filtered_resps",
        "target",
        "metrics",
        "exact",
        "filter",
        "eval",
        "task",
        "model",
        "samples",
        "scores",
        "output",
        "choices",
        "message",
        "epoch",
        "attachments",
        "error",
        "$ref",
        "path",
        "class",
        "args",
        "samples_jsonl",
        "messages",
        "text",
        "completion",
    ]
)
KINDS = st.sampled_from(["equals", "contains", "contains-any", "icontains", "is-json", "similar", "assert-set", "regex", "is-refusal", "starts-with"])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | TEXTS | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
ASSERTS = st.fixed_dictionaries(
    {"type": KINDS, "value": VALUES}, optional={"threshold": VALUES, "assert": st.lists(VALUES, max_size=2)}
)
TESTS = st.fixed_dictionaries({"vars": st.dictionaries(NAMES, VALUES, max_size=2)}, optional={"assert": st.lists(ASSERTS | VALUES, max_size=3), "options": VALUES})  # fmt: skip
CONFIGS = st.fixed_dictionaries({"prompts": VALUES, "tests": st.lists(TESTS, max_size=3)}, optional={"providers": VALUES, "scenarios": VALUES, "defaultTest": VALUES, "evaluateOptions": VALUES})  # fmt: skip
SAMPLES = st.dictionaries(NAMES, VALUES, max_size=8)
LM_EVAL = st.fixed_dictionaries(
    {"doc_id": VALUES, "arguments": VALUES, "target": VALUES, "filtered_resps": VALUES, "metrics": VALUES}
)
OPENAI = st.fixed_dictionaries({"input": VALUES, "ideal": VALUES})
LOGS = st.fixed_dictionaries(
    {"eval": VALUES, "samples": VALUES | st.lists(SAMPLES, max_size=3)}, optional={"status": VALUES}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with one file that configs may name."""
    made = tmp_path_factory.mktemp("any")
    (made / "a.txt").write_text("hello")
    return made


def tried(path: Path, name: str) -> None:
    """Read a file; what it comes to can be stored, or the error says what to do."""
    with contextlib.suppress(GimbalError):
        found = read_suite([path], format=name)
        assert decode_examples(examples_jsonl(found.examples)) == found.examples


@settings(max_examples=1500, deadline=None)
@given(value=CONFIGS | VALUES)
def test_any_config(value: Any, folder: Path) -> None:
    """Of promptfoo."""
    (folder / "c.json").write_text(json.dumps(value))
    tried(folder / "c.json", "promptfoo")


@settings(max_examples=1500, deadline=None)
@given(rows=st.lists(SAMPLES | LM_EVAL | OPENAI | VALUES, min_size=1, max_size=3), name=st.sampled_from(["jsonl", "openai", "lm_eval"]))  # fmt: skip
def test_any_lines(rows: list[Any], name: str, folder: Path) -> None:
    """Of rows, of OpenAI's evals, of the harness."""
    (folder / "samples_t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tried(folder / "samples_t.jsonl", name)


@settings(max_examples=1500, deadline=None)
@given(log=LOGS | VALUES)
def test_any_log(log: Any, folder: Path) -> None:
    """Of Inspect, as JSON and in an archive."""
    (folder / "log.json").write_text(json.dumps(log))
    tried(folder / "log.json", "inspect")
    if isinstance(log, dict):
        with zipfile.ZipFile(folder / "log.eval", "w") as file:
            file.writestr("header.json", json.dumps(log))
            listed = log.get("samples")
            for index, one in enumerate(listed if isinstance(listed, list) else []):
                file.writestr(f"samples/{index}_epoch_1.json", json.dumps(one))
            file.writestr("summaries.json", json.dumps(listed))
        tried(folder / "log.eval", "inspect")


@settings(max_examples=1500, deadline=None)
@given(content=st.binary(max_size=60), name=st.sampled_from(sorted(FORMATS)))
def test_any_bytes(content: bytes, name: str, folder: Path) -> None:
    """In every format."""
    (folder / "bytes").write_bytes(content)
    tried(folder / "bytes", name)
    for ending in (".csv", ".json", ".yaml", ".eval", ".parquet", ".jsonl"):
        path = folder / f"bytes{ending}"
        path.write_bytes(content)
        with contextlib.suppress(BadInput):
            read_suite([path])
