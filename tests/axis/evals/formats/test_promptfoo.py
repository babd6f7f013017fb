"""promptfoo's config: what its assertions come to, and that nothing of it runs, is fetched, or is lost in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from gimbal.axis.evals.formats import Imported, read_suite
from gimbal.axis.evals.suites import applied
from gimbal.generative.prompts.files import read_prompt
from gimbal.kernel.errors import BadInput, TooLarge

from .conftest import Read, Write

CONFIG = """
description: Capitals
prompts:
  - 'What is the capital of {{ country }}?'
  - file://chat.json
  - 'In {% if polite %}kind{% endif %} words: {{country}}'
providers:
  - id: openai:chat:gpt-5-mini
    config: {temperature: 0.5, max_tokens: 100, apiKey: x}
  - anthropic:messages:claude-haiku-4-5
  - exec:python run.py
defaultTest:
  vars: {polite: yes}
  assert:
    - type: latency
      threshold: 2000
tests:
  - description: the easy one
    vars: {country: France}
    metadata: {level: easy}
    assert:
      - {type: equals, value: Paris}
      - {type: javascript, value: output.length < 10}
  - vars: {country: [Italy, Spain]}
    assert:
      - type: llm-rubric
        value: Is kind
        weight: 2
evaluateOptions: {repeat: 3, maxConcurrency: 2}
outputPath: out.json
"""


@pytest.fixture
def capitals(write: Write) -> Imported:
    """Read the config above."""
    write("chat.json", '[{"role":"system","content":"Be brief.\\n## user"},{"role":"user","content":"{{country}}?"}]')
    return read_suite([write("promptfooconfig.yaml", CONFIG)])


def asserted(read: Read, *assertions: Any, **given: Any) -> Imported:
    test = {"vars": {"q": "x"} | given, "assert": list(assertions)}
    return read("c.json", json.dumps({"prompts": ["{{q}}"], "providers": ["openai:m"], "tests": [test]}))


def test_tests_become_examples(capitals: Imported) -> None:
    """With defaults in them, a list of values as several, `yes` as the text that it is there."""
    assert [e.input for e in capitals.examples] == [
        {"polite": "yes", "country": country} for country in ("France", "Italy", "Spain")
    ]
    assert capitals.examples[0].expected == {"answer": "Paris"}
    assert capitals.examples[0].metadata["level"] == "easy"
    assert capitals.examples[0].metadata["promptfoo"]["description"] == "the easy one"
    assert [s.scorer for s in capitals.scorers] == ["latency", "exact"]
    assert capitals.repeats == 3
    assert len({e.id for e in capitals.examples}) == 3


def test_what_has_no_counterpart_is_kept_and_told(capitals: Imported) -> None:
    """Code, judges, thresholds, weights and options of the tool: each in the notes, assertions in the metadata, too."""
    kept = [[one["type"] for one in e.metadata["promptfoo"]["assert"]] for e in capitals.examples]

    assert kept == [["latency", "javascript"], ["latency", "llm-rubric"], ["latency", "llm-rubric"]]
    assert capitals.examples[0].metadata["promptfoo"]["assert"][0]["threshold"] == 2000
    told = "\n".join(capitals.notes)
    for part in ("`javascript`: it is code", "`llm-rubric`: judges", "`latency`: `threshold`", "maxConcurrency", "outputPath",
                 "more of Nunjucks", "first of 2 providers", "no model that the gateway"):  # fmt: skip
        assert part in told


def test_plain_prompts_become_prompt_files(capitals: Imported) -> None:
    """Which our own reader reads, for the model of the first provider; a line that looks like a heading stays text."""
    first, chat = (read_prompt(prompt.text) for prompt in capitals.prompts)

    assert [prompt.name for prompt in capitals.prompts] == ["prompt-1", "chat"]
    assert (first.model, first.params.temperature, first.params.max_tokens) == ("openai/gpt-5-mini", 0.5, 100)
    assert [m.content for m in first.messages] == ["What is the capital of {{country}}?"]
    assert [(m.role, m.content) for m in chat.messages] == [("system", "Be brief.\n## user"), ("user", "{{country}}?")]


@pytest.mark.parametrize(
    ("assertion", "expected", "scorer"),
    [
        ({"type": "equals", "value": 4}, {"answer": "4"}, "exact"),
        ({"type": "equals", "value": {"a": 1}}, {"json": {"a": 1}}, "json_fields"),
        ({"type": "contains", "value": "a"}, {"contains": ["a"]}, "contains"),
        ({"type": "contains-all", "value": ["a", 1]}, {"contains": ["a", "1"]}, "contains"),
        ({"type": "contains-any", "value": "a, b"}, {"contains_any": ["a", "b"]}, "contains"),
        ({"type": "not-contains", "value": "a, b"}, {"excludes": ["a, b"]}, "contains"),
        ({"type": "not-contains-any", "value": ["a", "b"]}, {"excludes": ["a", "b"]}, "contains"),
        ({"type": "regex", "value": "\\d+"}, {"regex": ["\\d+"]}, "regex"),
        ({"type": "is-json"}, {"schema": {}}, "json_schema"),
        ({"type": "contains-json", "value": {"type": "object"}}, {"schema": {"type": "object"}}, "json_schema"),
        ({"type": "is-json", "value": "type: array"}, {"schema": {"type": "array"}}, "json_schema"),
        ({"type": "similar", "value": "a", "threshold": 0.8}, {"answer": "a"}, "embedding_similarity"),
        ({"type": "rouge-n", "value": ["a", "b"]}, {"answers": ["a", "b"]}, "rouge"),
        ({"type": "bleu", "value": "a"}, {"answer": "a"}, "bleu"),
        ({"type": "is-refusal"}, {"refuses": True}, "refusal"),
        ({"type": "not-is-refusal"}, {"refuses": False}, "refusal"),
        ({"type": "cost", "threshold": 0.1}, {}, "cost"),
        ({"type": "assert-set", "assert": [{"type": "contains", "value": "a"}]}, {"contains": ["a"]}, "contains"),
        ({"type": "equals", "value": "It is {{ q }}"}, {"answer": "It is x"}, "exact"),
    ],
)  # fmt: skip
def test_an_assertion_is_an_expectation_and_a_scorer(
    read: Read, assertion: dict[str, Any], expected: dict[str, Any], scorer: str
) -> None:
    """One by one; values with plain places are filled with the test's own variables."""
    found = asserted(read, assertion)

    assert found.examples[0].expected == expected
    assert [one.scorer for one in found.scorers] == [scorer]


