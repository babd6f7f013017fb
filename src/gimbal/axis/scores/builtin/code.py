"""Code: 1 when the Python of the output passes the tests of the expectation, else 0; run in a process of its own."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from gimbal.axis.scores.builtin.sandbox import run_python
from gimbal.axis.scores.builtin.texts import fenced, listed, missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.kernel.context import Context
from gimbal.kernel.settings import Settings

_LONGEST = 1_000_000


@scorer(
    ScorerCard(
        name="code",
        title="Code passes its tests",
        type=ScoreType.BINARY,
        expects=("tests",),
        description="1 when the Python of the output, alone or in its first ```python fence, runs and then passes `tests`; "
        "with `entry_point` and tests that define `check`, `check(entry_point)` is called as well. The label is passed, "
        "failed or timed out.",
        limits="Runs only where worker.run_code is on. Contains accidents, not attackers: the process has limits and, where the system allows it, no network, but "
        "it runs as the user of the worker and can read that user's files. Passing tests is not being right.",
        source="Functional correctness as in HumanEval (Chen et al., arXiv 2107.03374)",
    )
)
async def code(
    ctx: Context,
    expected: Mapping[str, Any],
    output: Mapping[str, Any],
    *,
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0,
    memory_mb: Annotated[int, msgspec.Meta(ge=64, le=65_536)] = 1024,
) -> ScoreValue:
    """Run the output and its tests."""
    tests, text = "\n".join(listed(expected, "tests", "tests")), output_text(output)
    if not tests.strip():
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    if (long := too_long([text, tests], _LONGEST)) is not None:
        return long
    if not (ctx.services.has(Settings) and ctx.get(Settings).worker.run_code):
        return missing(Missing.NOT_ALLOWED, "worker.run_code is off: turn it on to run what models wrote")
    ran = await run_python(
        next(fenced(text, "python", "python3", "py"), text),
        tests,
        str(expected.get("entry_point") or ""),
        timeout_s=timeout_s,
        memory_mb=memory_mb,
    )
    return ScoreValue(value=float(ran.label == "passed"), label=ran.label, explanation=ran.why)
