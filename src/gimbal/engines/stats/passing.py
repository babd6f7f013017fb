"""How likely k tries hold one that passes, and k that all pass, told from n tries of which c passed.

The estimators are free of bias; (c/n)^k and 1 − (1 − c/n)^k are not, and lean the further the closer k is to n. Sources:
Chen et al., arXiv 2107.03374 (pass@k); Yao et al., arXiv 2406.12045 (pass^k).
"""

import math

from gimbal.engines.stats.estimates import checked_share
from gimbal.kernel.errors import BadInput


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return 1 − C(n−c, k) / C(n, k): how likely one of k tries passes; raise BadInput for k > n."""
    _check(n, c, k)
    ways = math.comb(n, k)
    # In whole numbers, so that a small chance keeps all its digits.
    return (ways - math.comb(n - c, k)) / ways


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return C(c, k) / C(n, k): how likely all of k tries pass; raise BadInput for k > n."""
    _check(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def _check(n: int, c: int, k: int) -> None:
    checked_share(c, n, "c")
    if not 1 <= k <= n:
        raise BadInput(f"Of {n} tries none can tell about {k}.", where="k", todo="Give 1 to n, or try more often.")
