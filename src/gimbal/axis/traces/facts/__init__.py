"""What is said of traces beside their spans: experiment, state, tags, metadata, links to runs and prompts.

Spans stay as their sender wrote them; facts may change as long as there is the trace. Those that lists and pages look at,
tags, session, user and versions that were used, are written on the root span as well, whichever of the two came first.
"""

from gimbal.axis.traces.facts.model import ExperimentIds, Fact, TraceRow
from gimbal.axis.traces.facts.search import TraceQuery
from gimbal.axis.traces.facts.service import TraceFacts

__all__ = ["ExperimentIds", "Fact", "TraceFacts", "TraceQuery", "TraceRow"]
