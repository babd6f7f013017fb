"""Phone numbers: international ones by country code, national ones by a common form or by a word before them.

National forms: North America `(415) 555-2671`, Europe with its trunk zero `020 7946 0958`, `06 12 34 56 78`, `0171/1234567`,
Brazil `(11) 91234-5678`. Digits in one piece could be anything and count only behind a word such as `phone` or `tel`.
"""

from collections.abc import Iterator

from gimbal.engines.text.matching import alone, digits_of, has_digits, matches, near, pattern, words
from gimbal.engines.text.model import Detector, Extent

_SEPARATOR = r"[ ./-]?\(?"
_international = pattern(rf"\+\(?[1-9](?:\)?{_SEPARATOR}\d){{6,14}}")
_national = pattern(
    r"(?:\b1[ .-]?)?(?:\([2-9]\d{2}\) ?|\b[2-9]\d{2}-)[2-9]\d{2}[ .-]\d{4}\b"  # North America
    r"|\b[2-9]\d{2}\.[2-9]\d{2}\.\d{4}\b|\b[2-9]\d{2} [2-9]\d{2} \d{4}\b"
    r"|\b0[1-9](?:[ .-]\d{2}){4}\b"  # France
    r"|\b0[1-9]\d{1,3}[ /-]\d{6,8}\b"  # Germany, the United Kingdom
    r"|\b0[1-9]\d{0,3} \d{3,4} \d{3,4}\b|\(0[1-9]\d{1,3}\) ?\d{3,4} ?\d{3,4}\b"
    r"|\(\d{2}\) ?9?\d{4}-\d{4}\b"  # Brazil
)
_said = pattern(r"\b\d(?:[ ./-]?\d){6,14}\b")
_words = words(
    *("phone", "telephone", "tel", "mobile", "fax", "whatsapp", "sms", "telefon", "msisdn"),
    then=r"(?i:[ _.-]{0,2}(?:numbers?|num|no|nr))?[^0-9A-Za-z]{0,6}(?:(?i:is|at) {1,2})?\z",
)
# `Phone: 2024-05-01 10:00` tells when it rang.
_day = pattern(r"^(?:(?:19|20)\d\d[./-][01]\d[./-][0-3]\d|[0-3]\d[./-][01]\d[./-](?:19|20)\d\d)")
# The country codes of ITU-T E.164.
_E164 = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "
    "90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 "
    "238 239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 "
    "267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 "
    "381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 "
    "598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 800 808 850 852 853 "
    "855 856 870 878 880 881 882 883 886 888 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 "
    "992 993 994 995 996 998"
)
_CODES = frozenset(_E164.split())
_FEWEST = 8


def _accept_international(data: bytes, extent: Extent) -> bool:
    text = data[extent.start : extent.end]
    digits = digits_of(text)
    # With one dot it is a signed float, and North America's numbers have one length.
    if len(digits) < _FEWEST or text.count(b".") == 1 or (digits[0] == "1" and len(digits) != 11):
        return False
    return any(digits[:length] in _CODES for length in (1, 2, 3)) and alone(data, extent)


def _accept_said(data: bytes, extent: Extent) -> bool:
    text = data[extent.start : extent.end]
    return (
        text.count(b".") != 1 and _day.search(text) is None and near(data, extent.start, _words) and alone(data, extent)
    )


def find(data: bytes) -> Iterator[Extent]:
    """Yield the phone numbers of each form; one number may be found in several."""
    yield from matches(_international, data, lambda extent: _accept_international(data, extent))
    yield from matches(_national, data, lambda extent: alone(data, extent))
    yield from matches(_said, data, lambda extent: _accept_said(data, extent))


PHONE = Detector(
    name="phone",
    kind="phone",
    family="contact",
    description="phone numbers: international, common national forms, and behind a word such as phone",
    rank=20,
    gate=has_digits,
    find=find,
)
