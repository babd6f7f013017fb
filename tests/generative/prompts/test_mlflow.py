"""Prompts of MLflow's registry as ours: what ours can say is read, all else is kept as it is."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.prompts.mlflow import MODEL_CONFIG, TEXT, TYPE, manifest_of, tags_of
from gimbal.generative.prompts.model import PromptManifest, check_manifest, decode_manifest, format_messages
from gimbal.kernel.errors import BadInput


def read(text: str, **tags: str) -> PromptManifest:
    """Return the manifest of a text with tags."""
    return manifest_of({TEXT: text, **tags}, "1")


@given(st.text(), st.booleans())
def test_every_text_is_kept(text: str, chat: bool) -> None:
    """Its manifest is a sound one, and goes through JSON unchanged."""
    manifest = check_manifest(read(text, **({TYPE: "chat"} if chat else {})))
    again = decode_manifest(msgspec.json.decode(msgspec.json.encode(manifest)))
    assert again == manifest
    if not chat:
        assert tags_of(manifest)[TEXT] == text


@pytest.mark.parametrize("text", ["{{ user.name }}", "{{ 1 + 1 }}", "{{ a", "{{}}", "{{{a}}}"])
def test_what_ours_cannot_say_is_not_filled(text: str) -> None:
    """It says why, and whose it is."""
    manifest = read(text)
    assert manifest.foreign is not None
    assert manifest.foreign.unread
    with pytest.raises(BadInput, match="mlflow's"):
        format_messages(manifest, {})


@pytest.mark.parametrize(
    "rows",
    [
        [{"role": "tool", "content": "a"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"content": "a"}],
        [],
        {"role": "user"},
        "a",
    ],
)
def test_messages_that_are_none_of_ours_are_one_text(rows: object) -> None:
    """As it came."""
    text = json.dumps(rows)
    manifest = read(text, **{TYPE: "chat"})
    assert [one.content for one in manifest.messages] == [text]
    assert manifest.foreign is not None
    assert manifest.foreign.unread


def test_a_model_and_its_parameters_are_read_as_far_as_they_are_ours() -> None:
    """What is out of our bounds is left to the tag."""
    config = {"provider": "openai", "model_name": "gpt-5", "temperature": 0.2, "top_k": 3, "stop_sequences": ["a"]}
    manifest = read("{{a}}", **{MODEL_CONFIG: json.dumps(config)})
    assert (manifest.model, manifest.params.temperature, manifest.params.stop) == ("openai/gpt-5", 0.2, ("a",))
    assert read("{{a}}", **{MODEL_CONFIG: '{"temperature": 9}'}).params.temperature is None
    assert read("{{a}}", **{MODEL_CONFIG: "["}).model == ""
    assert format_messages(read("Hi {{ a }}"), {"a": "you"})[0].content == "Hi you"


def test_a_version_needs_its_text() -> None:
    """Without one it is none."""
    with pytest.raises(BadInput):
        manifest_of({}, "1")
