"""JSON lines and CSV: what rows may look like, and every one that cannot be read named by file and line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.evals.test_suites import OBJECTS

from gimbal.axis.evals.formats import examples_jsonl, read_suite
from gimbal.axis.evals.formats.files import lines
from gimbal.axis.evals.model import Example
from gimbal.kernel.errors import BadInput, TooLarge

from .conftest import Read, Write

NATIVE = b'{"id":"a","input":{"question":"x"}}\n'


@settings(max_examples=40)
@given(rows=st.lists(st.builds(Example, id=st.text(min_size=1, max_size=9), input=OBJECTS, expected=OBJECTS, cluster=st.none() | st.text(min_size=1, max_size=9), slice=st.text(max_size=9), weight=st.just(1.0) | st.floats(0.1, 9), metadata=OBJECTS), min_size=1, max_size=4, unique_by=lambda e: e.id))  # fmt: skip
def test_what_is_exported_reads_back_to_the_same_bytes(
    rows: list[Example], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in the objects: line separators, any script, numbers of any size."""
    path = tmp_path_factory.mktemp("round") / "suite.jsonl"
    path.write_bytes(examples_jsonl(rows))

    read = read_suite([path])

    assert read.examples == rows
    assert examples_jsonl(read.examples) == path.read_bytes()
    assert read.notes == []


@pytest.mark.parametrize(
    ("row", "given", "expected"),
    [
        ({"input": "x", "expected": "y"}, {"question": "x"}, {"answer": "y"}),
        ({"question": "x", "answer": ["y", "z"]}, {"question": "x"}, {"answers": ["y", "z"]}),
        ({"prompt": "x", "ideal": "y"}, {"question": "x"}, {"answer": "y"}),
        ({"input": {"a": 1}, "reference": 5}, {"a": 1}, {"answer": 5}),
        ({"input": [{"role": "user", "content": "x"}], "target": "y"}, {"messages": [{"role": "user", "content": "x"}]}, {"answer": "y"}),
        ({"instruction": "do", "input": "this", "label": "a"}, {"instruction": "do", "input": "this"}, {"label": "a"}),
        ({"query": "x", "expected": {"contains": ["y"]}}, {"question": "x"}, {"contains": ["y"]}),
    ],
)  # fmt: skip
def test_loose_rows_say_what_they_are_by_their_names(read: Read, row: dict, given: dict, expected: dict) -> None:
    """As other tools and people call them."""
    found = read("a.jsonl", json.dumps(row)).examples[0]

    assert (found.input, found.expected) == (given, expected)


def test_an_id_is_made_from_the_content_and_stays(read: Read) -> None:
    """Other rows before it, other metadata and another file change nothing; the same again is told and kept."""
    first = read("a.jsonl", '{"question":"x","answer":"y","tag":1}\n{"question":"x","answer":"z"}\n')
    second = read("b.jsonl", '{"question":"new","answer":"n"}\n' + '{"answer":"y","question":"x"}\n' * 2)

    assert first.examples[0].id == second.examples[1].id
    assert first.examples[1].id != first.examples[0].id
    assert second.examples[2].id == f"{first.examples[0].id}-2"
    assert any("says the same" in note and "b.jsonl:3" in note for note in second.notes)


def test_a_context_beside_a_question_is_part_of_the_input_and_alone_is_none(read: Read) -> None:
    found = read("a.csv", "question,context,expected\nHow many legs?,A spider has eight legs.,eight\nWhy?,,so\n")

    assert found.examples[0].input == {"question": "How many legs?", "context": "A spider has eight legs."}
    assert found.examples[1].input == {"question": "Why?", "context": ""}
    assert found.notes == []
    with pytest.raises(BadInput, match="No column is the input"):
        read("b.csv", "context,expected\nA spider has eight legs.,eight\n")


def test_what_is_not_known_is_kept_as_metadata_and_told(read: Read) -> None:
    """Nothing is dropped in silence."""
    found = read("a.jsonl", '{"question":"x","answer":"y","difficulty":3}')

    assert found.examples[0].metadata == {"difficulty": 3}
    assert "kept as metadata" in found.notes[0]
    assert "difficulty" in found.notes[0]


