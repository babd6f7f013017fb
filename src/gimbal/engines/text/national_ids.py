"""National ids by their issuers' rules: form, date and check digits.

What is bare digits with a weak check is taken for an id only behind a word that says so, since one of ten order numbers
passes the check too; a form that is written for nothing else, or a strong check, needs no word.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from gimbal.engines.text.checksums import luhn, mod11_10, verhoeff, weighted
from gimbal.engines.text.matching import alone, digits_of, has_digits, matches, near, pattern, words
from gimbal.engines.text.model import Detector, Extent

_NINO_REFUSED = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_FISCAL_MONTHS = "ABCDEHLMPRST"
# The values of the characters of a codice fiscale at odd places, for 0-9 and for A-Z.
_FISCAL_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_FISCAL_LETTERS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
# Digits that are written as letters where two people would have one code.
_FISCAL_SAME = str.maketrans("LMNPQRSTUV", "0123456789")


def _day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def ssn(text: str) -> bool:
    """United States: no number of these areas, groups and serials is given out."""
    digits = digits_of(text.encode())
    return digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def nino(text: str) -> bool:
    """United Kingdom, National Insurance: two letters that are given out, six digits, A to D."""
    plain = text.replace(" ", "")
    return plain[0] not in "DFIQUV" and plain[1] not in "DFIOQUV" and plain[:2] not in _NINO_REFUSED


def nhs(text: str) -> bool:
    """United Kingdom, National Health Service: ten digits, modulo 11."""
    digits = digits_of(text.encode())
    return (11 - weighted(digits[:9], range(10, 1, -1)) % 11) % 11 == int(digits[9])


def german_tax(text: str) -> bool:
    """Germany: of the first ten digits one or two values repeat as the issuer allows, ISO 7064 mod 11,10 behind them."""
    digits = digits_of(text.encode())
    repeated = sorted(digits[:10].count(value) for value in set(digits[:10]))
    return digits[0] != "0" and repeated[-1] in {2, 3} and repeated[-2] == 1 and mod11_10(digits)


def nir(text: str) -> bool:
    """France: sex, year, month, department, commune, order, and a key modulo 97; Corsica writes 2A and 2B."""
    plain = "".join(text.split()).replace("2A", "19").replace("2B", "18")
    month = int(plain[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and 97 - int(plain[:13]) % 97 == int(plain[13:])


def dni(text: str) -> bool:
    """Spain, DNI and NIE: a letter that is the number modulo 23; X, Y, Z stand for 0, 1, 2 before a NIE."""
    plain = text.replace("-", "").upper()
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return _DNI[int(number) % 23] == plain[-1]


def codice_fiscale(text: str) -> bool:
    """Italy: letters of the name, year, month's letter, day (40 more for women), place, and a check letter."""
    plain = text.upper()
    day = int(plain[9:11].translate(_FISCAL_SAME))
    total = 0
    for index, character in enumerate(plain[:15]):
        value = int(character, 36)
        if index % 2:
            total += value if value < 10 else value - 10
        else:
            total += _FISCAL_ODD[value] if value < 10 else _FISCAL_LETTERS[value - 10]
    return plain[8] in _FISCAL_MONTHS and (1 <= day <= 31 or 41 <= day <= 71) and chr(65 + total % 26) == plain[15]


