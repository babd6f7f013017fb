"""`gimbal prompts optimise`: the plan first, the search as it goes on, and what came of it."""

import json

import pytest
from bench.bar import Running
from tests.faces.cli.conftest import Cli
from tests.faces.cli.test_evaluating import Place

import gimbal


@pytest.fixture(scope="module")
def place(up: Running) -> Place:
    with gimbal.Client(up.url) as client:
        return Place(client)


def test_the_plan_comes_first_and_the_outcome_last(cli: Cli, place: Place, up: Running) -> None:
    """A prompt that nothing can be shown to help stays as it is, and the command says so."""
    words = ("prompts", "optimise", place.bad, "--suite", place.suite, "--method", "few_shot", "--rounds", "2")
    done = cli(*words, "--yes")
    told = cli(*words, "--yes", "--json")

    assert done.code == 0, done.err
    assert "40 examples to train on, 20 to show, 60 held out for the proof" in done.err
    assert "2 rounds, at most 260 calls, free" in done.err
    assert "The proof finds a difference of" in done.err
    assert "/optimisations/" in done.err
    assert "of 2, best" in done.err
    found = json.loads(told.out)
    assert (found["status"], found["rounds"], found["spent"]) == ("done", 2, "0")
    assert found["outcome"].rstrip() in done.out
    with gimbal.Client(up.url) as client:
        assert len(client.optimisations.list(prompt=place.bad).items) == 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--mark", "exact_match=much"), "'much' is no weight"),
        (("--mark", "nobody"), "The suite has no scorer 'nobody'"),
        (("--validation", "0.01"), "independent groups of examples"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_asked(
    cli: Cli, place: Place, more: tuple[str, ...], says: str
) -> None:
    done = cli("prompts", "optimise", place.bad, "--suite", place.suite, "--yes", *more)

    assert (done.code, says in done.err) == (1, True), done.err
