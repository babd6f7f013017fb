"""The extractive answerer: right sentence, right source, no word that the context does not hold, and no guess."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.gateway.providers import extractive
from gimbal.generative.gateway.providers.reading import numbered, read
from gimbal.generative.gateway.providers.units import sentences, units


class Message(msgspec.Struct):
    """One message of a request."""

    role: str
    text: str


PASSAGES = [
    (
        "docs/writer.md",
        "Writer",
        (
            "All telemetry passes one bounded queue. A batch is flushed at 10,000 rows or 50 ms, whichever is first.\n\n"
            "When the queue is full, senders get 429 with Retry-After, because nothing may be dropped silently."
        ),
    ),
    (
        "docs/start.md",
        "Getting started > Install",
        (
            "Install it with one command:\n\n```sh\nmake demo\n```\n\n"
            "- **Python**: version 3.11 or newer is needed.\n- The licence is Apache-2.0, see e.g. the file LICENSE."
        ),
    ),
    (
        "docs/stores.md",
        "Stores",
        "| Store | Default | At scale |\n|---|---|---|\n| catalog | SQLite | PostgreSQL |\n| columns | chDB | ClickHouse |",
    ),
]


def ask(question, passages=PASSAGES):
    text = f"{numbered(passages)}\n\nQuestion: {question}"
    messages = [Message(role="system", text="Answer from the sources only."), Message(role="user", text=text)]
    return extractive.answer(read(messages))


@pytest.mark.parametrize(
    ("question", "holds", "source"),
    [
        ("When is a batch flushed?", "10,000 rows or 50 ms", 0),
        ("What happens when the queue is full?", "429 with Retry-After", 0),
        ("Why do senders get 429?", "because nothing may be dropped", 0),
        ("Which Python version is needed?", "3.11", 1),
        ("How do I install it?", "make demo", 1),
        ("What is the licence?", "Apache-2.0", 1),
        ("Which store is used for the catalog at scale?", "PostgreSQL", 2),
        ("What is the default of the columns?", "chDB", 2),
    ],
)
def test_the_sentence_that_answers_is_found_with_its_source(question, holds, source):
    found = ask(question)

    assert found.known
    assert holds in found.text
    assert f"[{source + 1}]" in found.text
    assert source in found.used


@pytest.mark.parametrize(
    "question", ["Who won the world cup?", "How do I bake bread?", "Does it run on Windows phones?"]
)
def test_it_says_so_when_nothing_supports_an_answer(question):
    found = ask(question)

    assert not found.known
    assert found.text.startswith("I don't know")
    assert found.used == ()


def test_without_context_or_question_it_says_what_is_missing():
    no_context = extractive.answer(read([Message(role="user", text="What is a gate?")]))
    no_question = extractive.answer(read([]))

    assert "no context" in no_context.text
    assert "no question" in no_question.text


def test_context_without_numbers_is_read_too():
    text = "A gate weighs evidence. A monitor watches drift.\n\nWhat does a monitor watch?"
    found = extractive.answer(read([Message(role="user", text=text)]))

    assert found.text == "A monitor watches drift."


def test_context_in_the_system_message_is_read_too():
    context = numbered([("a.md", "", "A monitor watches drift.")])
    found = extractive.answer(
        read([Message(role="system", text=context), Message(role="user", text="What does a monitor watch?")])
    )

    assert found.text == "A monitor watches drift. [1]"


def test_a_number_in_brackets_inside_a_passage_opens_no_passage():
    reading = read([Message(role="user", text="[1] a.md\nAs in\n[7] and more.\n\n[2] b.md\nElse.\n\nQuestion: What?")])

    assert [p.source for p in reading.passages] == ["a.md", "b.md"]
    assert "[7] and more." in reading.passages[0].text


def test_sentences_end_where_they_end():
    text = "See e.g. the docs. Use `a.B c` now. It costs 3.5 ms. Dr. Who agrees! **The writer.** All of it."

    assert sentences(text) == [
        "See e.g. the docs.",
        "Use `a.B c` now.",
        "It costs 3.5 ms.",
        "Dr. Who agrees!",
        "The writer. All of it.",
    ]


lines = st.sampled_from(
    [
        "A gate weighs evidence.",
        "- an item about drift",
        "| gate | decides |",
        "|---|---|",
        "```",
        "code gate",
        "",
        "# Head",
        "Why? Because.",
    ]
)


@given(st.lists(st.lists(lines, max_size=8).map("\n".join), min_size=1, max_size=4), st.text(max_size=40))
def test_any_context_and_question_give_only_what_the_context_holds(texts, question):
    passages = [(f"{n}.md", "Gates", text) for n, text in enumerate(texts)]
    found = ask(f"gate drift {question}", passages)

    assert found == ask(f"gate drift {question}", passages)
    assert 0 <= found.coverage <= 1.000001
    if found.known:
        assert found.used
        shown = {
            u.text
            for n, p in enumerate(read([Message(role="user", text=numbered(passages))]).passages)
            for u in units(p, n)
        }
        assert any(text in found.text for text in shown)
