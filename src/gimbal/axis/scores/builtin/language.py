"""Language: 1 when the output is written in the expected language, else 0."""

import functools
import importlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from gimbal.axis.scores.builtin.texts import missing, needs_extra, output_text
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer

# More tells no better.
_READ = 5_000
_UNDETERMINED = "und"
# Codes of a language that go by the name of a larger one (ISO 639: macrolanguages).
_ALSO = {"no": {"nb", "nn", "no"}, "nb": {"nb", "no"}, "nn": {"nn", "no"}, "sh": {"hr", "bs", "sr"}}


@scorer(
    ScorerCard(
        name="language",
        title="Language",
        type=ScoreType.BINARY,
        expects=("language",),
        extra="metrics",
        description="1 when the output is written in the expected language, an ISO 639-1 code such as `de`; a region behind "
        "it does not count. The label is the language that was found.",
        limits="Unsure of texts of a few words and of languages that are close: below the probability `least` the score is "
        "missing. Reads the first 5,000 characters as one language.",
        source="langid (Lui and Baldwin 2012), by the library py3langid",
    )
)
def language(
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    least: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5,
) -> ScoreValue:
    """Tell the language of the output and compare it with the expected one."""
    stated: Any = expected.get("language")
    text = output_text(output)
    if not isinstance(stated, str) or not stated:
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    identifier = _identifier()
    if identifier is None:
        return needs_extra("py3langid", "metrics")
    wanted = stated.replace("_", "-").partition("-")[0].lower()
    found, sure = identifier.classify(text[:_READ])
    if not any(one.isalpha() for one in text[:_READ]) or sure < least:
        return missing(Missing.UNPARSEABLE, f"its language cannot be told: {found} with {sure:.0%}")
    hit = found == wanted or found in _ALSO.get(wanted, ())
    return ScoreValue(value=float(hit), label=found, explanation=f"{found} with {sure:.0%}, wanted {wanted[:20]}")


@functools.cache
def _identifier() -> Any:
    try:
        library: Any = importlib.import_module("py3langid.langid")
    except ImportError:
        return None
    return library.LanguageIdentifier.from_model_file(library.MODEL_FILE, norm_probs=True)
