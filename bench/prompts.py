"""A folder of 1,000 prompt files synced over HTTP: at first, and again with nothing new; and a prompt filled from memory.

The limit of a sync is to write as many blobs, each synced and four at once, with one sync of each folder; that of filling is
to put the same texts together by hand.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from blake3 import blake3

import gimbal
from bench.bar import Figure, gimbal_up, median

FILES, FILLED = 1_000, 5_000
_FIRST_S, _AGAIN_S, _FILLED_US = 2.0, 1.0, 20.0


def texts(count: int, mark: str) -> list[str]:
    """Return prompt files of two messages and two variables."""
    return [
        f'+++\nmodel = "local/extractive"\n\n[params]\ntemperature = 0.2\nmax_tokens = 400\n+++\n\n## system\n'
        f"You answer the question {number} of {mark}. Keep to what the sources say, and name them.\n\n"
        "## user\n{{context}}\n\nQuestion: {{question}}\n"
        for number in range(count)
    ]


def _written(contents: list[bytes]) -> float:
    """Return the seconds of writing files by their digests, each synced and some at once, and each folder once."""
    with tempfile.TemporaryDirectory(prefix="gimbal-prompts-") as folder, ThreadPoolExecutor(4) as pool:
        begun = time.perf_counter()
        names = [blake3(content).hexdigest() for content in contents]
        paths = [Path(folder) / name[:2] / name[2:4] / name for name in names]
        for parent in {path.parent for path in paths}:
            parent.mkdir(parents=True)
        list(pool.map(_write, paths, contents))
        list(pool.map(_sync, {Path(folder), *(up for path in paths for up in (path.parent, path.parent.parent))}))
        return time.perf_counter() - begun


def _write(path: Path, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, content)
    os.fsync(file)
    os.close(file)


def _sync(folder: Path) -> None:
    entry = os.open(folder, os.O_RDONLY)
    os.fsync(entry)
    os.close(entry)


def _synced(client: httpx.Client, project: str, files: list[str]) -> float:
    """Return the seconds of one sync into a project."""
    body = {"files": [{"path": f"help/answer-{number}.md", "text": text} for number, text in enumerate(files)]}
    begun = time.perf_counter()
    client.post(f"/api/v1/projects/{project}/prompts/sync", json=body).raise_for_status()
    return time.perf_counter() - begun


def _filled(url: str, project: str) -> tuple[float, float]:
    """Return the microseconds of `format` from memory, looked up anew each time, and of putting the texts together by hand."""
    os.environ["GIMBAL_CACHE"] = tempfile.mkdtemp(prefix="gimbal-cache-")
    values = {"context": "[1] docs/ports.md — Ports\nThe server listens on 8765.", "question": "Which port is it?"}
    with gimbal.Client(url, project=project) as client:

        def ours() -> float:
            begun = time.perf_counter()
            for _ in range(FILLED):
                gimbal.prompt("help/answer-7", client=client).format(**values)
            return (time.perf_counter() - begun) / FILLED * 1e6

        took = median(ours)
    head = texts(8, project)[7].partition("## system\n")[2].partition("\n\n##")[0]

    def hand() -> float:
        begun = time.perf_counter()
        for _ in range(FILLED):
            said = f"{values['context']}\n\nQuestion: {values['question']}"
            assert [{"role": "system", "content": head}, {"role": "user", "content": said}]
        return (time.perf_counter() - begun) / FILLED * 1e6

    return took, median(hand)


def figures() -> Iterator[Figure]:
    """Measure both syncs, each first one of a project of its own with texts of its own, and the writing alone."""
    with gimbal_up() as up, httpx.Client(base_url=up.url, timeout=120) as client:
        slugs = iter(f"prompts-{number}" for number in range(100))

        def first() -> float:
            slug = next(slugs)
            client.post("/api/v1/projects", json={"slug": slug}).raise_for_status()
            return _synced(client, slug, texts(FILES, slug))

        took = median(first, 3)
        last = "prompts-0"
        again = median(lambda: _synced(client, last, texts(FILES, last)), 3)
        filled, by_hand = _filled(up.url, last)
    alone = median(lambda: _written([text.encode() for text in texts(FILES, "the disk")]), 3)
    yield Figure("prompt().format() from memory", filled, "µs", _FILLED_US, f"{_FILLED_US:g} µs")
    yield Figure("  of", filled, "µs", by_hand, f"putting the texts together by hand ({by_hand:.1f} µs)", physical=True)
    yield Figure(f"first sync of {FILES:,} prompt files", took, "s", _FIRST_S, f"{_FIRST_S:g} s")
    yield Figure("  of", took, "s", alone, f"writing their blobs alone ({alone:.2f} s)", physical=True)
    yield Figure(f"sync of {FILES:,} files with nothing new", again, "s", _AGAIN_S, f"{_AGAIN_S:g} s")
    yield Figure("  of", again, "s", alone, "writing their blobs alone", physical=True)
