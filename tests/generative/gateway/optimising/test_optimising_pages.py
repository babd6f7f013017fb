"""The pages of optimisations, served by the real application."""

from decimal import Decimal

import pytest
from tests.generative.gateway.optimising.conftest import BETTER, PROMPT, SUITE, examples, optimised, store
from tests.served import serve

import gimbal.generative.gateway.optimising.pages  # noqa: F401 - fills the table
from gimbal.generative.gateway.optimising.model import OptimisePrompt
from gimbal.kernel.refs import Ref

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
async def site(gateway, optimisations, tmp_path):
    """Serve it."""
    async with serve(gateway, tmp_path / "cache") as url:
        yield f"{url}/p/default"


async def test_the_pages_tell_what_came_of_it(site, optimisations, ctx, upstream, http):
    """The list leads to the page, with its proof, its candidates, what differs, and the version; nothing is markup."""
    await store(ctx, examples(32))
    upstream.reflections = lambda n: BETTER.replace("Spell", f"{HOSTILE} Spell") if n else f"prose {HOSTILE}"
    found = await optimised(ctx, methods=["reflection"])

    listed = (await http.get(f"{site}/optimisations")).text
    page = (await http.get(f"{site}/optimisations/{found.id}")).text

    assert f"/p/default/optimisations/{found.id}" in listed
    for words in (
        "better",
        f"{PROMPT}@v2",
        "candidate stands on v2",
        "no instruction",
        "held out",
        "No. 1",
        "Spell it out",
    ):
        assert words in page, words
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert (await http.get(f"{site}/optimisations/nobody")).status_code == 404
    assert PROMPT in (await http.get(f"{site}/optimisations?prompt={PROMPT}")).text


async def test_one_that_has_only_begun_has_a_page(site, optimisations, ctx, upstream, http):
    """Without a candidate, a proof or an outcome."""
    assert "No optimisation yet" in (await http.get(f"{site}/optimisations")).text
    await store(ctx, examples(32))
    body = OptimisePrompt(suite=SUITE, max_cost=Decimal(1))
    begun = await optimisations.start(ctx, Ref.parse(PROMPT), body)

    page = await http.get(f"{site}/optimisations/{begun.id}")
    assert page.status_code == 200
    assert "No candidate yet" in page.text
    assert 'data-refresh="2"' in page.text
