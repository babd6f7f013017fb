"""The design rules: contrast of every pair that is used, one place for colours, nothing that the policy would block."""

import re
from pathlib import Path

import pytest

import gimbal
from gimbal.engines.console.assets import FOLDER, STYLES
from gimbal.engines.console.templates import template_folders
from gimbal.engines.console.tokens import THEMES, contrast, tokens

GROUNDS = ("ground", "surface", "raised", "sunken", "hover")
TEXT = [
    *((word, ground) for word in ("ink", "ink-soft", "ink-quiet", "accent") for ground in GROUNDS),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("ink", "accent-soft"),
    ("ink-quiet", "accent-soft"),
    ("accent", "accent-soft"),
    ("accent-strong", "accent-soft"),
    *((tone, f"{tone}-soft") for tone in ("good", "warn", "bad", "unknown")),
    *((word, f"{tone}-soft") for word in ("ink", "ink-quiet") for tone in ("good", "warn", "bad")),
    *(("accent", f"{tone}-soft") for tone in ("good", "warn", "bad")),
    *((tone, "surface") for tone in ("good", "warn", "bad", "unknown")),
    ("ink-soft", "unknown-soft"),
]
MARKS = [
    *(("line-strong", ground) for ground in ("ground", "surface", "sunken")),
    *((f"series-{i}", "surface") for i in range(1, 7)),
    *(("accent", ground) for ground in GROUNDS),
]
TEMPLATES = [path for folder in template_folders() for path in sorted(folder.rglob("*.html"))]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("word", "ground"), TEXT)
def test_text_has_the_contrast_of_wcag_aa(theme, word, ground):
    assert contrast(tokens(theme)[word], tokens(theme)[ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("mark", "ground"), MARKS)
def test_marks_and_edges_of_controls_have_the_contrast_of_wcag_aa(theme, mark, ground):
    assert contrast(tokens(theme)[mark], tokens(theme)[ground]) >= 3


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_are_written_in_the_tokens_only():
    colour = re.compile(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(")
    for name in STYLES[1:]:
        text = (FOLDER / "css" / f"{name}.css").read_text()
        lines = [line for line in text.splitlines() if colour.search(line) and not line.startswith("#")]
        assert lines == [], name


def test_every_token_that_is_used_exists():
    known = tokens("light")
    for name in STYLES:
        used = re.findall(r"var\(--([\w-]+)\)", (FOLDER / "css" / f"{name}.css").read_text())
        assert set(used) <= set(known), name


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_templates_hold_nothing_that_the_content_security_policy_blocks(path):
    text = path.read_text()
    assert not re.search(r"\sstyle\s*=", text)
    assert not re.search(r"<style\b", text)
    assert not re.search(r"\son\w+\s*=\s*[\"']", text)
    inline = [
        tag for tag in re.findall(r"<script\b[^>]*>", text) if "src=" not in tag and "application/json" not in tag
    ]
    assert inline == []


def test_every_icon_that_templates_name_is_drawn():
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (FOLDER / "icons.svg").read_text()))
    named = {name for path in TEMPLATES for name in re.findall(r'\bicon\("([\w-]+)"', path.read_text())}
    root = Path(gimbal.__file__).parent
    for path in root.glob("*/*/pages.py"):
        named |= set(re.findall(r'\bicon="([\w-]+)"', path.read_text()))
    assert named <= drawn


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: path.name)
def test_static_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400
