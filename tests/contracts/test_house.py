"""The house rules that a program can check: sizes, cycles, local imports, light imports, doubles."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gimbal.kernel.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "gimbal"
MODULES = sorted(SOURCE.rglob("*.py"))
# Sizes are kept to in what is not shipped, too.
BESIDE = sorted(path for folder in ("tests", "bench", "demo", "docs") for path in (ROOT / folder).rglob("*.py"))
# Written by programs, and long as the table that they are written from is.
GENERATED = ("faces/client/generated/", "faces/server/migrations/catalog/versions/")
# Where gimbal may be imported inside a function, because start-up would pay for it otherwise.
LOADERS = ("__init__.py", "faces/cli/", "generative/gateway/providers/", "predictive/flavors/")


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def written_by_hand() -> list[Path]:
    return [path for path in MODULES if not relative(path).startswith(GENERATED)]


def test_files_are_short() -> None:
    """No file has more than 400 lines, and nine of ten of the source have at most 300."""
    lengths = {path: len(path.read_text().splitlines()) for path in written_by_hand() + BESIDE}

    assert BESIDE
    assert [path for path, length in lengths.items() if length > 400] == []
    ordered = sorted(lengths[path] for path in written_by_hand())
    assert ordered[int(len(ordered) * 0.9)] <= 300


def test_functions_are_short() -> None:
    """No function has more than 80 lines."""
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in written_by_hand() + BESIDE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 80
    ]

    assert long == []


def test_style_sheets_scripts_and_templates_are_short() -> None:
    """What pages are made of obeys the same limit."""
    files = [p for p in SOURCE.rglob("*") if p.suffix in {".css", ".js", ".html", ".sql"}]

    assert files
    assert [relative(p) for p in files if len(p.read_text().splitlines()) > 400] == []


def test_gimbal_is_imported_at_the_top() -> None:
    """No function imports gimbal, but for the lazy face, the command line and the loaders."""
    local = [
        f"{relative(path)}:{inner.lineno}"
        for path in written_by_hand()
        if not relative(path).startswith(LOADERS[1:]) and relative(path) != LOADERS[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if (isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("gimbal"))
        or (isinstance(inner, ast.Import) and any(a.name.startswith("gimbal") for a in inner.names))
    ]

    assert local == []


def test_nothing_below_the_faces_names_one() -> None:
    """Not by a text either, which import-linter does not read."""
    below = [
        path for path in written_by_hand() if not relative(path).startswith(("faces/", "__init__.py", "__main__.py"))
    ]

    assert [relative(path) for path in below if "gimbal.faces" in path.read_text()] == []


def test_modules_say_what_they_are_for() -> None:
    """Every module opens with a docstring."""
    assert [relative(p) for p in written_by_hand() if not ast.get_docstring(ast.parse(p.read_text()))] == []


@pytest.mark.parametrize("heavy", ["httpx", "numpy", "pyarrow", "sqlalchemy", "chdb", "rich", "asyncio"])
def test_import_gimbal_is_light(heavy: str) -> None:
    """`import gimbal` loads nothing that costs time; the first use does."""
    code = f"import sys, gimbal; sys.exit({heavy!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_records_are_frozen_and_keyword_only() -> None:
    """Every Struct in a model module is frozen; those with several fields take them by name."""
    loose = []
    for path in SOURCE.rglob("model.py"):
        for node in ast.parse(path.read_text()).body:
            bases = [ast.unparse(b) for b in node.bases] if isinstance(node, ast.ClassDef) else []
            if any(base.endswith("Struct") for base in bases):
                words = {k.arg for k in node.keywords}  # type: ignore[union-attr]
                if not {"frozen", "kw_only"} <= words:
                    loose.append(f"{relative(path)}:{node.name}")  # type: ignore[union-attr]

    assert loose == []


def test_few_doubles() -> None:
    """At most one mock or patch in twenty tests: the parts are real."""
    tests, doubles = 0, 0
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path == Path(__file__):
            continue
        text = path.read_text()
        tests += text.count("def test_")
        doubles += text.count("monkeypatch.setattr") + text.count("mock.patch") + text.count("Mock(")

    assert doubles <= 0.05 * tests


def test_no_two_migrations_of_the_columns_have_one_number() -> None:
    """They are kept by number: of two only one would run, and nobody would hear of it."""
    files = sorted((ROOT / "src/gimbal/faces/server/migrations/columns").glob("[0-9]*.sql"))
    numbers = [path.name.partition("_")[0] for path in files]
    assert files
    assert len(set(numbers)) == len(numbers)


def test_the_repository_names_no_machine() -> None:
    """No path of one machine and no registry's address is under version control."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    words = (
        "/" + "work/",
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "registry.npm" + "js",
        "/" + "root/",
        "deb.deb" + "ian",
    )
    found = [
        f"{name}: {word}"
        for name in listed
        if not name.endswith((".png", ".parquet"))
        for word in words
        if word in (ROOT / name).read_text(errors="ignore")
    ]

    assert found == []


def test_every_variable_that_the_source_reads_is_known() -> None:
    """`gimbal settings` calls a variable misspelt only when nothing reads it."""
    read = {name for path in MODULES for name in re.findall(r'"(GIMBAL_[A-Z_]+)"', path.read_text())}

    assert read
    assert load_settings(environ=dict.fromkeys(read, "x") | {"GIMBAL_CONFIG": ""}).unknown_variables == ()
