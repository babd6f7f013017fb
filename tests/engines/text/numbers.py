"""Valid numbers of every kind, drawn at random: made by the rules' own words, not by the detectors' code."""

import random
import string

from hypothesis import strategies as st

ISSUERS = [("4", 16), ("4", 13), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15)]
ISSUERS += [("6011", 16), ("647", 16), ("65", 16), ("301", 14), ("36", 14), ("3530", 16), ("62", 17), ("2200", 16)]


def digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def luhn_digit(body: str) -> str:
    """Return the digit that makes the sum a multiple of ten, by trying all."""
    for last in string.digits:
        total = 0
        for place, character in enumerate(reversed(body + last)):
            value = int(character) * (2 if place % 2 else 1)
            total += value // 10 + value % 10
        if total % 10 == 0:
            return last
    raise AssertionError


def card(rng: random.Random) -> str:
    prefix, length = rng.choice(ISSUERS)
    body = prefix + digits(rng, length - len(prefix) - 1)
    number = body + luhn_digit(body)
    if length == 16 and rng.random() < 0.5:
        return rng.choice(" -").join(number[i : i + 4] for i in range(0, 16, 4))
    return number


def iban(rng: random.Random) -> str:
    country, length = rng.choice([("DE", 22), ("GB", 22), ("FR", 27), ("NO", 15), ("MT", 31), ("NL", 18), ("ES", 24)])
    account = "".join(rng.choice(string.digits + string.ascii_uppercase) for _ in range(length - 4))
    number = "".join(str(int(character, 36)) for character in account + country + "00")
    whole = f"{country}{98 - int(number) % 97:02d}{account}"
    return " ".join(whole[i : i + 4] for i in range(0, length, 4)) if rng.random() < 0.5 else whole


def us_ssn(rng: random.Random) -> str:
    area = rng.choice([n for n in range(1, 900) if n != 666])
    return f"{area:03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


def uk_nino(rng: random.Random) -> str:
    return f"{rng.choice(['AB', 'CE', 'JG', 'SX'])}{digits(rng, 6)}{rng.choice('ABCD')}"


def uk_nhs(rng: random.Random) -> str:
    while True:
        body = digits(rng, 9)
        check = 11 - sum(int(d) * (10 - i) for i, d in enumerate(body)) % 11
        if check != 10:
            return f"NHS {body}{check % 11}"


def de_tax_id(rng: random.Random) -> str:
    while True:
        values = rng.sample(string.digits, 9)
        body = [*values, rng.choice(values)]
        rng.shuffle(body)
        if body[0] != "0":
            break
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10
        product = (2 * (total or 10)) % 11
    check = 11 - product
    return "".join(body) + str(0 if check == 10 else check)


def fr_nir(rng: random.Random) -> str:
    body = f"{rng.choice('12')}{digits(rng, 2)}{rng.randint(1, 12):02d}{rng.randint(1, 95):02d}{digits(rng, 6)}"
    return f"{body}{97 - int(body) % 97:02d}"


def es_dni(rng: random.Random) -> str:
    number = rng.randint(10_000_000, 99_999_999)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def es_nie(rng: random.Random) -> str:
    lead, number = rng.randint(0, 2), rng.randint(0, 9_999_999)
    return f"{'XYZ'[lead]}{number:07d}{'TRWAGMYFPDXBNJZSQVHLCKE'[(lead * 10_000_000 + number) % 23]}"


def nl_bsn(rng: random.Random) -> str:
    while True:
        body = digits(rng, 8)
        last = sum(int(d) * (9 - i) for i, d in enumerate(body)) % 11
        if last < 10 and int(body):
            return f"bsn: {body}{last}"


def pl_pesel(rng: random.Random) -> str:
    body = f"{rng.randint(0, 99):02d}{rng.choice([0, 20, 80]) + rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{digits(rng, 4)}"
    total = sum(int(d) * (1, 3, 7, 9)[i % 4] for i, d in enumerate(body))
    return f"PESEL {body}{-total % 10}"


def se_personnummer(rng: random.Random) -> str:
    body = f"{rng.randint(0, 99):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{digits(rng, 3)}"
    number = body + luhn_digit(body)
    return f"personnummer {rng.choice(['19', ''])}{number[:6]}-{number[6:]}"


def br_cpf(rng: random.Random) -> str:
    while True:
        body = digits(rng, 9)
        if len(set(body)) > 1:
            break
    for _ in range(2):
        rest = sum(int(d) * (len(body) + 1 - i) for i, d in enumerate(body)) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"


def it_codice_fiscale(rng: random.Random) -> str:
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(6))
    place = rng.choice(string.ascii_uppercase)
    body = f"{letters}{digits(rng, 2)}{rng.choice('ABCDEHLMPRST')}{rng.randint(1, 28) + rng.choice([0, 40]):02d}{place}{digits(rng, 3)}"
    odd = "BAKPLCQDREVOSFTGUHMINJWZYX"
    values = [ord(c) - ord("0" if c.isdigit() else "A") for c in body]
    total = sum(v if i % 2 else odd.index(string.ascii_uppercase[v]) for i, v in enumerate(values))
    return body + string.ascii_uppercase[total % 26]


def dihedral(a: int, b: int) -> int:
    """Multiply in the group of the symmetries of a pentagon: 0 to 4 turn, 5 to 9 turn and flip."""
    turned = a % 5 + (b % 5 if a < 5 else -(b % 5))
    return turned % 5 + (5 if (a < 5) != (b < 5) else 0)


def in_aadhaar(rng: random.Random) -> str:
    body = rng.choice("23456789") + digits(rng, 10)
    for last in string.digits:
        check = 0
        for place, character in enumerate(reversed(body + last)):
            value = int(character)
            for _ in range(place):
                value = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[value]
            check = dihedral(check, value)
        if check == 0:
            number = body + last
            return " ".join(number[i : i + 4] for i in (0, 4, 8))
    raise AssertionError


VALID = {
    "it_codice_fiscale": it_codice_fiscale,
    "in_aadhaar": in_aadhaar,
    "card": card,
    "iban": iban,
    "us_ssn": us_ssn,
    "uk_nino": uk_nino,
    "uk_nhs": uk_nhs,
    "de_tax_id": de_tax_id,
    "fr_nir": fr_nir,
    "es_dni": es_dni,
    "es_nie": es_nie,
    "nl_bsn": nl_bsn,
    "pl_pesel": pl_pesel,
    "se_personnummer": se_personnummer,
    "br_cpf": br_cpf,
}
# Ids whose checks let no changed digit pass. SSN and NINO have no check digit; CPF's two can both be fooled at once.
CHECKED = sorted(set(VALID) - {"us_ssn", "uk_nino", "br_cpf"})

randoms = st.integers(0, 2**32).map(random.Random)
# What may stand around a number: words of any script, numbers, punctuation; the number itself stands between spaces.
surroundings = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="0123456789"), max_size=12),
        st.sampled_from(["1.2.3", "v4.11.1", "2024-05-01T10:00:00Z", "0.25", "😀", "№ 7,", "日本語", "[", "see:"]),
    ),
    max_size=6,
).map(" ".join)
