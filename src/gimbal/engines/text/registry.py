"""All detectors by name, and how a policy chooses among them: by a name or by a family."""

from collections.abc import Iterable

from gimbal.engines.text.addresses import IP
from gimbal.engines.text.cards import CARD
from gimbal.engines.text.emails import EMAIL
from gimbal.engines.text.entropy import ENTROPY
from gimbal.engines.text.ibans import IBAN
from gimbal.engines.text.model import Detector
from gimbal.engines.text.national_ids import NATIONAL_IDS
from gimbal.engines.text.phones import PHONE
from gimbal.engines.text.secrets import SECRET
from gimbal.kernel.errors import BadInput

DETECTORS = {one.name: one for one in (EMAIL, PHONE, CARD, IBAN, *NATIONAL_IDS, IP, SECRET, ENTROPY)}
FAMILIES = tuple(dict.fromkeys(one.family for one in DETECTORS.values()))


def chosen(names: Iterable[str]) -> tuple[Detector, ...]:
    """Return the detectors of these names and families, each once; raise BadInput for a name that is neither."""
    found: dict[str, Detector] = {}
    for name in names:
        members = [one for one in DETECTORS.values() if name in {one.name, one.family}]
        if not members:
            raise BadInput(
                f"There is no detector {name[:60]!r}.",
                where="detectors",
                todo=f"Choose families ({', '.join(FAMILIES)}) or detectors ({', '.join(DETECTORS)}).",
            )
        found.update((one.name, one) for one in members)
    return tuple(found.values())