@pytest.mark.parametrize(
    ("assertion", "hit", "miss"),
    [
        ({"type": "icontains", "value": "Pa.ris"}, "in PA.RIS!", "in PAxRIS"),
        ({"type": "icontains-any", "value": ["a.", "ß"]}, "xẞ", "ab"),
        ({"type": "icontains-all", "value": ["a", "b"]}, "BA", "A"),
        ({"type": "starts-with", "value": "(a\nb"}, "(a\nb c", " (a\nb"),
    ],
)
async def test_what_becomes_a_pattern_finds_the_same(
    read: Read, assertion: dict[str, Any], hit: str, miss: str
) -> None:
    """Signs of patterns in the text are signs; letters of any case match, but at the beginning."""
    found = asserted(read, assertion)
    judge = applied(found.scorers)[0]

    values = [(await judge.judge(None, found.examples[0].expected, {"text": text})).value for text in (hit, miss)]  # type: ignore[arg-type]
    assert values == [1.0, 0.0]


@pytest.mark.parametrize(
    ("assertions", "told"),
    [
        ([{"type": "not-equals", "value": "a"}], "no scorer says that"),
        ([{"type": "levenshtein", "value": "a", "threshold": 5}], "no scorer says that"),
        ([{"type": "regex", "value": "(?=a)"}], "RE2 refuses"),
        ([{"type": "python", "value": "file://check.py"}], "not run"),
        ([{"type": "equals", "value": "file://make.js"}], "not run"),
        ([{"type": "contains", "value": "a", "transform": "output.trim()"}], "transform is code"),
        ([{"type": "is-valid-openai-tools-call"}], "tools' schemas"),
        ([{"type": "equals", "value": "{{ q | upper }}"}], "no plain text"),
        ([{"type": "equals", "value": "{{ other }}"}], "no plain text"),
        ([{"type": "contains"}], "no plain text"),
        ([{"type": "equals", "value": "a"}, {"type": "equals", "value": "b"}], "another one already"),
        ([{"type": "equals", "value": "a"}, {"type": "similar", "value": "b"}], "another answer already"),
        ([{"type": "contains-any", "value": ["a"]}, {"type": "contains-any", "value": ["b"]}], "another one already"),
        ([{"type": "assert-set", "threshold": 0.5, "assert": [{"type": "contains", "value": "a"}]}], "no scorer says"),
        ([{"value": "a"}], "no type"),
        ([{"type": "is-json", "value": "file://../secret.json"}], "outside of the config's folder"),
    ],
)  # fmt: skip
def test_an_assertion_that_cannot_be_said_is_kept(read: Read, assertions: list[dict[str, Any]], told: str) -> None:
    """Whole, in the metadata, with the reason among the notes."""
    found = asserted(read, *assertions)

    assert found.examples[0].metadata["promptfoo"]["assert"] == [assertions[-1]]
    assert any(told in note for note in found.notes)


