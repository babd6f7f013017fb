"""How a suite was made, on its page: in words, with counts; whatever a manifest says there breaks nothing."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.axis.evaluating import store_suite
from tests.served import serve

import gimbal.axis.assets.pages  # noqa: F401 - fills the table
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import AddExamples, CreateSuite, Example
from gimbal.axis.evals.origins import origins_of
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref

HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }}"
TRACED: dict[str, Any] = {
    "from": "traces", "filter": {"feature": "help", "score": ["thumbs:>=1"], "min_ms": 0.0}, "most": 40, "by": "model",
    "allot": "equal", "seed": 0, "good": ["thumbs:>=1"], "correction": ["better"], "near": 0.8, "examples": 32,
    "looked_at": 50_000, "share": 0.125, "read": 40, "dropped": {"near_duplicate": 3, "no_input": 5},
    "replaced": {"email": 1_200},
}  # fmt: skip
WRITTEN: dict[str, Any] = {
    "from": "synthesis", "model": f"acme/{HOSTILE}", "source": "index:help/docs@v2", "passages": 9, "asked": 7, "examples": 12,
    "dropped": {"unsupported": 2}, "failed": {"upstream": 2},
}  # fmt: skip


def test_what_was_asked_for_is_told_in_words() -> None:
    """The newest lot first; a threshold of 0 was said, and a seed of 0 as well."""
    (written, traced), before = origins_of({"made": [TRACED, WRITTEN]})

    assert (traced.title, written.title, before) == ("32 examples from traces", "12 examples written by a model", 0)
    assert dict(traced.facts) == {
        "Drawn from": "50,000 traces that fit, a random 12.50% of all that do",
        "Which traces": "feature help; score thumbs:>=1; min ms 0.0",
        "How": "at most 40, the same number by model, seed 0",
        "Expected answers": "recorded ones with thumbs:>=1, corrections by better",
        "Personal data replaced": "1,200 email",
    }
    assert traced.left_out == [("nothing says what went in", 5), ("nearly the same as another one", 3)]
    assert dict(written.facts)["Passages"] == "7 of 9 answered"
    assert dict(written.facts)["Calls that failed"] == "2 upstream"


ODD: list[Any] = [
    None, 7, "traces", {}, [7, None, "x"], [{}], [{"from": ["traces"]}], [{"from": "traces"}], [{"from": "synthesis"}],
    [{"from": "traces", "filter": [1], "dropped": {"a": "b", "c": None}, "share": "x", "seed": {"a": 1}, "by": 3, "good": 7,
      "most": True, "replaced": "x", "looked_at": "y"}],
    [{"from": "elsewhere", "how": HOSTILE, "rows": 3, "nested": {"a": {}}}],
]  # fmt: skip


@pytest.mark.parametrize("made", ODD, ids=[str(made)[:40] for made in ODD])
def test_whatever_stands_there_is_told_or_left_out(made: Any) -> None:
    origins, before = origins_of({"made": made})

    assert before == 0
    assert all(text and isinstance(text, str) for one in origins for fact in one.facts for text in fact)


def test_of_many_lots_the_last_are_told_and_the_others_counted() -> None:
    origins, before = origins_of({"made": [{**TRACED, "seed": number} for number in range(400)]})

    assert (len(origins), before, dict(origins[0].facts)["How"][-8:]) == (10, 390, "seed 399")


async def test_the_page_of_a_suite_says_how_it_was_made(
    evaluations: Evaluations, services: Services, ctx: Context, tmp_path: Path
) -> None:
    suites = ctx.get(Suites)
    rows = [Example(id="a", input={"question": "Why?"})]
    source = await store_suite(ctx, rows, name="help/seeds")
    await suites.create(
        ctx, CreateSuite(name="help/real", examples=rows, scorers=["exact_match"]), made=TRACED, inputs=[source.ref]
    )
    more = AddExamples(examples=[Example(id="b", input={"question": "How?"})])
    await suites.add(ctx, Ref("suite", "help/real"), more, made=WRITTEN)

    async with serve(services, tmp_path) as url, httpx.AsyncClient(base_url=url) as client:
        told = (await client.get("/p/default/assets/suite:help%2Freal")).text
        plain = (await client.get("/p/default/assets/suite:help%2Fseeds")).text

    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", told))
    assert "How it was made" in words
    assert words.index("12 examples written by a model") < words.index("32 examples from traces")
    assert "2 the evidence does not stand in the passage" in words
    assert "suite:help/seeds@v1" in words
    assert "<script>alert" not in told
    assert "How it was made" not in plain


@pytest.mark.parametrize("more", [{"repeats": "x"}, {"repeats": 0}, {"repeats": True}, {"task": 7}])
async def test_a_manifest_that_pages_and_runs_cannot_read_is_refused(
    evaluations: Evaluations, ctx: Context, more: dict[str, Any]
) -> None:
    version = await store_suite(ctx, [Example(id="a", input={"question": "Why?"})])

    with pytest.raises(BadInput, match="Repeats"):
        await ctx.get(Assets).add_version(
            ctx, kind="suite", name="odd", manifest=version.manifest | more, files=version.files
        )
