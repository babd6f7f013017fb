"""Every operation has all its faces, permissions and words; a missing face has a written reason."""

from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest

from gimbal.faces.cli import manifest
from gimbal.faces.client import generate
from gimbal.faces.server import builtin, capabilities, mcp, openapi
from gimbal.kernel.context import Permission
from gimbal.kernel.http import dialect_routes
from gimbal.kernel.operations import COMMON_PARAMETERS, Operation, operations

ROOT = Path(__file__).resolve().parents[2]
capabilities.load_operations()
capabilities.load_dialects()
TABLE = operations()


@pytest.mark.parametrize("op", TABLE, ids=lambda op: op.name)
def test_an_operation_is_complete(op: Operation) -> None:
    """It says what it does, what each argument means, and who may; what changes releases or access is audited."""
    assert op.summary.endswith(".")
    assert "." in op.name
    assert op.name == op.name.lower()
    assert all(p.doc or p.place == "body" for p in op.parameters), [p.name for p in op.parameters if not p.doc]
    for field in generate.body_fields(op):
        clash = {p.name for p in op.parameters if p.place != "body"} & {field.name}
        assert not clash, f"the body field {field.name} hides a parameter"
    if op.body is not None and generate.body_fields(op):
        assert getattr(op.body.type.__struct_config__, "forbid_unknown_fields", False)
    if op.method != "GET" and op.allow >= Permission.RELEASE and op.name != "audit.verify":
        assert op.audited, "what takes a releaser or an admin leaves a record"
    if "{project}" in op.path:
        assert "project" in {p.name for p in op.parameters}
    assert set(op.absent) <= {"sdk", "cli", "mcp"}
    assert all(reason.strip() for reason in op.absent.values())


def test_no_operation_is_open() -> None:
    """Every operation and every foreign route needs a credential."""
    assert [op.name for op in TABLE if op.allow is Permission.OPEN] == []
    opened = {row.path for row in dialect_routes() if row.allow is Permission.OPEN and "health" not in row.path}
    # MLflow's clients ask these before they sign in, and are told nothing of what is stored.
    assert opened == {"/version", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info"}


def test_the_open_routes_are_a_short_list() -> None:
    """What needs no credential is named in one place."""
    assert len(builtin.OPEN_ROUTES) <= 8


def test_the_sdk_and_the_command_list_are_what_the_table_says() -> None:
    """`make generate` would write what is there."""
    fresh = generate.modules()
    kept = {p.name: p.read_text() for p in generate.FOLDER.glob("*.py")}

    assert sorted(fresh) == sorted(kept)
    assert [name for name, text in fresh.items() if kept[name] != text] == []
    assert manifest.PATH.read_bytes() == generate.command_rows()


def test_every_operation_is_in_openapi_and_has_a_tool() -> None:
    """The document names each operation once; each is an MCP tool unless it streams or says why not."""
    document = openapi.document(version("gimbal-ops"))
    names = [row["operationId"] for path in document["paths"].values() for row in path.values()]

    assert sorted(op.name for op in TABLE) == sorted(names)
    assert len(mcp.tools()) == sum(1 for op in TABLE if not op.streams and "mcp" not in op.absent)
    assert msgspec.json.encode(document, enc_hook=str)


def test_every_operation_has_an_anchor_in_the_reference() -> None:
    """The generated reference names each operation."""
    text = (ROOT / "docs" / "reference" / "operations.md").read_text()

    assert [op.name for op in TABLE if f"## {op.name}\n" not in text] == []


def test_common_parameters_are_described_once() -> None:
    """The shared names have one meaning."""
    assert {"project", "cursor", "limit", "ref", "id"} == set(COMMON_PARAMETERS)


def test_every_room_is_listed() -> None:
    """A room with operations or pages that is not in the list would reach no face."""
    source = ROOT / "src" / "gimbal"
    rooms = {
        f"gimbal.{path.parent.relative_to(source).as_posix().replace('/', '.')}"
        for ring in ("axis", "predictive", "generative")
        for name in ("operations.py", "pages.py", "dialect.py")
        for path in (source / ring).glob(f"*/{name}")
    }

    assert rooms <= set(capabilities.ROOMS)
