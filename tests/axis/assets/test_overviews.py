"""The overview of each kind shows what its owner says a version is, and stays a page whatever the manifest holds."""

import asyncio
import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.browser import OpenPage, browser_page
from tests.pages import looks
from tests.served import serve
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

import gimbal.axis.assets.pages
import gimbal.axis.scores.builtin
import gimbal.generative.gateway.routes.model
import gimbal.generative.guards.checks
import gimbal.generative.knowledge.model
import gimbal.generative.prompts.model
import gimbal.predictive.flavors.model  # noqa: F401 - all of them fill tables
from gimbal.axis.assets.model import KINDS, AssetKind, FileEntry, register_kind
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.model import DATA_FILE
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.evals.model import EXAMPLES_FILE
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput

__all__ = ["browser_page"]

OWN = ("dataset", "model", "prompt", "suite", "index", "route", "policy")
HOSTILE = "<script>window.pwned=1</script> \"x\" 'y' & {{ 7 * 7 }}"
LONG = "unbroken_" * 30
DIGEST = "b3:" + "0a" * 32
FILE = {"dataset": DATA_FILE, "model": "model.skops", "suite": EXAMPLES_FILE}
FLOATS = [1.5, None, float("inf"), -2e-7]
NUMBERS: dict[str, Any] = {"type": "double", "nullable": True}

