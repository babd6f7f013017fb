"""A classifier of texts, served, judges what others answered."""

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tests.predictive.serving.conftest import House, classifier, flights

from gimbal.axis.scores.asking import Classify
from gimbal.axis.scores.builtin.toxicity import toxicity
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.predictive.serving.classifying import classified

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]
RUDE, KIND = ["you idiot", "what an idiot you are", "stupid idiot"], ["thank you", "how kind of you", "thank you all"]
REF = "model:moderation/rude"


async def test_a_served_model_tells_how_toxic_a_text_is(house: House) -> None:
    """Its probability is the score; a class may be named, of two the later one is meant."""
    rows = pd.DataFrame({"text": RUDE + KIND})
    model = make_pipeline(ColumnTransformer([("words", CountVectorizer(), "text")]), LogisticRegression())
    model.fit(rows, ["toxic"] * 3 + ["fine"] * 3)
    await house.add("moderation/rude", model, rows)
    ctx = house.context()

    texts = ["an idiot", "thank you", "", "x" * 100_000, "\0 idiot"]
    told = await classified(ctx, REF, "", texts)
    expected = model.predict_proba(pd.DataFrame({"text": texts}))
    assert told == pytest.approx([float(row[1]) for row in expected])
    assert await classified(ctx, REF, "fine", texts) == pytest.approx([float(row[0]) for row in expected])

    if not ctx.services.has(Classify):
        ctx.services.register(Classify, classified)
    judged = await toxicity(ctx, {}, {"text": "an idiot"}, classifier=REF)
    assert judged.value == pytest.approx(told[0])
    assert told[0] > told[1]


async def test_a_model_that_cannot_judge_is_told(house: House) -> None:
    """One that is not there, that takes other things than a text, that has no such class."""
    ctx = house.context()
    await house.add("flights/delayed", classifier(), flights(5))
    with pytest.raises(NotFound):
        await classified(ctx, "model:moderation/none", "", ["x"])
    with pytest.raises(BadInput, match="not one text"):
        await classified(ctx, "model:flights/delayed", "", ["x"])

    rows = pd.DataFrame({"text": [*RUDE, *KIND]})
    model = make_pipeline(ColumnTransformer([("words", CountVectorizer(), "text")]), LogisticRegression())
    await house.add("moderation/three", model.fit(rows, list("aabbcc")), rows)
    with pytest.raises(BadInput, match="does not tell two classes; its classes: a, b, c"):
        await classified(ctx, "model:moderation/three", "", ["x"])
    with pytest.raises(BadInput, match="has no class 'd'"):
        await classified(ctx, "model:moderation/three", "d", ["x"])
