"""The data class of predictions: what endpoints were asked and answered, and the labels that came later."""

from gimbal.axis.retention.classes import DataClass, Table, add

add(
    DataClass(
        name="predictions",
        meaning="What endpoints were asked, what they answered, and the labels of it.",
        tables=(Table(name="predictions", clock="at_us", owned="{users:entity}"), Table(name="labels", clock="at_us")),
    )
)
