"""How a text is parted into claims."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.scores.builtin.claims import claims, clauses, sentences, without_markers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It opens. It closes!", ["It opens.", "It closes!"]),
        ("Dr. Smith came at 5 p.m. and left.", ["Dr. Smith came at 5 p.m. and left."]),
        ("See Fig. 3 or e.g. the U.S. law.", ["See Fig. 3 or e.g. the U.S. law."]),
        ("The answer is no. The gate is shut.", ["The answer is no.", "The gate is shut."]),
        ("Version 3.14 came in 2013. It was good...", ["Version 3.14 came in 2013.", "It was good..."]),
        ("Es begann am 5. mai.", ["Es begann am 5. mai."]),
        ("東京は首都です。人口は多い\uff01", ["東京は首都です。", "人口は多い\uff01"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("See https://a.b/c.d?x=1 for more. Done", ["See https://a.b/c.d?x=1 for more.", "Done"]),
        ("one line\nand the next.", ["one line and the next."]),
    ],
)
def test_a_full_stop_ends_a_sentence_unless_it_belongs_to_something_shorter(text: str, found: list[str]) -> None:
    assert claims(text) == found


def test_markdown_is_no_part_of_a_claim() -> None:
    """Items and cells are claims of their own; headings, code, rules, images and emphasis are none."""
    text = """# A title
The *first* line has a [link](https://x.y/z) and `code`.

- item **one**
- [x] item two
  goes on
1. numbered item
> a quotation

| Name | Value |
|------|-------|
| The gate is heavy | The key is small |

```python
x = 1. Not a claim.
```
![a picture](p.png)
"""

    assert claims(text) == [
        "The first line has a link and code.",
        "item one",
        "item two goes on",
        "numbered item a quotation",
        "Name",
        "Value",
        "The gate is heavy",
        "The key is small",
    ]
    assert "x = 1." in sentences(text, whole=True)
    assert "A title" in sentences(text, whole=True)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("It is open; nobody is there now.", ["It is open", "nobody is there now."]),
        ("The cat sat down, but the dog ran away.", ["The cat sat down", "but the dog ran away."]),
        ("The alias moves, and it keeps its history.", ["The alias moves", "and it keeps its history."]),
        ("Apples, pears, and plums in the box.", ["Apples, pears, and plums in the box."]),
        ("Slow, but sure.", ["Slow, but sure."]),
        ("Das Tor ist zu, aber der Schlüssel passt.", ["Das Tor ist zu", "aber der Schlüssel passt."]),
    ],
)
def test_clauses_that_state_something_of_their_own_are_claims(sentence: str, found: list[str]) -> None:
    """A list is not taken apart, and neither is what has fewer than three words."""
    assert clauses(sentence) == found


@pytest.mark.parametrize(
    "text", ["", " \n\t", "?", "...", "Would you like more?", "The steps are:", "\x00", "---", "```\ncode\n"]
)
def test_what_asks_announces_or_is_empty_claims_nothing(text: str) -> None:
    assert claims(text) == []


def test_a_marker_is_of_the_sentence_that_it_follows() -> None:
    assert claims("It moves. [1] It stays [2, 3]. And ends.[4]") == [
        "It moves [1].",
        "It stays [2, 3].",
        "And ends [4].",
    ]
    assert without_markers("It stays [2, 3].") == "It stays."


@given(st.text(alphabet=st.sampled_from("aB1.!?;,:[](){}*_`#|-\n \x00\ud800。「é"), max_size=200))
def test_any_text_is_parted_and_no_word_is_made_up(text: str) -> None:
    for claim in claims(text):
        assert claim.strip() == claim != ""
        assert set(claim) <= {*text, " "}


@pytest.mark.parametrize(
    "piece", ["a. ", ".", "[1]", "[a](b", "*", "; ", " ", "| ", ".  [1]", "a b c; ", "![", "_a", "\n", "> "]
)
def test_a_long_text_takes_linear_time(piece: str) -> None:
    """Ten times the text takes about ten times as long; a quadratic rule would take a hundred times."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        begun = time.process_time()
        claims(text)
        return time.process_time() - begun

    seconds(10_000)
    assert seconds(300_000) < 40 * max(seconds(30_000), 0.02)
