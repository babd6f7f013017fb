"""Writes the reference from the source: `make generate`. A contract test fails when it is not what this would write."""

import importlib
import sys
from pathlib import Path

from gimbal.axis.scores.card import Level
from gimbal.axis.scores.model import SCORERS
from gimbal.axis.scores.scorer import card_of
from gimbal.axis.sql.views import VIEWS
from gimbal.faces.client.generate import body_fields, method_name
from gimbal.faces.server import capabilities, mcp
from gimbal.faces.server.reference import type_name
from gimbal.kernel.errors import GimbalError, error_kinds
from gimbal.kernel.http import Upload, dialect_routes
from gimbal.kernel.operations import PREFIX, Operation, operations
from gimbal.kernel.settings import Settings, field_docs, load_settings, variable_name

FOLDER = Path(__file__).parent / "reference"


def cell(text: object) -> str:
    """Return text that can stand in a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def operation(op: Operation) -> list[str]:
    """Return the section of one operation."""
    lines = [f"## {op.name}", "", op.summary, *(["", op.description] if op.description else []), ""]
    lines.append(f"`{op.method} {PREFIX}{op.path}` · needs {op.allow.name.lower()}{', audited' if op.audited else ''}")
    faces = [f"SDK `client.{op.group}.{method_name(op)}`"]
    faces += (
        [f"CLI `gimbal {op.group.replace('_', '-')} {op.verb.replace('_', '-')}`"] if "cli" not in op.absent else []
    )
    faces += [f"MCP `{mcp.tool_name(op)}`"] if not op.streams and "mcp" not in op.absent else []
    lines += ["", " · ".join(faces), *[f"\nNo {face}: {why}" for face, why in op.absent.items()], ""]
    rows = [(p.name, p.place, type_name(p.type), p.required, p.doc) for p in op.parameters if p.place != "body"]
    if op.body is not None and op.body.type is Upload:
        rows.append(("body", "raw bytes", "bytes", True, "The bytes."))
    elif op.body is not None:
        docs = field_docs(op.body.type)
        rows += [(f.name, "body", type_name(f.type), f.required, docs.get(f.name, "")) for f in body_fields(op)]
    if rows:
        lines += ["| Argument | In | Type | Needed | Meaning |", "|---|---|---|---|---|"]
        lines += [f"| `{n}` | {p} | `{cell(t)}` | {'yes' if r else ''} | {cell(d)} |" for n, p, t, r, d in rows]
        lines.append("")
    return lines


def operations_page() -> str:
    """Return the page of all operations and dialects."""
    lines = [
        "# Operations",
        "",
        "Written from the operation table; a running server shows the same at `/docs/api`.",
        "",
    ]
    for op in operations():
        lines += operation(op)
    lines += ["# Dialects that others defined", "", "| Dialect | Route | Needs |", "|---|---|---|"]
    rows = sorted(dialect_routes(), key=lambda r: (r.dialect, r.path, r.method))
    lines += [f"| {r.dialect} | `{r.method} {r.path}` | {r.allow.name.lower()} |" for r in rows]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return the page of all settings."""
    lines = [
        "# Settings", "", "In `gimbal.toml` by path, in the environment by variable. Variables win over the file.", "",
        "| Setting | Variable | Default | Meaning |", "|---|---|---|---|",
    ]  # fmt: skip
    for value in load_settings(file=None, environ={"GIMBAL_CONFIG": ""}).values():
        default = value.value if value.value != "" else ""
        variable = variable_name(tuple(value.path.split(".")))
        lines.append(f"| `{value.path}` | `{variable}` | `{cell(default)}` | {cell(value.meaning)} |")
    assert Settings.__doc__
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Return the page of all error codes."""
    lines = [
        "# Errors", "",
        'Every error answer is `{"error": {"code", "message", "where", "kept", "todo"}}`: what happened, where, what was '
        "kept, and what to do next.", "", "| Code | Status | Meaning |", "|---|---|---|",
    ]  # fmt: skip
    kinds = sorted(error_kinds().items())
    lines += [
        f"| `{code}` | {kind.status} | {cell((kind.__doc__ or '').splitlines()[0])} |"
        for code, kind in kinds
        if kind is not GimbalError and kind.__module__.startswith("gimbal.")
    ]
    return "\n".join(lines) + "\n"


def views_page() -> str:
    """Return the page of the views of SQL."""
    lines = ["# Views", "", "What a statement of `gimbal sql` may name; see [Ask in SQL](../how-to/sql.md).", ""]
    for view in VIEWS.values():
        lines += [f"## {view.name}", "", view.meaning, "", "| Column | Type | Meaning |", "|---|---|---|"]
        lines += [f"| `{one.name}` | `{one.type}` | {cell(one.meaning)} |" for one in view.columns]
        lines.append("")
    return "\n".join(lines)


def scorers_page() -> str:
    """Return the page of the built-in scorers: their cards."""
    lines = ["# Scorers", "", "What suites may list; see [Evaluate](../how-to/evaluate.md) and [Write a scorer](../how-to/write-a-scorer.md).", ""]  # fmt: skip
    # Ours, whatever else a process has registered.
    for name in (one for one in SCORERS if getattr(SCORERS.get(one), "module", "").startswith("gimbal.")):
        card = card_of(name)
        ends = ["−∞" if card.low is None else f"{card.low:g}", "∞" if card.high is None else f"{card.high:g}"]
        facts = [f"{card.type}, {' to '.join(ends)}{f' {card.unit}' if card.unit else ''}", _BETTER[card.better]]
        facts += ["over the whole suite"] if card.level is Level.SUITE else []
        facts += [f"needs the extra `{card.extra}`"] if card.extra else []
        facts += [f"asks {_ASKED[card.asks]}"] if card.asks else []
        lines += [f"## {name}", "", f"**{card.title}.** {card.description}", "", " · ".join(facts), ""]
        lines += (
            [f"Reads of the expectation: {', '.join(f'`{one}`' for one in card.expects)}.", ""] if card.expects else []
        )
        given = SCORERS.get(name).parameters
        lines += (
            [f"Parameters: {', '.join(f'`{one}` ({value!r})' for one, value in given.items())}.", ""] if given else []
        )
        lines += [card.limits, ""] if card.limits else []
        lines += [f"Source: {card.source}.", ""] if card.source else []
    return "\n".join(lines)


_BETTER = {"higher": "higher is better", "lower": "lower is better", "neither": "neither end is better"}
_ASKED = {"model": "a model", "embedder": "an embedder", "classifier": "a classifier"}


def pages() -> dict[str, str]:
    """Return every page by file name."""
    capabilities.load_operations()
    capabilities.load_dialects()
    # Errors of every process, whichever modules were loaded before.
    importlib.import_module("gimbal.faces.server.process")
    importlib.import_module("gimbal.axis.scores.builtin")
    return {
        "operations.md": operations_page(),
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "views.md": views_page(),
        "scorers.md": scorers_page(),
    }


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"reference in {FOLDER.name}\n")


if __name__ == "__main__":
    main()