def bsn(text: str) -> bool:
    """Netherlands: nine digits, the eleven-test."""
    digits = digits_of(text.encode())
    return digits != "000000000" and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pesel(text: str) -> bool:
    """Poland: a birthday whose month tells the century, four digits, a check digit."""
    month = int(text[2:4])
    century = (1900, 2000, 2100, 2200, 1800)[month // 20]
    born = _day(century + int(text[:2]), month % 20, int(text[4:6]))
    return born and weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def personnummer(text: str) -> bool:
    """Sweden: a birthday (60 more for a coordination number), three digits, Luhn's digit over the last ten."""
    digits = digits_of(text.encode())
    short = digits[-10:]
    year = int(digits[:4]) if len(digits) == 12 else 2000 + int(short[:2])
    day = int(short[4:6])
    return 1850 <= year < 2100 and _day(year, int(short[2:4]), day - 60 if day > 60 else day) and luhn(short)


def cpf(text: str) -> bool:
    """Brazil: nine digits that are not all the same, two check digits modulo 11."""
    digits = digits_of(text.encode())
    first = weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def aadhaar(text: str) -> bool:
    """India: twelve digits, the first at least 2, Verhoeff's digit last, not the same from both ends."""
    digits = digits_of(text.encode())
    return digits[0] >= "2" and digits != digits[::-1] and verhoeff(digits)


def _ends_there(data: bytes, extent: Extent) -> bool:
    """Tell whether no group of four digits goes before or comes after, as in a card's number; a day may."""
    before, after = data[max(0, extent.start - 5) : extent.start], data[extent.end : extent.end + 6]
    more = after[:1] == b" " and after[1:5].isdigit() and after[5:] != b"-"
    return not more and not (before[:4].isdigit() and before[4:] == b" ")


def _moment(text: str) -> bool:
    """Tell whether what could be a birthday and a serial reads as a day and a time as well."""
    return int(text[-4:-2]) < 24 and int(text[-2:]) < 60 and not (len(text) == 13 and text.startswith("19"))


def _always(text: str) -> bool:
    return True


def _never(text: str) -> bool:
    return False


def _anywhere(data: bytes, extent: Extent) -> bool:
    return True


def _id(
    name: str,
    description: str,
    form: str,
    check: Callable[[str], bool],
    *,
    said: Any,
    certain: Callable[[str], bool] = _always,
    stands: Callable[[bytes, Extent], bool] = _anywhere,
    gate: Callable[[bytes], object] = has_digits,
) -> Detector:
    """Return a detector: `form` finds candidates, `check` judges them; what is not `certain` needs a word before it."""
    compiled = pattern(form)

    def accept(data: bytes, extent: Extent) -> bool:
        if not alone(data, extent):
            return False
        text = data[extent.start : extent.end].decode()
        return check(text) and stands(data, extent) and (certain(text) or near(data, extent.start, said))

    def find(data: bytes) -> Iterator[Extent]:
        return matches(compiled, data, lambda extent: accept(data, extent))

    return Detector(name=name, kind=name, family="national_id", description=description, rank=50, gate=gate, find=find)


any_digit = pattern(r"\d").search
"""A cheap look for those that have letters, too."""

NATIONAL_IDS = (
    _id(
        "us_ssn",
        "United States: social security number",
        r"\b(?:\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{9})\b",
        ssn,
        said=words("ssn", "social security", "social sec"),
        certain=lambda text: "-" in text,
    ),
    _id(
        "uk_nino",
        "United Kingdom: National Insurance number",
        r"\b[A-Z]{2}(?:\d{6}| \d{2} \d{2} \d{2} )[A-D]\b",
        nino,
        said=words("nino", "national insurance", "ni number"),
        gate=any_digit,
    ),
    _id(
        "uk_nhs",
        "United Kingdom: NHS number",
        r"\b(?:\d{3} \d{3} \d{4}|\d{3}-\d{3}-\d{4}|\d{10})\b",
        nhs,
        said=words("nhs", "patient"),
        certain=_never,
    ),
    _id(
        "de_tax_id",
        "Germany: tax identification number",
        r"\b(?:\d{2} \d{3} \d{3} \d{3}|\d{11})\b",
        german_tax,
        said=words("steuer", "tax", "idnr", "tin"),
    ),
    _id(
        "fr_nir",
        "France: social security number (NIR)",
        r"\b[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b",
        nir,
        said=words("nir", "secu", "sécu", "insee"),
        gate=any_digit,
    ),
    _id(
        "es_dni",
        "Spain: DNI and NIE",
        r"\b(?:\d{8}|[XYZ]-?\d{7})-?[TRWAGMYFPDXBNJZSQVHLCKE]\b",
        dni,
        said=words("dni", "nie", "nif"),
    ),
    _id(
        "it_codice_fiscale",
        "Italy: codice fiscale",
        r"\b[A-Za-z]{6}[0-9LMNPQRSTUVlmnpqrstuv]{2}[A-Za-z][0-9LMNPQRSTUVlmnpqrstuv]{2}"
        r"[A-Za-z][0-9LMNPQRSTUVlmnpqrstuv]{3}[A-Za-z]\b",
        codice_fiscale,
        said=words("codice fiscale"),
        certain=lambda text: sum(character.isdigit() for character in text) >= 4,
        gate=any_digit,
    ),
    _id(
        "nl_bsn",
        "Netherlands: burgerservicenummer",
        r"\b(?:\d{9}|\d{4}\.\d{2}\.\d{3}|\d{3} \d{3} \d{3})\b",
        bsn,
        said=words("bsn", "burgerservice", "sofi"),
        certain=_never,
    ),
    _id(
        "pl_pesel",
        "Poland: PESEL",
        r"\b\d{11}\b",
        pesel,
        said=words("pesel"),
        certain=_never,
    ),
    _id(
        "se_personnummer",
        "Sweden: personnummer and samordningsnummer",
        r"\b(?:\d{8}[-+]?\d{4}|\d{6}[-+]?\d{4})\b",
        personnummer,
        said=words("personnummer", "personnr", "samordningsnummer", "pnr"),
        certain=lambda text: not text.isdigit() and not _moment(text),
    ),
    _id(
        "br_cpf",
        "Brazil: CPF",
        r"\b(?:\d{3}\.\d{3}\.\d{3}-\d{2}|\d{9}-\d{2}|\d{11})\b",
        cpf,
        said=words("cpf"),
        certain=lambda text: "-" in text,
    ),
    _id(
        "in_aadhaar",
        "India: Aadhaar",
        r"\b(?:\d{4} \d{4} \d{4}|\d{4}-\d{4}-\d{4}|\d{12})\b",
        aadhaar,
        said=words("aadhaar", "aadhar", "uidai"),
        certain=lambda text: " " in text,
        stands=_ends_there,
    ),
)
