"""Seals open for the provider that they were made for, with a key that is there, and for nothing else."""

import base64
import contextlib
import pickle
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.gateway.credentials.master import seals_of
from gimbal.generative.gateway.credentials.sealing import Seals, sealed_with
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.kernel.errors import ConfigurationError, NotReady
from gimbal.kernel.keyring import read_keys
from gimbal.kernel.settings_gateway import GatewaySettings

ONE, TWO = random.Random(1).randbytes(32), random.Random(2).randbytes(32)
SEALS = Seals({"k1": ONE})
KEY = "sk-secret-0123456789"


def line(name, secret):
    return f"{name}:{base64.b64encode(secret).decode()}"


@given(
    st.text(max_size=500), st.from_regex(r"[a-z0-9-]{0,20}", fullmatch=True), st.text("abc/.", min_size=1, max_size=9)
)
def test_any_key_comes_back_as_it_was(key, scope, name):
    seal = SEALS.seal(Secret(key.encode(errors="replace").decode()), scope, name)

    assert SEALS.open(seal, scope, name).reveal() == key.encode(errors="replace").decode()
    assert seal != SEALS.seal(Secret(key.encode(errors="replace").decode()), scope, name)


@pytest.mark.parametrize(("scope", "name"), [("b", "x"), ("a", "y"), ("", "x"), ("a\0x", ""), ("", "a\0x"), ("ax", "")])
def test_a_seal_does_not_open_in_another_place(scope, name):
    with pytest.raises(ConfigurationError, match="another provider, or altered"):
        SEALS.open(SEALS.seal(Secret(KEY), "a", "x"), scope, name)


# One for all examples: what is drawn depends on it.
SEALED = SEALS.seal(Secret(KEY), "a", "x")


@given(st.data())
def test_a_seal_that_was_altered_anywhere_does_not_open(data):
    seal = SEALED
    place = data.draw(st.integers(0, len(seal) - 1))
    other = data.draw(st.sampled_from("Aa1.-_").filter(lambda sign: sign != seal[place]))
    # The last sign of base64 has bits that say nothing.
    altered = seal[:place] + other + seal[place + 1 :]
    opened = None
    with contextlib.suppress(ConfigurationError):
        opened = SEALS.open(altered, "a", "x")
    assert opened is None or (place, opened) == (len(seal) - 1, Secret(KEY))


@pytest.mark.parametrize(
    "seal", ["", "gk1.k1.", "gk1.k1.AAAA", "gk1.K1.AAAA", "gk2.k1.AAAA", "gk1.k1.AAAA.AAAA", "x", "gk1.k9.AAAA"]
)
def test_what_is_no_seal_is_refused(seal):
    with pytest.raises(ConfigurationError):
        SEALS.open(seal, "a", "x")


def test_the_newest_key_seals_and_all_open():
    old = Seals({"k1": ONE}).seal(Secret(KEY), "a", "x")
    both = Seals({"k2": TWO, "k1": ONE})
    new = both.seal(Secret(KEY), "a", "x")

    assert (sealed_with(old), sealed_with(new), sealed_with("?")) == ("k1", "k2", "")
    assert both.open(old, "a", "x") == both.open(new, "a", "x") == Secret(KEY)
    assert [both.is_newest(seal) for seal in (old, new, "?")] == [False, True, False]
    with pytest.raises(ConfigurationError, match="master key"):
        Seals({"k2": TWO}).open(old, "a", "x")
    with pytest.raises(ConfigurationError):
        Seals({"k1": TWO}).open(old, "a", "x")


def test_nothing_is_sealed_without_a_key():
    with pytest.raises(NotReady, match="master key"):
        Seals({}).seal(Secret(KEY), "a", "x")


def test_a_secret_is_not_shown_by_accident():
    secret = Secret(KEY)

    assert KEY not in f"{secret} {secret!r} {[secret]} {SEALS!r}"
    assert (bool(secret), bool(Secret())) == (True, False)
    assert (secret == Secret(KEY), secret == KEY, len({secret, Secret(KEY)})) == (True, False, 1)
    for show in (pickle.dumps, msgspec.json.encode, msgspec.to_builtins):
        with pytest.raises(TypeError):
            show(secret)


def test_master_keys_stand_in_a_file_or_a_variable(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# newest first\n{line('k2', TWO)}\n\n{line('k1', ONE)}\n")

    assert seals_of(GatewaySettings(key_file=str(file))).ids == ["k2", "k1"]
    environ = {"MASTER": f"{line('k2', TWO)}, {line('k1', ONE)}"}
    assert seals_of(GatewaySettings(key_env="MASTER"), environ).ids == ["k2", "k1"]
    assert seals_of(GatewaySettings()).ids == []
    assert read_keys(f"k1:{base64.urlsafe_b64encode(ONE).decode()}", "x", "master key") == {"k1": ONE}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n#k1:x",
        "k1",
        line("K1", ONE),
        line("k1", ONE[:31]),
        f"{line('k1', ONE)}\n{line('k1', TWO)}",
        "k1:!!!",
        "k1:AAA",
    ],
)
def test_what_is_no_master_key_is_refused_without_saying_it(text):
    with pytest.raises(ConfigurationError) as caught:
        read_keys(text, "gateway.key_env", "master key")

    assert caught.value.where == "gateway.key_env"
    assert base64.b64encode(ONE).decode() not in str(caught.value)


def test_settings_that_cannot_be_are_told(tmp_path):
    for settings, where in [
        (GatewaySettings(key_file="a", key_env="B"), "gateway.key_env"),
        (GatewaySettings(key_file=str(tmp_path / "none")), "gateway.key_file"),
        (GatewaySettings(key_env="NOT_SET_AT_ALL"), "gateway.key_env"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            seals_of(settings, {})
        assert caught.value.where == where
