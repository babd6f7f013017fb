"""Looking for words in what went in, what came out, what was retrieved and what an error says.

A word is found wherever it stands, in any case, also within another. The table has an index of the runs of letters and
digits in that text (columns/0090): it serves a condition that looks for one such run, so what is more than one is looked
for by its runs first.
"""

import re

import msgspec

READ = ("input", "output", "documents", "status_message")
_BREAK = ", '\\n', "
_TEXT = f"lowerUTF8(concat({_BREAK.join(f's.{name}' for name in READ)}))"
_json = msgspec.json.Encoder()
# What the index's tokenizer parts at; anything beyond ASCII belongs to a run.
_BETWEEN = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+")
_SPECIAL = re.compile(r"([\\%_])")


def looked_for(name: str, word: str) -> tuple[str, dict[str, str]]:
    """Return the condition that a span has a word, and its parameters, which are called `name` and something."""
    # As it stands in JSON.
    text = _json.encode(word.lower()).decode()[1:-1]
    runs = [run for run in dict.fromkeys(_BETWEEN.split(text)) if run]
    needles = runs if runs == [text] else [*runs, text]
    values = {f"{name}_{place}": "%" + _SPECIAL.sub(r"\\\1", needle) + "%" for place, needle in enumerate(needles)}
    return "(" + " AND ".join(f"{_TEXT} LIKE {{{key}:String}}" for key in values) + ")", values
