"""The data class of evaluations: their results, example by example."""

from gimbal.axis.evals.results import WRITTEN
from gimbal.axis.retention.classes import DataClass, Table, add

add(
    DataClass(
        name="eval_results",
        meaning="Results of evaluations, example by example; the evaluations stay, with their summaries.",
        tables=(Table(name="eval_results", clock=WRITTEN),),
    )
)