def test_an_exact_answer_beside_a_near_one_is_told(write: Write) -> None:
    """For a suite's scorers judge all of its examples."""
    tests = [{"vars": {"q": k}, "assert": [{"type": k, "value": "a"}]} for k in ("similar", "equals")]
    found = read_suite([write("c.json", json.dumps({"prompts": [], "tests": tests}))])

    assert any("`exact` also judges the answers of 1 tests" in note for note in found.notes)


def test_tests_come_from_files_beside_the_config(write: Write) -> None:
    """Tables with their special columns, lines, YAML, patterns, a file that lists files, variables from files."""
    heading = "q,__expected1,__expected2,__metadata:tags[],__description,__metric"
    write("t/a.csv", heading + '\nx,"contains-all: a\\, b, c",similar(0.7): y,"u,v",d,m\n')
    write("t/b.jsonl", '{"vars":{"q":"file://t/q.txt"},"assert":[{"type":"equals","value":"file://t/v.json"}]}\n')
    write("t/q.txt", "from a file")
    write("t/v.json", '{"a": 1}')
    write("t/c1.yaml", "- vars: {q: c1}\n")
    write("t/c2.yaml", "- vars: file://t/vars.yaml\n")
    write("t/vars.yaml", "q: c2\n")
    write("all.yaml", "- file://t/b.jsonl\n- file://t/c*.yaml\n")
    found = read_suite([write("config.yaml", "prompts: ['{{q}}']\ntests: [t/a.csv, 'file://all.yaml', {path: 'file://gen.py:make'}]")])  # fmt: skip

    assert [e.input["q"] for e in found.examples] == ["x", "from a file", "c1", "c2"]
    assert found.examples[0].expected == {"contains": ["a, b", "c"], "answer": "y"}
    assert found.examples[0].metadata["tags"] == ["u", "v"]
    assert found.examples[0].metadata["promptfoo"]["assert"][1]["threshold"] == 0.7
    assert found.examples[1].expected == {"json": {"a": 1}}
    assert any("code makes" in note for note in found.notes)
    assert any("no provider" in note for note in found.notes)


