"""Events reach those who listen for their kind; every error has a code and says what to do."""

import inspect

import msgspec
import pytest
from tests.kernel.records import Body, Moved

from gimbal.kernel import errors
from gimbal.kernel.context import Services
from gimbal.kernel.errors import Conflict, Unavailable, error_kinds
from gimbal.kernel.events import Event, EventBus


async def test_an_event_reaches_its_own_kind_only() -> None:
    """Not the listeners of its parents or of others."""

    class Fallen(Moved, frozen=True, kw_only=True):
        """Something fell."""

    seen: list[str] = []

    async def listen(event: Event) -> None:
        seen.append(type(event).__name__)

    bus = EventBus()
    bus.subscribe(Moved, listen)
    await bus.publish(Fallen(project="p", what="x"))
    await bus.publish(Moved(project="p", what="x"))

    assert seen == ["Moved"]
    assert msgspec.json.decode(msgspec.json.encode(Moved(project="p", what="x")))["type"] == "Moved"


def test_a_service_that_is_not_there_is_unavailable(services: Services) -> None:
    """With what to do, not an accident."""
    with pytest.raises(Unavailable, match="Body"):
        services.get(Body)
    assert not services.has(Body)


def test_every_error_has_a_code_of_its_own_and_a_place_in_the_drawing() -> None:
    """The drawing at the top of the module is the tree."""
    kinds = list(error_kinds().values())
    for kind in kinds:
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in (errors.__doc__ or "")
            assert inspect.getdoc(kind)
    assert len({k.code for k in kinds}) == len(kinds)
    body = Conflict("a", where="b", kept="c", todo="d", retry_after=2)
    assert msgspec.json.decode(body.as_json()) == {
        "error": {"code": "conflict", "message": "a", "where": "b", "kept": "c", "todo": "d"}
    }
    assert str(body) == "a (at b) Kept: c To do: d"
