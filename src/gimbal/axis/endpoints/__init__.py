"""Endpoints: what callers call. Each resolves its target live, and what was predicted is recorded with its inputs.

`predictive/serving` answers over them; `monitors` reads what they recorded.
"""

from gimbal.axis.endpoints.model import Endpoint, EndpointTraffic, SetEndpoint, Target

__all__ = ["Endpoint", "EndpointTraffic", "SetEndpoint", "Target"]