# Everything that a manifest may have, with what people write in it as bad as it gets.
FULL: dict[str, dict[str, Any]] = {
    "dataset": {
        "format": "parquet",
        "rows": 80_789,
        "schema": [
            {"name": HOSTILE, "type": "string", "nullable": False},
            {"name": LONG, "type": f"struct<{LONG}: int64>", "nullable": True},
            *({"name": f"c{i}", **NUMBERS} for i in range(120)),
        ],
        "profile": [
            {"name": HOSTILE, "count": 80_788, "missing": 1, "distinct": 5, "top": [{"value": HOSTILE, "count": 80_787}, {"value": " ", "count": 1}]},
            {"name": "c0", "count": 9, "missing": 80_780, "distinct": 4, "infinite": 2, "min": -1.5, "max": 1439.0, "mean": 816.4518, "quantiles": {"0.5": 840.0}},
            {"name": "c1", "count": 80_789, "missing": 0, "distinct": 2, "min": "2026-01-01", "max": "2026-02-01"},
        ],
    },
    "model": {
        "flavor": "sklearn",
        "task": "classification",
        "signature": {
            "inputs": [{"name": HOSTILE, "datatype": "BYTES"}, {"name": LONG, "datatype": "FP64", "shape": [-1], "optional": True}],
            "outputs": [{"name": "probability", "datatype": "FP64", "shape": [-1, 2]}, {"name": "one", "datatype": "BOOL", "shape": []}],
        },
        "classes": ["on time", HOSTILE],
        "example": {HOSTILE: [None, HOSTILE, LONG, "d", "e", "sixth"], LONG: [1440.25, None], "flag": [True], "more": [[1, {"a": HOSTILE}]], "none": []},
        "environment": {"python": "3.11.7", HOSTILE: LONG},
    },
    "prompt": {
        "messages": [
            {"role": "system", "content": f"<b>Use</b> \\{{{{ as it is }}}} and {{{{context}}}} {LONG}"},
            {"role": "user", "content": "{{ question }}{{question}}\n\nends with a \\"},
        ],
        "model": f"local/{HOSTILE}",
        "params": {"temperature": 0.25, "max_tokens": 4096, "seed": 20_260, "stop": [HOSTILE, "\n"], "top_p": None},
        "variables": ["context", "question"],
        "retrieval": {"index": "help/docs@v3", "k": 7, "query": "question", "into": "context"},
        "description": HOSTILE,
    },
    "suite": {"examples": 53, "clusters": 30, "scorers": ["exact_match", "token_f1", "source_hit", HOSTILE, LONG], HOSTILE: HOSTILE},
    "index": {
        "chunker": {"kind": "markdown", "size": 180, "overlap": 30},
        "retriever": {"kind": "bm25", "k1": 1.2, "b": 0.75},
        "analyzer": HOSTILE,
        "documents": [{"source": f"{HOSTILE}{i}", "title": LONG, "digest": DIGEST, "chunks": i} for i in range(103)],
        "chunks": 5_253,
        "tokens": 1_234_567,
    },
    "route": {
        "description": HOSTILE,
        "strategy": "weighted",
        "sticky": "session",
        "targets": [
            {"model": f"local/{HOSTILE}", "weight": 2.5, "tools": False, "vision": True, "context_length": 128_000, "region": HOSTILE},
            "prompt:help/answer@production",
            f"up/{LONG}",
        ],
        "regions": [HOSTILE, "prompts have none", LONG],
        "rules": [
            {"name": HOSTILE, "when": {"feature": HOSTILE, "tag": ["a", LONG], "stream": True, "tools": False, "tokens_above": 60_000}, "targets": ["up/x", "prompt:help/answer"], "regions": []},
            {"when": {"user": LONG}, "strategy": "cheapest", "regions": [HOSTILE]},
        ],
        "shadow": {"model": "up/shadow", "share": 0.05},
        "resilience": {
            "deadlines": {"connect_s": 2.5, "total_s": 90},
            "retry": {"attempts": 3, "repeatable": True},
            "hedge": {"after_s": 1.5},
            "fall_back_on": ["content_filter", "context_length"],
        },
    },
    "policy": {
        "description": f"{HOSTILE} {LONG}",
        "guards": [
            {"name": "a" * 40, "detectors": ["contact", "known_secret"], "action": "mask", "deadline_ms": 1500, "required": False},
            {"name": "words", "where": "output", "words": [HOSTILE, LONG[:100]], "patterns": [{"kind": "own_ticket", "pattern": HOSTILE}], "action": "block"},
            {"name": "size", "where": "input", "max_characters": 200_000, "action": "flag"},
        ],
    },
}  # fmt: skip
SHOWN = {
    "dataset": ["80,789", "122", "Parquet", "< 0.1 %", "> 99.9 %", "string", "double, nullable", "−1.5", "1,439", "mean 816.5, median 840, 2 infinite", "2026-02-01", "blank", "and 2 more", "The first 100 of 122"],
    "model": ["sklearn", "classification", "on time", "the last is the positive one", "python 3.11.7", "number or missing", "true or false", "n × 2", "1,440", "10 B"],
    "prompt": ["local/", "0.25", "4096", "20260", "7 passages for", "/assets/index:help%2Fdocs@v3", ">{{context}}</span>", ">{{question}}</span>", "\\{{ as it is }}", "ends with a \\<", "system", "user"],
    "suite": ["53", "30", "Harmonic mean of the share", "1 when the output is one of", "1 when one of the sources", "/evaluations?suite=suite:this@v1"],
    "index": ["103", "5,253", "1,234,567", "at most 180 tokens each, up to 30 said again", "BM25, k1 1.2, b 0.75", "The first 100 of 103"],
    "route": ["Split by weight", "kept by session", "up/shadow", "5.0 % of the calls", "2.5", "no tools", "vision", "128,000 tokens", "/assets/prompt:help%2Fanswer@production", "tokens above 60,000", "tools no", "Cheapest", "any region", "2.5 s to connect", "120 s to the first byte", "90 s in all", "3 at each target", "after 1.5 s", "10.0 % of the calls at most", "content filter, context length"],
    "policy": ["a" * 40, "known_secret", "mask", "1,500 ms", "let it pass", "What is answered", "2 words", "own_ticket", "block", "refuse the call", "more than 200,000 characters", "500 ms"],
}  # fmt: skip
# The least that the check of each kind takes.
SPARSE: dict[str, dict[str, Any]] = {
    "dataset": {"format": "parquet", "rows": 0, "schema": [{"name": "a", **NUMBERS}], "profile": [{"name": "a", "count": 0, "missing": 0, "distinct": None}]},
    "model": {"flavor": "onnx", "task": "regression", "signature": {"inputs": [{"name": "a", "datatype": "INT64"}], "outputs": []}},
    "prompt": {"messages": [{"role": "user", "content": "{{context}} {{question}}"}], "model": "m", "variables": ["context", "question"], "retrieval": {"index": "index:help/docs"}},
    "suite": {"examples": 1, "scorers": ["mine"], "clusters": "many"},
    "index": {"chunker": {}, "retriever": {}, "analyzer": "a", "documents": [], "chunks": 0, "tokens": 0},
    "route": {"targets": ["a/b"], "rules": [{"when": {"stream": False}, "strategy": "fallback"}], "resilience": {"hedge": {}}},
    "policy": {"guards": [{"name": "a", "detectors": ["email"], "action": "mask"}]},
}  # fmt: skip

RULES: set[str] = set()


