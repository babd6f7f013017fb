"""Where Ray is not installed the command says what to install, and starts nothing."""

from tests.faces.client.sweep.conftest import Place


def test_what_is_missing_is_named(place: Place) -> None:
    """With a hint, and no study is made."""
    place.write("{name: a, command: python train.py, metric: loss, space: {x: [1]}}")
    # It is found before the one that is installed.
    place.write("raise ImportError", name="ray.py")
    code, _, err = place.run("--on", "ray")
    assert code == 1
    assert "gimbal-ops[ray]" in err
    assert place.client.studies.list().items == []


def test_a_command_that_is_not_there_is_named(place: Place) -> None:
    """Before a study is made."""
    place.write("{name: a, command: no-such-program --x, metric: loss, space: {x: [1]}}")
    code, _, err = place.run()
    assert code == 1
    assert "no-such-program" in err
    assert place.client.studies.list().items == []
    code, _, err = place.run(file="missing.yaml")
    assert (code, "missing.yaml" in err) == (1, True)
