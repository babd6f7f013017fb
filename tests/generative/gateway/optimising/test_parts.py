"""The parts of an optimisation that need no gateway: the split, the mark, candidates and their files, the front, the shots."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.evals.model import EvaluationResult, Example
from gimbal.axis.evals.suites import applied
from gimbal.generative.gateway.optimising import reflecting, shots
from gimbal.generative.gateway.optimising.candidates import Genome, Refused, Shot, Start, shown
from gimbal.generative.gateway.optimising.front import covered
from gimbal.generative.gateway.optimising.marking import Objective
from gimbal.generative.gateway.optimising.model import Row, WeightedMark
from gimbal.generative.gateway.optimising.splitting import independent, split
from gimbal.generative.prompts.files import read_prompt
from gimbal.generative.prompts.model import format_messages
from gimbal.kernel.errors import BadInput

FILE = '+++\n# a remark\nmodel = "up/tiny"\n+++\n\n## system\nBe brief.\n\n## user\n{{question}}\n'


def suite(count, *, clusters=None, slices=1):
    return [
        Example(
            id=f"q{i}",
            input={"question": f"What is {i}?"},
            cluster=f"c{i % (clusters or count)}",
            slice=f"s{i % slices}",
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_cluster_is_on_two_sides_and_every_slice_is_on_each(seed):
    rows = suite(96, clusters=48, slices=3)
    found = split(rows, validation=0.5, shots=True, seed=seed)
    parts = {"train": found.train, "shots": found.shots, "validation": found.validation}
    of = {row.id: row for row in rows}

    assert sorted(name for part in parts.values() for name in part) == sorted(of)
    clusters = {name: {of[id_].cluster for id_ in part} for name, part in parts.items()}
    assert {name: len(found) for name, found in clusters.items()} == found.clusters
    assert not clusters["train"] & clusters["validation"]
    assert not clusters["shots"] & (clusters["validation"] | clusters["train"])
    assert found.clusters == {"train": 16, "shots": 8, "validation": 24}
    for part in parts.values():
        counts = Counter(of[name].slice for name in part)
        assert max(counts.values()) - min(counts.values()) <= 2
    assert found == split(rows, validation=0.5, shots=True, seed=seed)
    assert found != split(rows, validation=0.5, shots=True, seed=seed + 1)


def test_what_asks_the_same_is_not_held_out_from_itself():
    rows = [Example(id=f"q{i}", input={"question": f"What is {i // 2}?"}, cluster=f"c{i}") for i in range(48)]
    found = split(rows, validation=0.5, shots=False, seed=1)
    asks = [{row.input["question"] for row in rows if row.id in set(part)} for part in (found.train, found.validation)]

    assert not asks[0] & asks[1]
    assert found.clusters["validation"] == 12


def test_the_proof_counts_as_many_groups_as_the_plan():
    """One question under several names is one piece of evidence, also where nobody gave it a cluster."""
    rows = [Example(id=f"q{i}", input={"question": f"What is {i // 4}?"}) for i in range(48)]
    found = split(rows, validation=0.5, shots=False, seed=1)
    held = {row.id: row for row in independent(rows)}

    assert len({held[name].cluster for name in found.validation}) == found.clusters["validation"] == 6
    assert [row.id for row in independent(rows)] == [row.id for row in rows]


@pytest.mark.parametrize(("count", "shots"), [(1, False), (7, False), (10, False), (12, True)])
def test_a_suite_that_is_too_small_to_part_says_what_is_missing(count, shots):
    rows = suite(count)
    if count == 12:
        assert split(rows, validation=0.5, shots=True, seed=0).clusters == {"train": 4, "shots": 2, "validation": 6}
        rows = suite(8)
    with pytest.raises(BadInput, match="independent groups") as caught:
        split(rows, validation=0.5, shots=shots, seed=0)
    assert "6 groups are held out and 2 trained on at least" in caught.value.todo


def result(**fields):
    given = {"example_id": "q", "cluster": "c", "input": {}, "expected": {}, "text": "t", "sources": None, "scores": {}}
    given |= {"missing": {}, "trace_id": "", "latency_ms": None, "error": ""}
    return EvaluationResult(**given | fields)


def test_several_scorers_make_one_mark_by_their_weights():
    scorers = applied(["exact_match", "token_f1", "latency"])
    both = Objective(scorers, [WeightedMark(scorer="exact_match"), WeightedMark(scorer="token_f1", weight=3)])

    assert both.of(result(scores={"exact_match": 0.0, "token_f1": 0.8})) == pytest.approx(0.6)
    assert Objective(scorers, []).marks == [WeightedMark(scorer="exact_match")]


def test_a_missing_value_counts_as_the_worst_and_one_that_nobody_expected_not_at_all():
    one = Objective(applied(["exact_match"]), [])

    assert one.of(result(missing={"exact_match": "refused"}, error="no", failure="refused")) == 0
    assert one.of(result(missing={"exact_match": "no_expectation"})) is None
    assert one.by_example(
        [result(repeat=0, scores={"exact_match": 1.0}), result(repeat=1, missing={"exact_match": "error"})]
    ) == {"q": 0.5}


@pytest.mark.parametrize("named", ["latency", "corpus_chrf", "nobody"])
def test_what_gives_no_mark_cannot_be_improved(named):
    with pytest.raises(BadInput) as caught:
        Objective(applied(["exact_match", "latency", "corpus_chrf"]), [WeightedMark(scorer=named)])
    assert caught.value.where == "marks[0].scorer"


def start(text=FILE):
    return Start(read_prompt(text), text, "b3:" + "0" * 64)


@pytest.mark.parametrize(
    "said",
    [
        "plain",
        "{{question}} stays",
        "\\{{ and {{{",
        "## user\nis no heading",
        "a\r\nb",
        "\x00 nul",
        "日本 🙂",
        "+++",
        "\\## user",
    ],
)
def test_a_shown_example_says_what_it_said(said):
    """Whatever a text looks like, the model gets it as it was, also from the file that the version keeps."""
    shot = Shot(example="q1", user=shown(said), assistant=shown(f"answer {said}"))
    made = start().make(Genome(texts=("Be brief.", "{{question}}"), shots=(shot,)))
    for manifest in (made.manifest, read_prompt(made.text)):
        messages = format_messages(manifest, {"question": "now {{tone}}"})
        assert [m.role for m in messages] == ["system", "user", "assistant", "user"]
        assert messages[1].content == said.replace("\r\n", "\n")
        assert messages[2].content == "answer " + said.replace("\r\n", "\n")
        assert messages[3].content == "now {{tone}}"
    assert made.text.startswith('+++\n# a remark\nmodel = "up/tiny"\n+++\n')


@pytest.mark.parametrize("said", ["", " \n ", "x" * 20_001, "half \ud83d", "y" * 5_000_000])
def test_what_cannot_be_shown_is_left_out(said):
    assert shown(said) is None


@given(st.text(max_size=60))
def test_a_proposal_becomes_a_file_that_says_the_same_or_is_refused(text):
    one = start()
    try:
        made = one.make(Genome(texts=(text, "{{question}}")))
    except Refused:
        return
    assert read_prompt(made.text).messages == made.manifest.messages


def test_files_with_other_line_ends_keep_them():
    made = start(FILE.replace("\n", "\r\n")).make(Genome(texts=("Be long.", "{{question}}")))

    assert made.text == FILE.replace("brief", "long").replace("\n", "\r\n")


def test_the_front_keeps_what_is_best_at_something():
    found = covered(
        [
            {"a": 1.0, "b": 0.0, "c": 0.0},
            {"a": 0.0, "b": 1.0, "c": 0.2},
            {"a": 0.5, "b": 0.5, "c": 0.1},
            {"a": 1.0, "b": 0.0, "c": 0.0},
        ]
    )

    assert found == {0: {"a"}, 1: {"b", "c"}}


def test_shown_examples_are_far_from_each_other():
    same = [Shot(example=f"s{i}", user="how many words has the page", assistant="x") for i in range(6)]
    other = Shot(example="o", user="wo steht der Turm", assistant="y")
    rng = np.random.default_rng(0)
    pairs = [shots.neighbour(same[:1], [*same[:2], other], rng) for _ in range(8)]

    assert all(other in pair for pair in pairs)
    assert {len(shots.drawn([*same, other], rng)) for _ in range(40)} == {1, 2, 4}
    assert len(shots.neighbour(same[:2], same[:2], rng)) == 1


def test_the_reflector_gets_huge_and_odd_data_bounded():
    row = Row(
        example="q", input={"question": "x" * 5_000_000, "half": "\ud83d"}, expected={"answer": "\x00"}, answer="y" * 5_000_000,
        mark=0.5, why=["exact_match: 0"],
    )  # fmt: skip
    messages = reflecting.asked("system", "Be {{tone}}.", [row] * 8)
    size = sum(len(message["content"].encode()) for message in messages)

    assert size < 80_000
    assert "Be {{tone}}." in messages[1]["content"]


def test_the_last_instruction_of_an_answer_is_the_proposal():
    said = "Maybe <instruction>one</instruction>, no: <instruction>two</instruction> it is."

    assert reflecting.proposal(said) == "two"