def test_the_same_examples_are_the_same_bytes(read: Read) -> None:
    """Whether a default is said or not, and in whatever format."""
    said = read("a.jsonl", '{"id":"a","input":{"question":"x"},"weight":1.0,"slice":"","expected":{},"metadata":{}}')

    assert examples_jsonl(said.examples) == examples_jsonl(read("b.csv", "id,question\na,x\n").examples) == NATIVE


def test_columns_mean_what_is_said(read: Read) -> None:
    """Beside the guesses, for every format alike."""
    found = read(
        "a.csv",
        "Frage,Antwort,Quelle,Sprache,Gewicht,Nr\nx,y,doc,de,2.5,7\n",
        "input.question=Frage", "expected=Antwort", "expected.source=Quelle", "slice=Sprache", "weight=Gewicht", "id=Nr",
    ).examples[0]  # fmt: skip

    assert found == Example(
        id="7", input={"question": "x"}, expected={"answer": "y", "source": "doc"}, slice="de", weight=2.5
    )


@pytest.mark.parametrize("column", ["input", "what=x", "id.part=x", "input="])
def test_a_column_that_is_not_told_well_is_refused(read: Read, column: str) -> None:
    """The grammar stands in the answer."""
    with pytest.raises(BadInput, match="does not say") as refused:
        read("a.csv", "question\nx\n", column)
    assert "MEANING=COLUMN" in refused.value.todo


def test_missing_references_are_told_once_with_their_number(read: Read) -> None:
    """An empty cell is no value; it is not an empty answer."""
    found = read("a.csv", "question,answer,cluster\na,1,\nb,,c\nc,,c\n")

    assert [e.expected for e in found.examples] == [{"answer": "1"}, {}, {}]
    assert [e.cluster for e in found.examples] == [None, "c", "c"]
    assert [n for n in found.notes if "no reference" in n and "2 times" in n and "a.csv:3" in n]


def test_mixed_types_are_told(read: Read) -> None:
    """They are kept as they are; where each sort is first is said."""
    found = read("a.jsonl", '{"question":"a","answer":1}\n{"question":"b","answer":"1"}\n')

    assert [e.expected["answer"] for e in found.examples] == [1, "1"]
    note = next(n for n in found.notes if "mixed types" in n)
    assert "a number at" in note
    assert "text at" in note


