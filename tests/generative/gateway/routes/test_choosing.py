"""Choosing: splits that keep their shares and their promises, latencies, prices, rules and constraints."""

import math
import os
import random
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import only
from gimbal.generative.gateway.routes.choosing import choose
from gimbal.generative.gateway.routes.model import decode_manifest
from gimbal.generative.gateway.routes.prepared import Filled, prepare
from gimbal.generative.gateway.routes.views import ChooseByRoute as Asked
from gimbal.kernel.errors import BadInput, Unprocessable

SIGMAS = 5
USERS = 10_000


def tolerance(share, number):
    """Return how far a share of so many draws may be off: once in two million tests."""
    return SIGMAS * math.sqrt(share * (1 - share) / number)


def route(name="support", prompts=None, **manifest):
    return prepare(name, decode_manifest(manifest), ref=f"route:{name}@v1", prompts=prompts)


def split(*weights, name="support", **more):
    targets = [{"model": f"p/m{number}", "weight": weight} for number, weight in enumerate(weights)]
    return route(name, targets=targets, strategy="weighted", **more)


def first(of, asked=None, health=None, **more):
    """Return the model that is asked first."""
    return choose(of, asked or Asked(), health or Health(), **more).choices[0].model


def assigned(of):
    return [first(of, Asked(user=f"user-{number}")) for number in range(USERS)]


def shares(models):
    return {model: models.count(model) / len(models) for model in set(models)}


def test_a_split_has_the_shares_of_its_weights():
    found = shares(assigned(split(7, 2, 1)))

    for model, share in (("m0", 0.7), ("m1", 0.2), ("m2", 0.1)):
        assert found[model] == pytest.approx(share, abs=tolerance(share, USERS))


def test_calls_without_a_user_are_split_by_chance():
    of, chance = split(7, 2, 1), random.Random(5).random
    found = shares([first(of, chance=chance) for _ in range(USERS)])

    for model, share in (("m0", 0.7), ("m1", 0.2), ("m2", 0.1)):
        assert found[model] == pytest.approx(share, abs=tolerance(share, USERS))


@pytest.mark.parametrize(("weight", "gains"), [(3, True), (0.25, False), (0, False)])
def test_a_changed_weight_moves_only_its_own_share(weight, gains):
    before, after = assigned(split(7, 2, 1)), assigned(split(7, 2, weight))
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    share = abs(weight / (9 + weight) - 0.1)

    assert moved
    assert {(new if gains else old) for old, new in moved} == {"m2"}
    assert len(moved) / USERS == pytest.approx(share, abs=tolerance(share, USERS))


def test_a_target_that_goes_gives_its_share_to_the_others_by_their_weights():
    before, after = assigned(split(6, 3, 1)), assigned(split(6, 3))
    heirs = [new for old, new in zip(before, after, strict=True) if old == "m2"]

    assert all(old in {new, "m2"} for old, new in zip(before, after, strict=True))
    assert heirs.count("m0") / len(heirs) == pytest.approx(2 / 3, abs=tolerance(2 / 3, len(heirs)))


def test_who_falls_back_is_split_by_weight_as_well():
    plans = [choose(split(8, 6, 2), Asked(user=f"u{n}"), Health()) for n in range(USERS)]
    seconds = [plan.choices[1].model for plan in plans if plan.choices[0].model == "m0"]

    assert all(len({choice.model for choice in plan.choices}) == 3 for plan in plans)
    assert seconds.count("m1") / len(seconds) == pytest.approx(0.75, abs=tolerance(0.75, len(seconds)))


def test_a_user_of_one_arm_is_not_bound_to_that_arm_of_another_route():
    one, two = assigned(split(1, 1)), assigned(split(1, 1, name="other"))
    same = sum(a == b for a, b in zip(one, two, strict=True)) / USERS

    assert same == pytest.approx(0.5, abs=tolerance(0.5, USERS))


