"""Rows of two projects: one that asks, and one whose every text is a canary."""

from gimbal.engines.storage.columns import Columns

START_US = 1_770_000_000_000_000
CANARY = "canary-of-another-project"


async def spans(
    columns: Columns, project: str, count: int, *, word: str = "plain", start_us: int = START_US, salt: int = 0
) -> None:
    """Store spans, two to a trace, one a second: a root and the model call beneath it."""
    await columns.command(
        "INSERT INTO spans (project, trace_id, span_id, parent_id, is_root, name, kind, start_us, end_us, status, provider, "
        "model, input_tokens, output_tokens, cost, unpriced, billable, input, output, session_id, user_id, feature, "
        "attributes, events, resource, scope, written_us) "
        "SELECT {project:String}, lower(leftPad(hex(intDiv(number, 2) + {salt:UInt64}), 32, '0')), "
        "lower(leftPad(hex(number + 1), 16, '0')), if(number % 2, lower(leftPad(hex(number), 16, '0')), ''), number % 2 = 0, "
        "concat({word:String}, '-', if(number % 2, 'call', 'root')), if(number % 2, 'llm', 'chain'), "
        "{start:Int64} + number * 1000000, {start:Int64} + number * 1000000 + 250000, if(number % 20 = 1, 'error', 'ok'), "
        "if(number % 2, 'openai', ''), if(number % 2, concat('model-', {word:String}), ''), "
        "if(number % 2, 100, NULL), if(number % 2, 10, NULL), if(number % 2, toDecimal128('0.25', 12), NULL), '', "
        "number % 2, {word:String}, {word:String}, concat({word:String}, '-session-', toString(number % 10)), "
        "{word:String}, {word:String}, concat('{\"said\":\"', {word:String}, '\"}'), "
        "if(number % 2, concat('[{\"name\":\"', {word:String}, '\",\"at_us\":', toString({start:Int64}), ',\"attributes\":{}}]'), ''), "
        "{word:String}, {word:String}, 1 FROM numbers({count:UInt64})",
        {
            "project": project,
            "count": count,
            "word": word,
            "start": start_us,
            "salt": sum(project.encode()) * 2**40 + salt,
        },
    )


async def others(columns: Columns, project: str, word: str) -> None:
    """Store a row in each other table."""
    values = {"project": project, "word": word, "at": START_US}
    for table, names, row in (
        ("scores", "project, id, target_kind, target_id, name, value, label, explanation, source, author, at_us",
         "{project:String}, {word:String}, 'trace', {word:String}, 'helpful', 0.5, {word:String}, {word:String}, 'human', {word:String}, {at:Int64}"),
        ("predictions", "project, endpoint, prediction_id, at_us, event_us, entity, version, predicted, trace_id",
         "{project:String}, {word:String}, {word:String}, {at:Int64}, {at:Int64}, {word:String}, 'v1', {word:String}, ''"),
        ("metric_points", "project, run_id, name, step, at_us, value", "{project:String}, {word:String}, 'loss', 1, {at:Int64}, 0.5"),
        ("labels", "project, endpoint, prediction_id, value, at_us, author", "{project:String}, {word:String}, {word:String}, 1, {at:Int64}, {word:String}"),
        ("span_events", "project, trace_id, span_id, at_ns, name, digest, position, attributes, resource, scope",
         "{project:String}, {word:String}, {word:String}, {at:Int64} * 1000, {word:String}, '', 1, '{}', '', ''"),
    ):  # fmt: skip
        await columns.command(f"INSERT INTO {table} ({names}) SELECT {row}", values)
