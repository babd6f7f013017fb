"""Evaluating a model: a row in, probabilities out, from the process that serves it."""

import pytest
from tests.predictive.serving.conftest import House, classifier, flights

from gimbal.axis.evals.model import Example
from gimbal.predictive.serving.target import MODELS

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.alone]


async def test_a_row_is_predicted_as_the_model_does(house: House) -> None:
    """The likeliest class as text, all probabilities as value, nothing to pay; the same version names its answers."""
    model, rows = classifier(), flights(5)
    version = await house.add("flights/target", model, rows)
    ctx = house.context()
    names = version.manifest["classes"]

    for (_, row), truth in zip(rows.iterrows(), model.predict_proba(rows), strict=True):
        output = await MODELS(ctx, version, Example(id="r", input=row.to_dict()))
        assert output.error == ""
        assert [round(output.value[name], 6) for name in names] == [round(float(p), 6) for p in truth]
        assert output.text == names[truth.argmax()]
        assert (output.cost, (output.latency_ms or 0) > 0) == (0, True)
    foreseen = await MODELS.foresee(ctx, version, [])
    assert (foreseen.identity, foreseen.cost, foreseen.most) == (version.digest, 0, 0)


async def test_an_input_that_does_not_fit_is_an_error_in_the_output(house: House) -> None:
    version = await house.add("flights/target", classifier(), flights(5))
    first = str(flights(1).columns[0])
    output = await MODELS(house.context(), version, Example(id="r", input={first: {"a": [1]}}))

    assert output.value is None
    assert "does not fit" in output.error
