"""Suites from files of any tool, and evaluations as files for others: one file for each format.

`read_suite` finds the format and gives plain records; who calls it stores them. What cannot be taken over is a note, never
dropped in silence. Formats register in `FORMATS`; packages add theirs by the entry point group `gimbal.suite_formats`.
"""

from gimbal.axis.evals.formats import inspect_logs, jsonl, lm_eval, openai, parquet, promptfoo, tables
from gimbal.axis.evals.formats.exporting import examples_jsonl, examples_parquet, results_jsonl, results_parquet
from gimbal.axis.evals.formats.junit import junit
from gimbal.axis.evals.formats.markdown import markdown
from gimbal.axis.evals.formats.model import (
    FORMATS,
    Column,
    Imported,
    ImportedPrompt,
    ImportedResult,
    ReadOptions,
    SuiteFormat,
    columns_of,
)
from gimbal.axis.evals.formats.promptfoo import results as promptfoo_results
from gimbal.axis.evals.formats.reading import detect, read_suite

READERS = (inspect_logs, jsonl, lm_eval, openai, parquet, promptfoo, promptfoo_results, tables)
"""Modules that register a format when they are imported."""

__all__ = [
    "FORMATS",
    "Column",
    "Imported",
    "ImportedPrompt",
    "ImportedResult",
    "ReadOptions",
    "SuiteFormat",
    "columns_of",
    "detect",
    "examples_jsonl",
    "examples_parquet",
    "junit",
    "markdown",
    "read_suite",
    "results_jsonl",
    "results_parquet",
]
