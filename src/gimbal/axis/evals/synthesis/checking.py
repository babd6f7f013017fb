"""Keeps of what a model wrote that which its passage supports and which is not there already, and says where it came from."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from blake3 import blake3

from gimbal.axis.evals.model import Example
from gimbal.axis.evals.synthesis.model import SLICE, Drop, Passage, Synthesise, Written
from gimbal.axis.evals.synthesis.passages import passage_digest
from gimbal.axis.evals.synthesis.writing import Draft, drafts_of, prompt_digest
from gimbal.engines.text.near import between, duplicates, exact_key

_LEAST_EVIDENCE = 2
"""Signs from which on a quotation shows something."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A question that its passage supports."""

    draft: Draft
    passage: Passage
    written: Written


def plain(text: str) -> str:
    """Return a text in which only line ends and runs of white space, and how marks are composed, do not count."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def supported(passage: Passage, written: Written, most: int, dropped: Counter[str]) -> list[Candidate]:
    """Return what was written that quotes its passage word for word; count the others by reason."""
    drafts = drafts_of(written.text)
    if drafts is None:
        dropped[Drop.UNPARSEABLE] += 1
        return []
    found: list[Candidate] = []
    whole = plain(passage.text)
    for draft in drafts:
        evidence = plain(draft.evidence)
        if not draft.question or not draft.answer or len(evidence) < _LEAST_EVIDENCE:
            dropped[Drop.INCOMPLETE] += 1
        elif evidence not in whole:
            dropped[Drop.UNSUPPORTED] += 1
        elif len(found) == most:
            dropped[Drop.SUPERFLUOUS] += 1
        else:
            found.append(Candidate(draft=draft, passage=passage, written=written))
    return found


def distinct(
    candidates: Sequence[Candidate], known: Sequence[str], threshold: float, dropped: Counter[str]
) -> list[Candidate]:
    """Return candidates whose questions resemble neither one before them nor one that is known; count the others."""
    questions = [one.draft.question for one in candidates]
    gone: dict[int, str] = {}
    keys = [exact_key(text) for text in questions]
    taken = {exact_key(text) for text in known}
    for at in sorted({pair.left for pair in between(questions, known, threshold=threshold)}):
        gone[at] = Drop.DUPLICATE if keys[at] in taken else Drop.NEAR_DUPLICATE
    for pair in duplicates(questions, threshold=threshold):
        same = keys[pair.left] == keys[pair.right]
        # One that is dropped itself, as another is like it, drops nobody but those that say the same.
        if pair.right not in gone and (same or pair.left not in gone):
            gone[pair.right] = Drop.DUPLICATE if same else Drop.NEAR_DUPLICATE
    dropped.update(gone.values())
    return [one for at, one in enumerate(candidates) if at not in gone]


def example_of(candidate: Candidate, body: Synthesise, source: str) -> Example:
    """Return a candidate as an example, with all that tells where it came from."""
    digest = passage_digest(candidate.passage)
    key = f"{digest}\0{candidate.draft.question}".encode("utf-8", "surrogatepass")
    origin: dict[str, Any] = {
        "model": body.model,
        "prompt": prompt_digest(body),
        "passage": candidate.passage.id,
        "passage_digest": digest,
        "evidence": candidate.draft.evidence,
        "at": candidate.written.at,
        "trace_id": candidate.written.trace_id,
    }
    return Example(
        id=f"written-{blake3(key).hexdigest()[:16]}",
        input={"question": candidate.draft.question},
        expected={"answer": candidate.draft.answer},
        cluster=candidate.passage.cluster or candidate.passage.id,
        slice=SLICE if body.slice else "",
        metadata={"synthetic": origin | ({"source": source} if source else {})},
    )
