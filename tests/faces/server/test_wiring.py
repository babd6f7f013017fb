"""Assembly: every room is loaded or its absence is an error, what was opened is closed, each thing is bound once."""

from pathlib import Path

import pytest

import gimbal
from gimbal.axis.evals.target import TARGETS
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.http.choose import ChoosingClient
from gimbal.engines.http.model import Deadlines, Origin
from gimbal.faces.server import capabilities, wiring
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.target import PROMPTS
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import Unavailable
from gimbal.kernel.settings import Settings
from gimbal.kernel.settings_gateway import GatewaySettings

SOURCE = Path(gimbal.__file__).parent


def test_a_room_that_is_not_there_is_an_error(monkeypatch):
    """Left out in silence, its operations would be missing from every face."""
    monkeypatch.setattr(capabilities, "ROOMS", (*capabilities.ROOMS, "gimbal.axis.nowhere"))
    with pytest.raises(ModuleNotFoundError, match=r"gimbal\.axis\.nowhere"):
        capabilities.load_operations()


def test_a_room_without_a_part_is_none(monkeypatch):
    monkeypatch.setattr(capabilities, "ROOMS", ("gimbal.axis.assets",))

    assert "gimbal.axis.assets.operations" in capabilities.load_operations()
    assert capabilities.load_work() == []


def test_every_target_is_bound_in_one_place(served):
    """The axis asks by a Protocol; only the wiring says who answers."""
    adding = [p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py") if "TARGETS.add(" in p.read_text()]

    assert adding == ["faces/server/wiring.py"]
    assert TARGETS.get("prompt") is PROMPTS


async def test_the_connections_of_providers_are_closed_at_the_end():
    """`aclosing` at the end of both processes that call providers."""
    text = Path(wiring.__file__).read_text()
    assert text.count("contextlib.aclosing(") == 2

    client = ChoosingClient()
    await Providers(GatewaySettings(), client).aclose()

    with pytest.raises(Unavailable, match="closed"):
        await client.send(b"GET", Origin("http", "127.0.0.1", 9), b"/", [], deadlines=Deadlines())


def test_each_process_has_what_it_asks_for(served):
    assert served.services.has(Counters)
    assert served.services.has(Jobs)
    with pytest.raises(Unavailable, match="no GatewaySettings"):
        served.services.get(GatewaySettings)
    assert served.services.get(Settings) is served.settings