def test_an_assignment_holds_in_every_process_and_for_ever():
    code = (
        "from tests.generative.gateway.routes.test_choosing import assigned, split\n"
        "print(''.join(model[1] for model in assigned(split(7, 2, 1))[:60]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "".join(model[1] for model in assigned(split(7, 2, 1))[:60])
    # Written down once: whoever changes how it is drawn moves every user of every installation.
    assert done.stdout.strip()[:20] == "20010102100001001010"


def test_a_session_can_be_what_is_kept_by_and_nothing_can():
    by_session, by_none = split(1, 1, sticky="session"), split(1, 1, sticky="none")
    one_user = [Asked(user="u", session=f"s{n}") for n in range(200)]
    chance = random.Random(3).random

    assert len({first(by_session, asked) for asked in one_user}) == 2
    assert len({first(by_session, Asked(user=f"u{n}", session="s")) for n in range(50)}) == 1
    assert len({first(by_none, Asked(user="u"), chance=chance) for _ in range(200)}) == 2
    assert choose(by_session, one_user[0], Health()).reasons == ("weighted", "kept by session")
    assert choose(by_none, one_user[0], Health()).reasons == ("weighted", "by chance")


@given(st.text(), st.lists(st.floats(0, 1e6), min_size=1, max_size=16).filter(any), st.integers())
def test_the_same_inputs_give_the_same_plan(user, weights, seed):
    plans = [choose(split(*weights), Asked(user=user), Health(), chance=random.Random(seed).random) for _ in range(2)]

    assert plans[0] == plans[1]
    assert sorted(choice.model for choice in plans[0].choices) == sorted(f"m{n}" for n in range(len(weights)))
    assert weights[int(plans[0].choices[0].model[1:])] > 0, "without a weight it is asked only when no other answers"


def measured(costs, resting=()):
    """Return what is known of models by their latencies, as far as choosing asks."""

    class Known:
        def usable(self, provider, model):
            return model not in resting

        def cost(self, provider, model, *, stream):
            return costs[model]

    return Known()


def test_two_choices_never_herd():
    """However much better one looks, it gets no more than the calls for which it is drawn: two of n."""
    number, chance = 10, random.Random(11).random
    of = route(targets=[f"p/m{n}" for n in range(number)], strategy="least_latency")
    known = measured({f"m{n}": 0.001 if n == 4 else 1.0 + n for n in range(number)})
    found = shares([first(of, health=known, chance=chance) for _ in range(USERS)])

    assert found["m4"] == pytest.approx(2 / number, abs=tolerance(2 / number, USERS))
    assert "m9" not in found, "the worst of all loses against whomever it is drawn with"


def test_models_that_rest_are_not_drawn_and_come_last():
    of = route(targets=["p/a", "p/b", "p/c"], strategy="least_latency")
    known = measured({"a": 0.1, "b": 0.5, "c": 0.2}, resting={"a"})
    plans = [choose(of, Asked(), known, chance=random.Random(seed).random) for seed in range(50)]
    none = measured({"a": 0.1, "b": 0.5, "c": 0.2}, resting={"a", "b", "c"})

    assert {tuple(choice.model for choice in plan.choices) for plan in plans} == {("c", "b", "a")}
    assert len(choose(of, Asked(), none).choices) == 3, "when all rest they are tried all the same"


def by_table(table):
    return lambda _, model, asked, answer: (
        None if table[model] is None else Decimal(table[model][0]) * asked + Decimal(table[model][1]) * answer
    )


def test_the_cheapest_depends_on_what_the_call_needs():
    of = route(targets=["p/long", "p/talk", "p/new"], strategy="cheapest", answer_tokens=1000)
    prices = by_table({"long": ("1", "10"), "talk": ("5", "2"), "new": None})
    asked = Asked(input_tokens=5000, answer_tokens=100)
    reads, talks = choose(of, asked, Health(), prices), choose(of, Asked(input_tokens=100), Health(), prices)

    assert [choice.model for choice in reads.choices] == ["long", "talk", "new"]
    assert [choice.model for choice in talks.choices] == ["talk", "long", "new"]
    assert talks.reasons[-1] == "for about 100 + 1000 tokens: p/talk $2500, p/long $10100, p/new has no known price"
    assert reads.choices[0].why == "cheapest"


def test_equal_prices_and_no_prices_keep_the_order_of_the_route():
    of = route(targets=["p/b", "p/a", "p/c"], strategy="cheapest")
    same = choose(of, Asked(), Health(), by_table(dict.fromkeys("abc", ("1", "1"))))

    assert [choice.model for choice in same.choices] == ["b", "a", "c"]
    assert [choice.model for choice in choose(of, Asked(), Health()).choices] == ["b", "a", "c"]


ABLE = [
    {"model": "p/plain", "tools": False, "vision": False, "json_schema": False, "context_length": 4000},
    {"model": "p/sees", "tools": False, "vision": True, "json_schema": False, "context_length": 8000},
    {"model": "p/all", "context_length": 100_000},
]


@pytest.mark.parametrize(
    ("asked", "able"),
    [
        (Asked(), ["plain", "sees", "all"]),
        (Asked(vision=True), ["sees", "all"]),
        (Asked(tools=True), ["all"]),
        (Asked(json_schema=True), ["all"]),
        (Asked(input_tokens=4000), ["plain", "sees", "all"]),
        (Asked(input_tokens=4001), ["sees", "all"]),
        (Asked(input_tokens=3000, answer_tokens=1001), ["sees", "all"]),
    ],
)
@pytest.mark.parametrize("strategy", ["fallback", "weighted", "least_latency", "cheapest"])
def test_a_target_gets_only_calls_that_it_can_take(asked, able, strategy):
    plan = choose(route(targets=ABLE, strategy=strategy), asked, Health())

    assert sorted(choice.model for choice in plan.choices) == sorted(able)
    assert len([reason for reason in plan.reasons if "left out" in reason]) == 3 - len(able)


def test_a_call_that_nobody_can_take_is_told_why_of_each():
    targets = [*ABLE[:2], {"model": "q/far", "region": "us"}]
    of = route(targets=[{**t, "region": t.get("region", "eu")} for t in targets], regions=["eu"])
    with pytest.raises(Unprocessable) as caught:
        choose(of, Asked(tools=True, input_tokens=9000), Health())

    assert caught.value.where == "model"
    assert caught.value.todo == (
        "Change the call or the route: p/plain: it calls no tools; p/sees: it calls no tools; "
        "q/far: it runs in us, not in eu."
    )


def test_a_target_that_does_not_tell_its_region_is_not_asked_where_regions_are():
    of = route(targets=["p/any", {"model": "p/here", "region": "eu"}], regions=["eu"])
    plan = choose(of, Asked(), Health())

    assert [choice.model for choice in plan.choices] == ["here"]
    assert "p/any left out: it runs in no region that is told, not in eu" in plan.reasons


RULES = [
    {"name": "batch", "when": {"feature": "nightly*"}, "targets": ["p/slow"]},
    {"when": {"tag": ["tier:free", "tier:trial"], "stream": False}, "targets": ["p/small", "p/main"]},
    {"when": {"user": "vip-*", "key": "web"}, "targets": ["p/big"]},
    {"when": {"model": "gpt-*", "tools": True}, "targets": ["p/tools"]},
    {"when": {"session": "s.1"}, "targets": ["p/session"]},
    {"when": {"tokens_above": 1000, "tokens_up_to": 2000}, "targets": ["p/mid"]},
    {"when": {"tokens_above": 2000}, "strategy": "weighted"},
]


@pytest.mark.parametrize(
    ("asked", "model", "reason"),
    [
        (Asked(feature="nightly-report"), "slow", "rule batch"),
        (Asked(feature="a nightly"), "main", "fallback"),
        (Asked(tags=["x", "tier:trial"]), "small", "rule 2"),
        (Asked(tags=["tier:free"], stream=True), "main", "fallback"),
        (Asked(feature="nightly", tags=["tier:free"]), "slow", "rule batch"),
        (Asked(user="vip-1", key_name="web"), "big", "rule 3"),
        (Asked(user="vip-1", key_name="mobile"), "main", "fallback"),
        (Asked(model="gpt-4o", tools=True), "tools", "rule 4"),
        (Asked(session="s.1"), "session", "rule 5"),
        (Asked(session="sx1"), "main", "fallback"),
        (Asked(input_tokens=1500), "mid", "rule 6"),
        (Asked(input_tokens=2001), "main", "rule 7"),
    ],
)
def test_the_first_rule_that_fits_holds(asked, model, reason):
    plan = choose(route(targets=["p/main"], rules=RULES), asked, Health())

    assert (plan.choices[0].model, plan.reasons[0]) == (model, reason)


def test_a_rule_may_name_the_routes_own_targets_with_all_that_they_say():
    of = route(
        targets=[{"model": "p/a", "vision": False}, "p/b"],
        rules=[{"when": {"feature": "x"}, "targets": ["p/a", "p/c"]}],
    )

    assert first(of, Asked(feature="x", vision=True)) == "c"
    assert first(of, Asked(feature="x")) == "a"


def test_a_shadow_gets_its_share_and_changes_nothing_else():
    of = route(targets=["p/a", "p/b"], shadow={"model": "q/new", "share": 0.2})
    plans = [choose(of, Asked(user="u"), Health(), chance=random.Random(n).random) for n in range(USERS)]
    found = [plan.shadow for plan in plans if plan.shadow]

    assert len(found) / USERS == pytest.approx(0.2, abs=tolerance(0.2, USERS))
    assert set(found) == {Choice(provider="q", model="new", why="shadow")}
    assert {plan.choices for plan in plans} == {plans[0].choices}


def test_a_prompt_stands_for_the_model_that_it_names():
    prompts = {"prompt:help/answer@production": Filled(ref="prompt:help/answer@v3", model="p/m")}
    of = route(targets=["prompt:help/answer@production", "p/n"], prompts=prompts)

    assert choose(of, Asked(), Health()).choices == (
        Choice(provider="p", model="m", why="first in order", prompt="prompt:help/answer@v3"),
        Choice(provider="p", model="n", why="fallback"),
    )


@pytest.mark.parametrize("model", ["route:other", "just-a-name"])
def test_a_prompt_of_a_route_names_a_model_of_a_provider(model):
    with pytest.raises(BadInput):
        route(targets=["prompt:x"], prompts={"prompt:x": Filled(ref="prompt:x@v1", model=model)})


def test_a_plan_says_by_which_version_it_came_to_be():
    plan = choose(route(targets=["p/a"], resilience={"retry": {"attempts": 3}}), Asked(), Health())

    assert plan.route == "route:support@v1"
    assert plan.resilience.retry.attempts == 3
    assert only(Choice(provider="p", model="a")).route == ""