def _by_the_rules(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    if RULES - set(manifest):
        raise BadInput("A relic needs more than that by now.")


register_kind(
    AssetKind(name="relic", title="Relics", ring="axis", check=_by_the_rules, template="datasets/version.html")
)
register_kind(AssetKind(name="stray", title="Strays", ring="axis", template="stray/nowhere.html"))
for own in OWN:
    register_kind(AssetKind(name=f"bare{own}", title="Bare", ring="axis", template=KINDS.get(own).template))


@pytest.fixture
async def site(assets: Assets, services: Services, tmp_path: Path) -> AsyncIterator[str]:
    """Serve the assets; give the address of the project's."""
    async with serve(services, tmp_path / "cache") as url:
        yield f"{url}/p/default/assets"


async def add(ctx: Context, blobs: Blobs, kind: str, manifest: dict[str, Any]) -> str:
    """Store a version of `this`; return its path below the assets."""
    blob = await blobs.put(b"ten bytes.")
    files = [FileEntry(path=FILE.get(kind, "data"), digest=blob.digest, size=blob.size)]
    made = await ctx.get(Assets).add_version(ctx, kind=kind, name="this", manifest=manifest, files=files)
    return f"/{made.kind}%3Athis@v{made.number}"


async def read(url: str) -> str:
    """Return the main part of a page that must answer."""
    async with httpx.AsyncClient() as client:
        reply = await client.get(url)
    assert reply.status_code == 200, reply.text
    return reply.text.partition("<main")[2]


@pytest.mark.parametrize("kind", OWN)
async def test_what_a_version_is_stands_on_its_page(site: str, ctx: Context, blobs: Blobs, kind: str) -> None:
    """Its facts in words and tables, what people wrote escaped, and the manifest below as it is stored."""
    text = await read(site + await add(ctx, blobs, kind, FULL[kind]))
    above, _, below = text.partition("Manifest as stored")

    assert [words for words in SHOWN[kind] if words not in html.unescape(above)] == []
    assert "<script>window" not in text
    assert "&lt;script&gt;window" in above
    assert "<b>Use" not in text
    assert "{{ 7 * 7 }}" in above
    assert "json" not in above
    assert "scorers" in below or "{" in below


@pytest.mark.parametrize("kind", OWN)
async def test_a_manifest_without_what_may_be_missing_is_shown(
    site: str, ctx: Context, blobs: Blobs, kind: str
) -> None:
    """What has a default may be left out of a manifest that somebody writes."""
    assert "Manifest as stored" in await read(site + await add(ctx, blobs, kind, SPARSE[kind]))


@pytest.mark.parametrize("kind", OWN)
async def test_a_template_takes_a_manifest_without_anything(site: str, ctx: Context, blobs: Blobs, kind: str) -> None:
    """Also where nothing has checked the manifest."""
    assert "Manifest as stored" in await read(site + await add(ctx, blobs, f"bare{kind}", {}))
    assert "Manifest as stored" in await read(site + await add(ctx, blobs, f"bare{kind}", {"more": 1}))


async def test_a_manifest_that_no_longer_fits_is_shown_as_it_is_stored(
    site: str, ctx: Context, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules that came later do not take a page away."""
    path = await add(ctx, blobs, "relic", {"rows": 1234})
    before = await read(site + path)
    monkeypatch.setattr(f"{__name__}.RULES", {"schema"})
    after = await read(site + path)

    assert "1,234" in before
    assert "Manifest as stored" in before
    assert "1,234" not in after
    assert "Manifest as stored" not in after
    assert "1234" in after


async def test_a_template_that_is_not_there_takes_no_page_away(site: str, ctx: Context, blobs: Blobs) -> None:
    """The manifest is still shown."""
    text = await read(site + await add(ctx, blobs, "stray", {"rows": 1234}))

    assert "1234" in text


async def test_a_snapshot_is_shown_with_every_type_of_column(
    site: str, ctx: Context, services: Services, blobs: Blobs, assets: Assets, tmp_path: Path
) -> None:
    """As its own profile has it."""
    table = pa.table({"x": FLOATS, "flag": [True, None, True, False], "v": [[1], None, [], [2]], "no": [None] * 4})
    version = await Datasets(assets, blobs, spool=tmp_path / "spool").snapshot(ctx, "this", table)
    text = html.unescape(await read(f"{site}/dataset%3Athis@v{version.number}"))

    for words in ("−2.000e−07", "mean 0.75", "1 infinite", "true <span", "66.7 %", "25.0 %", "100.0 %", "list<"):
        assert words in text


@pytest.mark.browser
@pytest.mark.parametrize("kind", OWN)
async def test_an_overview_fits_its_window(
    site: str, ctx: Context, blobs: Blobs, browser_page: OpenPage, kind: str
) -> None:
    """At 1280 and 390 pixels, light and dark: nothing wider, cut off, faint or without a name."""
    path = await add(ctx, blobs, kind, FULL[kind])

    async def look(width: int, theme: str) -> None:
        opened = await browser_page(site + path, width=width, theme=theme)
        assert opened.complaints == []
        assert await opened.overflow() == []
        assert await opened.page.evaluate(looks.CUT) == []
        assert await opened.page.evaluate(looks.FAINT) == []
        assert await opened.page.evaluate(looks.NAMELESS) == []
        assert await opened.page.evaluate("window.pwned") is None

    await asyncio.gather(*(look(width, theme) for width in (1280, 390) for theme in ("light", "dark")))
