"""What a story tells the test that ran it: one line of JSON, the last that it prints."""

import json
from typing import Any


def tell(**facts: Any) -> None:
    """Print facts; numbers of numpy become plain ones."""
    print(json.dumps(facts, default=lambda value: value.tolist()))
