"""Which rows the statement of a search for traces may read."""

from gimbal.axis.traces.facts.search import TraceQuery, statement
from gimbal.kernel.filters import Clause


def test_conditions_on_spans_look_at_the_traces_of_the_experiments_only() -> None:
    """Not at all spans of the project: what is said of the experiments narrows heads, facts and spans."""
    clause = Clause(entity="span", key="content", op="LIKE", value="%tomato%")
    sql, values = statement("p", TraceQuery(experiments=[7], clauses=[clause]))
    assert values["of"] == ["7"]
    assert all("{of:Array(String)}" in part for part in sql.split("FROM spans")[1:])
    assert sql.count("FROM spans") == 2
