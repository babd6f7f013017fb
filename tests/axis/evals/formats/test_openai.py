"""OpenAI's evals: samples, registries by the class of each eval, and rows of the hosted API."""

import json
from typing import Any

import pytest

from gimbal.axis.evals.formats import detect, read_suite
from gimbal.axis.evals.suites import applied
from gimbal.kernel.errors import BadInput

from .conftest import Read, Write

SAMPLE = {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}], "ideal": "4"}


def rows(*samples: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in samples)


def registry(write: Write, graded: str, *samples: Any, name: str = "math/s.jsonl", **args: Any) -> Any:
    write("registry/data/math/s.jsonl", rows(*samples))
    entries = {
        "math": {"id": "math.dev.v0", "metrics": ["accuracy"]},
        "math.dev.v0": {
            "class": f"evals.elsuite.basic.{graded.lower()}:{graded}",
            "args": {"samples_jsonl": name} | args,
        },
    }
    return write("registry/evals/math.yaml", json.dumps(entries))


def test_samples_are_examples(write: Write) -> None:
    """A conversation with its last question, one message as the question, several ideal answers, fields beside them."""
    path = write("a.jsonl", rows(SAMPLE, {"input": "Say hi", "ideal": ["hi", "Hi"], "level": 2}, {"input": [SAMPLE["input"][1]], "ideal": 4}))  # fmt: skip
    found = read_suite([path])

    assert detect(path) == "openai"
    assert [e.input for e in found.examples] == [
        {"messages": SAMPLE["input"], "question": "2+2?"}, {"question": "Say hi"}, {"question": "2+2?"},
    ]  # fmt: skip
    assert [e.expected for e in found.examples] == [{"answer": "4"}, {"answers": ["hi", "Hi"]}, {"answer": "4"}]
    assert found.examples[1].metadata == {"level": 2}
    assert [one.scorer for one in found.scorers] == ["exact_match"]


@pytest.mark.parametrize(
    ("graded", "ideal", "scorer", "right", "wrong"),
    [
        ("Match", ["4", "(four"], "regex", "(four it is", "it is 4"),
        ("Includes", ["4", "four"], "contains", "it is four", "five"),
        ("FuzzyMatch", "4", "exact_match", " 4.", "5"),
        ("JsonMatch", '{"a": [1]}', "json_fields", '{"a":[1]}', '{"a":[2]}'),
    ],
)
async def test_the_class_of_an_eval_says_how_it_is_judged(
    write: Write, graded: str, ideal: Any, scorer: str, right: str, wrong: str
) -> None:
    """The samples lie in the folder `data` beside the registry's, as in the repository."""
    path = registry(write, graded, {"input": "2+2?", "ideal": ideal})
    found = read_suite([path])
    judge = applied(found.scorers)[0]

    assert detect(path) == "openai"
    assert [one.scorer for one in found.scorers] == [scorer]
    assert found.examples[0].slice == "math.dev.v0"
    values = [(await judge.judge(None, found.examples[0].expected, {"text": text})).value for text in (right, wrong)]  # type: ignore[arg-type]
    assert values == [1.0, 0.0]


def test_a_class_that_is_not_known_is_told(write: Write) -> None:
    """As are arguments that nothing here reads."""
    found = read_suite([registry(write, "ModelBasedClassify", {"input": "x", "ideal": "y"}, eval_type="cot")])

    assert any("`ModelBasedClassify` has no counterpart" in note for note in found.notes)
    assert any("`args.eval_type`" in note for note in found.notes)


def test_hosted_rows_are_read_by_their_fields(read: Read) -> None:
    """What stands beside the item is told."""
    found = read(
        "a.jsonl", rows({"item": {"question": "x", "reference": "y"}}, {"item": {"question": "z"}, "sample": {}})
    )

    assert [(e.input, e.expected) for e in found.examples] == [
        ({"question": "x"}, {"answer": "y"}),
        ({"question": "z"}, {}),
    ]
    assert any("beside `item`" in note for note in found.notes)


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ({"ideal": "x"}, "no input"),
        ({"input": 5, "ideal": "x"}, "a number, not a text or messages"),
        ({"input": [], "ideal": "x"}, "not a text or messages"),
        ({"input": [{"content": "x"}], "ideal": "x"}, "no role"),
    ],
)
def test_a_bad_sample_is_named(read: Read, sample: Any, told: str) -> None:
    """By file and line."""
    with pytest.raises(BadInput, match=told) as refused:
        read("a.jsonl", rows(SAMPLE, sample), format="openai")
    assert refused.value.where.endswith("a.jsonl:2")


@pytest.mark.parametrize("name", ["../../secret.jsonl", "/etc/hosts", "none.jsonl"])
def test_samples_elsewhere_are_not_read(write: Write, name: str) -> None:
    """Only below the registry's folder or `data` beside it."""
    write("secret.jsonl", rows(SAMPLE))
    with pytest.raises(BadInput, match="There is no file"):
        read_suite([registry(write, "Match", SAMPLE, name=name)])


def test_an_ideal_that_should_be_json_is(write: Write) -> None:
    """For the class that compares JSON."""
    with pytest.raises(BadInput, match="not JSON"):
        read_suite([registry(write, "JsonMatch", {"input": "x", "ideal": "{"})])
