"""How scorers read classes: the expected label, the class that an output names, and probabilities by class.

A class is a text, a number or true/false; they compare by name, so that 1 and "1" are one class. An answer in words
names a class when it is that class after normalisation, or when exactly one of the known classes stands in it.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.scores.builtin.texts import missing, words
from gimbal.axis.scores.model import Missing, ScoreValue

NO_CLASS = "\x00"
"""What an answer says that names no class, or several: it is wrong whatever was expected."""
_TOKEN = re.compile(r"(?:(?<!\w)-)?\w+(?:-\w+)*")
# Scripts that put no spaces between words: a class may stand anywhere in a run of letters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_BINARY = {"true": ("true", "false"), "false": ("true", "false"), "1": ("1", "0"), "0": ("1", "0")}
_SUM_OFF = 0.01


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What was expected of one output, and what it holds for likely."""

    label: str
    """The class that was expected."""
    chances: dict[str, float]
    """Probability by class; they add up to 1."""


class Named:
    """What was expected of one output, and which class it names."""

    def __init__(self, label: str, *, said: str | None = None, text: str = "") -> None:
        self.label = label
        self._said = said
        self._text = text
        self._read: tuple[tuple[str, ...], str] = ((), "")

    @property
    def in_words(self) -> bool:
        """Whether the output is a text, in which a class is yet to be found."""
        return self._said is None

    def said(self, classes: tuple[str, ...]) -> str:
        """Return the class that the output names, of those that are known; NO_CLASS where it names none."""
        if self._said is not None:
            return self._said
        # Draws of a bootstrap ask again and again with the same classes.
        if self._read[0] != classes or not self._read[1]:
            self._read = (classes, class_in(self._text, classes))
        return self._read[1]


def class_name(value: Any) -> str | None:
    """Return the name of a class, or None for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return value if isinstance(value, str) and value else None


def class_in(text: str, classes: Sequence[str]) -> str:
    """Return the one class that a text is or names, or NO_CLASS; a class of one letter counts in its own case only."""
    said = words(text)
    whole = [name for name in classes if words(name) == said] if said else []
    if len(whole) == 1:
        return whole[0]
    plain = unicodedata.normalize("NFKC", text)
    rest = "".join(f" {token} " for token in _TOKEN.findall(plain))
    folded = rest.casefold()
    found: list[str] = []
    for name in sorted(set(classes), key=len, reverse=True):
        key = unicodedata.normalize("NFKC", name)
        spelled = "".join(f" {token} " for token in _TOKEN.findall(key.casefold()))
        if _UNSPACED.search(key):
            there, plain = key in plain, plain.replace(key, " ")
        elif len(key) == 1:
            there = f" {key} " in rest
        else:
            there = bool(spelled) and spelled in folded
            # What is in a longer name is no mention of a shorter one: `very good`, `good`.
            folded = folded.replace(spelled, " | ") if there else folded
        found.extend([name] if there else [])
    return found[0] if len(found) == 1 else NO_CLASS


def read_class(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Named | ScoreValue:
    """Return what was expected and what the output names, from its `value` or else its `text`; or why that is missing."""
    label = class_name(expected.get("label"))
    if label is None:
        return missing(Missing.NO_EXPECTATION)
    value, text = output.get("value"), output.get("text")
    if value is None:
        if not isinstance(text, str):
            return missing(Missing.NO_OUTPUT)
        return Named(label, text=text)
    chances = _chances(label, value)
    if isinstance(chances, dict):
        return Named(label, said=max(chances, key=lambda name: chances[name]))
    said = class_name(value)
    if said is None:
        return missing(Missing.UNPARSEABLE, chances)
    if label in _BINARY and isinstance(value, bool | int | float) and said in _BINARY:
        # A model may say 1 where the suite says true.
        said = _BINARY[label][0 if said in {"1", "true"} else 1]
    return Named(label, said=said)


def read_chances(expected: Mapping[str, Any], output: Mapping[str, Any]) -> Forecast | ScoreValue:
    """Return what was expected and how likely the output holds each class, from its `value`; or why that is missing."""
    label = class_name(expected.get("label"))
    if label is None:
        return missing(Missing.NO_EXPECTATION)
    if output.get("value") is None:
        return missing(Missing.NO_OUTPUT)
    chances = _chances(label, output["value"])
    if isinstance(chances, str):
        return missing(Missing.UNPARSEABLE, chances)
    return Forecast(label=label, chances=chances)


def _chances(label: str, value: Any) -> dict[str, float] | str:
    """Return probabilities by class, or why a value has none; a lone number is that of true, where the label is true or false."""
    if isinstance(value, dict) and value:
        found = {str(name): _chance(chance) for name, chance in value.items()}
        if any(chance is None for chance in found.values()):
            return "not every probability is a number from 0 to 1"
        known = {name: chance for name, chance in found.items() if chance is not None}
        whole = sum(known.values())
        if abs(whole - 1) > _SUM_OFF:
            return f"the probabilities add up to {whole:g}"
        return {name: chance / whole for name, chance in known.items()}
    chance = _chance(value)
    if chance is None or label not in _BINARY:
        return "the value is not an object of probabilities by class"
    yes, no = _BINARY[label]
    return {yes: chance, no: 1 - chance}


def _chance(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 1 else None
