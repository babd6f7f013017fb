"""What scripts expect to be refused."""

from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException

INVALID = "INVALID_PARAMETER_VALUE"
MISSING = "RESOURCE_DOES_NOT_EXIST"


def refused(code: str, call: Callable[..., Any], *args: Any, **named: Any) -> str:
    """Call, and return what is said when it is refused with a code; fail when it is not."""
    try:
        call(*args, **named)
    except MlflowException as error:
        if error.error_code == code:
            return str(error)
        raise
    raise AssertionError(f"{call} was not refused: {args} {named}")