@pytest.mark.parametrize(
    ("name", "content", "told", "line"),
    [
        ("a.jsonl", NATIVE + b'{"id":"a","input":{}}\n', "already", 2),
        ("a.jsonl", NATIVE + b"\n[1]\n", "a list, not an object", 3),
        ("a.jsonl", NATIVE + b'{"question": NaN}', "not JSON", 2),
        ("a.jsonl", NATIVE + b'{"question":"\xff"}', "not UTF-8", 2),
        ("a.jsonl", NATIVE + b'{"question":"\\ud800"}', "not JSON", 2),
        ("a.jsonl", NATIVE + b'{"question":null}', "null", 2),
        ("a.jsonl", NATIVE + b'{"thing":"x"}', "No column is the input", 2),
        ("a.jsonl", NATIVE + b'{"id":true,"question":"x"}', "not a name", 2),
        ("a.jsonl", NATIVE + b'{"id":"' + b"x" * 201 + b'","question":"x"}', "1 to 200", 2),
        ("a.jsonl", NATIVE + b'{"question":"x","weight":0}', "above 0", 2),
        ("a.jsonl", NATIVE + b'{"input":{},"weight":-1,"id":"b"}', "not an example", 2),
        ("a.jsonl", NATIVE + b'{"question":' + b"[" * 3000 + b"]" * 3000 + b"}", "nested too deeply", 2),
        ("a.csv", b"question,answer\na,b\nc,d,e\n", "3 cells, the heading 2", 3),
        ("a.csv", b'question,answer\n"a\nb",c\nd\n', "1 cells", 4),
        ("a.csv", b'question,answer\na,b\n"c,d\n', "cannot be read", 3),
        ("a.csv", b"question,question\na,b\n", "Two columns", 1),
        ("a.csv", b"question,,answer\na,b,c\n", "no name", 1),
        ("a.csv", b"thing,answer\na,b\n", "No column is the input", 1),
        ("a.csv", b"question,weight\na,heavy\n", "above 0", 2),
        ("a.csv", b"question,number\na,many\n", "no number", 2),
        ("a.csv", b"id,question\n1,a\n1,b\n", "already", 3),
        ("a.csv", "question\nä\n".encode("latin-1"), "not UTF-8", 2),
        ("a.csv", b"\xff\xfe" + "question\nok\n".encode("utf-16-le") + b"\x00\xd8\n\x00", "not UTF-16", 3),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_by_file_and_line(read: Read, name: str, content: bytes, told: str, line: int) -> None:
    """And the whole file is refused, so that nobody evaluates a part of it unawares."""
    with pytest.raises(BadInput, match=told) as refused:
        read(name, content)

    assert refused.value.where.endswith(f"{name}:{line}")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(read: Read, name: str, content: bytes) -> None:
    """It is not a suite of nothing."""
    with pytest.raises(BadInput):
        read(name, content, format="csv" if name == "a.csv" else "jsonl")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_come_from_any_spreadsheet(read: Read, encoding: str, end: str, separator: str) -> None:
    """With a mark or without one, any separator, line ends inside a cell, empty columns and rows behind."""
    rows = [["question", "answer", ""], ["日本 ü", f'"a{end}b ""c"""', ""], ["", "", ""], ["d", "\u2028", ""]]
    text = end.join(separator.join(row) for row in rows) + end
    found = read("a.csv", text.encode(encoding))

    assert [e.input["question"] for e in found.examples] == ["日本 ü", "d"]
    assert [e.expected["answer"] for e in found.examples] == [f'a{end}b "c"', "\u2028"]


def test_huge_cells_and_strange_characters_come_whole(read: Read) -> None:
    """Five million characters, NUL bytes, and columns whose names are those of metadata."""
    text = "ä\x00" * 2_500_000
    found = read("a.csv", f"question,answer,metadata.lang\n{text},1,de\n")

    assert found.examples[0].input["question"] == text
    assert found.examples[0].metadata == {"lang": "de"}


def test_rows_are_read_as_they_come(write: Write) -> None:
    """A broken line at the end of a long file is reached, and lines before it were given without it."""
    found = lines(write("long.jsonl", b"{}\n" * 400_000 + b"\xff"))

    assert next(found) == (1, "{}\n")
    with pytest.raises(BadInput, match="Line 400001 is not UTF-8"):
        list(found)
    with pytest.raises(TooLarge, match="Line 1 has more"):
        list(lines(write("one.jsonl", b"x" * 3_000_000), most=2_000_000))


def test_several_files_are_one_suite(write: Write) -> None:
    """Each in its own format; ids are unique over all of them."""
    paths = [write("a.jsonl", NATIVE), write("b.csv", "id,question\nb,x\n"), write("c.json", '[{"id":"c","input":{}}]')]

    assert [e.id for e in read_suite(paths).examples] == ["a", "b", "c"]
    with pytest.raises(BadInput, match=r"a\.jsonl:1 already"):
        read_suite([*paths, write("d.jsonl", NATIVE)])


@pytest.mark.parametrize(
    ("name", "todo"), [("missing.csv", "path of a file"), ("", "path of a file"), ("a.docx", "Name it")]
)
def test_a_file_that_is_none_is_told(write: Write, name: str, todo: str) -> None:
    """No file, a folder, an ending that says nothing."""
    write("a.docx", b"x")
    with pytest.raises(BadInput) as refused:
        read_suite([write("a.docx", b"x").parent / name])

    assert todo in refused.value.todo


def test_no_file_is_refused() -> None:
    """Rather than an empty suite."""
    with pytest.raises(BadInput, match="no file"):
        read_suite(list[Path]())
