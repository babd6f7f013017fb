"""How much of a list is shown at once."""

from gimbal.kernel.errors import BadInput


def limited(asked: int | None, usual: int, most: int) -> int:
    """Return how many to show; raise BadInput for none or too many."""
    found = usual if asked is None else asked
    if not 1 <= found <= most:
        raise BadInput(
            f"Invalid value {found} for parameter 'max_results' supplied: it must be at least 1 and at most {most}.",
            where="max_results",
            todo=f"Ask for 1 to {most}.",
        )
    return found
