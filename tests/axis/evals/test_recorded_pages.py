"""The pages of answers from outside: an open run says so, and a function shows its source, whatever stands in it."""

from pathlib import Path
from urllib.parse import quote

import httpx
from tests.axis.evaluating import SUITE, examples, store_suite
from tests.served import serve

import gimbal.axis.assets.pages
import gimbal.axis.evals.pages  # noqa: F401 - fills the table
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.answers import OpenEvaluation, RecordAnswers, RecordedAnswer
from gimbal.axis.evals.functions import RegisterFunction, register
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Services

HOSTILE = "<script>alert(1)</script>"


async def test_an_open_run_and_its_function_are_shown(
    evaluations: Evaluations, axis: Services, ctx: Context, tmp_path: Path
) -> None:
    recorder = AnswerRecorder(axis.get(Columns), axis.get(Writer), axis.get(Assets), axis.get(Suites), evaluations)
    await store_suite(ctx, examples(3))
    code = f'def answer(question):\n    return "{HOSTILE}"\n'
    version = await register(ctx, RegisterFunction(name="help/mine", function="answer", module="shop", source=code))
    body = OpenEvaluation(suite=SUITE, subject=str(version.ref), client=f"a tool {HOSTILE}")
    run = await recorder.open(ctx, body)
    async with serve(axis, tmp_path / "cache") as url, httpx.AsyncClient(base_url=f"{url}/p/default") as client:
        begun = (await client.get(f"/evaluations/{run.id}")).text
        answers = [RecordedAnswer(example_id="q0", text="word0", scores={"tool/score": 0.25})]
        await recorder.record(ctx, run.id, RecordAnswers(answers=answers))
        shown = (await client.get(f"/evaluations/{run.id}")).text
        listed = (await client.get("/evaluations")).text
        function = (await client.get(f"/assets/{quote(str(version.ref), safe='')}")).text

    assert "none has come yet" in begun
    for word in ("It is open", "the last one", "not judged yet", "tool/score 0.25", "1 of 3"):
        assert word in shown, word
    assert "open, last answer" in listed
    assert "return &#34;&lt;script&gt;" in function
    assert all("<script>alert" not in text for text in (begun, shown, listed, function))
