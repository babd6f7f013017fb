"""The circuit breaker against a naive one that remembers everything, in any order of events."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gimbal.generative.gateway.resilience.breaker import CLOSED, HALF_OPEN, OPEN, PASS, REFUSED, Breaker
from gimbal.kernel.settings_resilience import BreakerSettings

SETTINGS = BreakerSettings(
    window_s=10, least_calls=4, failure_rate=0.5, open_s=2, most_open_s=12, probes=2, successes=3
)


class AgainstANaiveOne(RuleBasedStateMachine):
    """Calls that come, end well or badly or late or never, while time passes."""

    def __init__(self):
        super().__init__()
        self.now = 500.0
        self.breaker = Breaker(SETTINGS, self.now)
        self.out = []
        # The naive one: every call with its time, and what follows from the rules as they are written down.
        self.closed = True
        self.events = []
        self.closed_at = self.now
        self.until = 0.0
        self.opened = 0
        self.life = 0
        self.good = 0

    def seen(self):
        """Return the events of the window: ten slices of a second, the present one included."""
        return [bad for at, bad in self.events if int(at) > int(self.now) - 10]

    def note(self, bad, calls=1):
        self.events.append((self.now, (calls, bad)))
        found = self.seen()
        calls, failures = sum(c for c, _ in found), sum(b for _, b in found)
        if bad and calls >= 4 and failures >= 0.5 * calls:
            if self.now - self.closed_at > 10:
                self.opened = 0
            self.open()

    def open(self):
        self.closed = False
        self.until = self.now + min(12, 2 * 2**self.opened)
        self.opened += 1
        self.life += 1
        self.good = 0

    def probes_out(self):
        return sum(life == self.life and token != PASS for token, life in self.out)

    @rule(seconds=st.one_of(st.floats(0, 1), st.floats(0, 40)))
    def wait(self, seconds):
        """Let time pass."""
        self.now += seconds

    @rule()
    def enter(self):
        """Begin a call."""
        passes = self.closed or (self.now >= self.until and self.probes_out() < 2)
        assert self.breaker.may_enter(self.now) == passes
        token = self.breaker.enter(self.now)
        assert (token != REFUSED) == passes
        if passes:
            assert (token == PASS) == self.closed
            self.out.append((token, self.life))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "failed", "dropped"]))
    def end(self, data, how):
        """End a call that is under way."""
        token, life = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if how == "dropped":
            self.breaker.dropped(token)
            return
        getattr(self.breaker, how)(token, self.now)
        if token == PASS:
            if self.closed:
                self.note(how == "failed")
        elif not self.closed and life == self.life:
            if how == "failed":
                self.open()
            else:
                self.good += 1
                if self.good == 3:
                    self.closed, self.closed_at, self.events = True, self.now, []

    @precondition(lambda self: self.closed)
    @rule()
    def storm(self):
        """Let calls fail one after the other until it opens."""
        while self.closed:
            self.breaker.failed(self.breaker.enter(self.now), self.now)
            self.note(bad=True)

    @rule()
    def break_off(self):
        """Let an answer that had begun break off."""
        self.breaker.failed_later(self.now)
        if self.closed:
            self.note(bad=True, calls=0)

    @invariant()
    def same(self):
        """Both are in the same state and know the same."""
        expected = CLOSED if self.closed else OPEN if self.now < self.until else HALF_OPEN
        assert self.breaker.state(self.now) == expected
        assert self.breaker.closed == self.closed
        assert self.probes_out() <= 2
        if not self.closed:
            assert self.breaker.until == self.until
            assert self.breaker.until - self.now <= 12


TestBreaker = AgainstANaiveOne.TestCase
TestBreaker.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def failing(breaker, now, calls):
    for _ in range(calls):
        breaker.failed(breaker.enter(now), now)


def test_few_calls_never_open_it():
    breaker = Breaker(BreakerSettings(), 0.0)
    failing(breaker, 0.0, 9)

    assert breaker.state(0.0) == CLOSED
    failing(breaker, 0.0, 1)
    assert breaker.state(0.0) == OPEN


def test_failures_of_long_ago_do_not_count():
    breaker = Breaker(BreakerSettings(), 0.0)
    failing(breaker, 0.0, 9)
    failing(breaker, 31.0, 9)

    assert breaker.state(31.0) == CLOSED
    assert (breaker.calls, breaker.failures) == (9, 9)


def test_it_stays_open_longer_each_time_until_it_has_been_well_for_a_while():
    breaker, now, times = Breaker(BreakerSettings(), 0.0), 0.0, []
    failing(breaker, now, 10)
    for _ in range(7):
        times.append(breaker.until - now)
        now = breaker.until
        failing(breaker, now, 1)
    for _ in range(2):
        now = max(now, breaker.until)
        breaker.succeeded(breaker.enter(now), now)
    assert breaker.closed
    failing(breaker, now, 10)
    soon = breaker.until - now
    now = breaker.until
    for _ in range(2):
        breaker.succeeded(breaker.enter(now), now)
    failing(breaker, now + 31, 10)

    assert times == [5, 10, 20, 40, 80, 120, 120]
    assert soon == 120, "who fails again at once goes on where it was"
    assert breaker.until - (now + 31) == pytest.approx(5)


def test_a_probe_that_is_given_up_makes_room_for_another():
    breaker = Breaker(BreakerSettings(), 0.0)
    failing(breaker, 0.0, 10)
    probe = breaker.enter(5.0)

    assert breaker.enter(5.0) == REFUSED
    breaker.dropped(probe)
    assert breaker.enter(5.0) == probe


@pytest.mark.parametrize("late", ["succeeded", "failed"])
def test_a_probe_of_an_earlier_time_says_nothing_any_more(late):
    breaker = Breaker(SETTINGS, 0.0)
    failing(breaker, 0.0, 4)
    one, two = breaker.enter(2.0), breaker.enter(2.0)
    breaker.failed(one, 2.0)
    until = breaker.until
    getattr(breaker, late)(two, 3.0)

    assert breaker.until == until == 6.0
    assert [breaker.enter(6.0) > 0 for _ in range(3)] == [True, True, False]