def test_scenarios_are_products(write: Write) -> None:
    """Each set of data with each test, and templates of assertions where they are named."""
    text = """
    prompts: []
    assertionTemplates: {brief: {type: regex, value: '^.{0,9}$'}}
    scenarios:
      - config: [{vars: {lang: de}}, {vars: {lang: fr}}]
        tests:
          - vars: {q: a}
            assert: [{$ref: '#/assertionTemplates/brief'}, {$ref: '#/none'}]
          - {vars: {q: b}}
    """
    found = read_suite([write("c.yaml", text)])

    assert [tuple(e.input.values()) for e in found.examples] == [("de", "a"), ("de", "b"), ("fr", "a"), ("fr", "b")]
    assert found.examples[0].expected == {"regex": ["^.{0,9}$"]}
    assert any("leads to no template" in note for note in found.notes)


@pytest.mark.parametrize(
    "name", ["../secret.csv", "/etc/hosts", "link.csv", "folder/link/secret.csv", "file://../*.csv"]
)
def test_files_elsewhere_are_not_read(write: Write, tmp_path: Path, name: str) -> None:
    """Neither by their path nor behind a link."""
    write("secret.csv", "q\nhidden\n")
    config = write("inside/c.yaml", f"prompts: []\ntests: ['{name}']")
    (tmp_path / "inside/link.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "inside/folder").mkdir()
    (tmp_path / "inside/folder/link").symlink_to(tmp_path)

    with pytest.raises(BadInput, match="outside of the config's folder") as refused:
        read_suite([config])
    assert "tests[0]" in refused.value.where


def test_a_link_within_the_folder_is_followed(write: Write, tmp_path: Path) -> None:
    """It leads nowhere else."""
    write("inside/real.csv", "q\nx\n")
    (tmp_path / "inside/link.csv").symlink_to("real.csv")

    assert read_suite([write("inside/c.yaml", "prompts: []\ntests: link.csv")]).examples[0].input == {"q": "x"}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tests: [", "not YAML"),
        ("- a\n- b", "a list, not a config"),
        ("prompts: [x]", "neither tests nor scenarios"),
        ("tests: 5", "not a list"),
        ("tests: [5]", "not a test"),
        ("tests: [{vars: 5}]", "`vars` is a number"),
        ("tests: [{vars: {a: 1}, assert: x}]", "`assert` is text"),
        ("tests: missing.csv", "no file 'missing.csv'"),
        ("tests: 'none*.csv'", "no file"),
        ("tests: [{vars: {a: 1}}]\ntests: []", "'tests' stands twice"),
        ("tests: !!python/object/apply:os.system ['true']", "not YAML"),
        ("tests: [{vars: {a: &a [*a]}}]", "stands inside"),
        ("tests: self.yaml", "too deeply"),
        ("a\x00b", "NUL"),
        ("tests: gen.py", "no example"),
    ],
)
def test_a_bad_config_is_refused(write: Write, text: str, told: str) -> None:
    """With what is wrong; nothing in it is built or run before."""
    write("self.yaml", "- self.yaml\n")
    with pytest.raises(BadInput, match=told):
        read_suite([write("c.yaml", text)])


@pytest.mark.parametrize(
    "text",
    [BOMB + "tests: *i", "tests: " + "[" * 5000, "tests: [{vars: {" + ", ".join(f"v{i}: [1,2,3,4,5,6,7]" for i in range(9)) + "}}]"],
    ids=["aliases", "depth", "product"],
)  # fmt: skip
def test_a_bomb_is_refused(write: Write, text: str) -> None:
    """Aliases that unfold to billions, nesting without end, lists whose product is millions."""
    with pytest.raises(TooLarge):
        read_suite([write("c.yaml", text)])


def test_numbers_and_words_are_read_as_the_tool_reads_them(read: Read) -> None:
    """By YAML 1.2: `no` is a word, a time and a date are texts, a leading zero stays."""
    found = read("c.yaml", "tests: [{vars: {a: no, b: 12:30, c: 2026-01-02, d: 007, e: 1e3, f: 0x1f, g: true, h: ~}}]")

    assert found.examples[0].input == {
        "a": "no", "b": "12:30", "c": "2026-01-02", "d": "007", "e": 1000.0, "f": 31, "g": True, "h": None,
    }  # fmt: skip
