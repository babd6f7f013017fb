"""International bank account numbers: a country, its length, and check digits that leave 1 modulo 97."""

from collections.abc import Iterator

from gimbal.engines.text.checksums import mod97
from gimbal.engines.text.matching import alone, pattern
from gimbal.engines.text.model import Detector, Extent

_start = pattern(r"\b[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}")
# Of SWIFT's registry.
_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 "
    "FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
    "LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 "
    "RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
LENGTHS = {item[:2]: int(item[2:]) for item in _COUNTRIES.split()}
_SEPARATORS = frozenset(b" -")


def _read(data: bytes, start: int) -> Extent | None:
    """Return the extent of the account that begins here: as long as its country's, separated after fours or nowhere."""
    length = LENGTHS.get(data[start : start + 2].decode().upper())
    if length is None:
        return None
    separator = data[start + 4 : start + 5]
    if separator and separator[0] in _SEPARATORS:
        end = start + length + (length - 1) // 4
        pieces = data[start:end].split(separator)
        if any(len(piece) != 4 for piece in pieces[:-1]):
            return None
    else:
        end = start + length
        pieces = [data[start:end]]
    number = b"".join(pieces)
    if len(number) != length or not number.isalnum():
        return None
    extent = Extent(start, end)
    return extent if mod97(number.decode().upper()) and alone(data, extent) else None


def find(data: bytes) -> Iterator[Extent]:
    """Yield the account numbers."""
    at = 0
    while (found := _start.search(data, at)) is not None:
        extent = _read(data, found.start())
        if extent is not None:
            yield extent
        at = extent.end if extent else found.start() + 1


IBAN = Detector(
    name="iban",
    kind="iban",
    family="payment",
    description="bank accounts: IBAN by country, length and check digits",
    rank=70,
    gate=_start.search,
    find=find,
)
