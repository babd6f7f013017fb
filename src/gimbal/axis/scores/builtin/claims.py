"""Text into claims: the sentences of an answer, and the clauses of long ones, without what Markdown adds.

Rules of thumb, not a grammar: a full stop ends a sentence unless an abbreviation, an initial or a number stands before
it; a list item, a heading's neighbour and a cell of a table are sentences of their own; a question, a heading, code and
a line that only announces the next one claim nothing. A clause is split off at a semicolon, or at a comma and a
conjunction that opens a statement of its own.
"""

import re

MARKER = re.compile(r"[ \t]{0,8}\[(\d{1,4}(?:[ \t]?,[ \t]?\d{1,4}){0,30})\]")
"""Points to passages by their numbers from 1: `[2]`, `[1, 3]`."""
_FENCE = re.compile(r"^[ \t]*(```|~~~)")
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}(?:[ \t]|$)")
_RULE = re.compile(r"^[ \t|:*_=+-]+$")
_BULLET = re.compile(r"^[ \t>]*(?:[-*+\u2022\u2013][ \t]+|\(?\d{1,3}[.)][ \t]+|[A-Za-z][)][ \t]+)?(?:\[[ xX]\][ \t]+)?")
_IMAGE = re.compile(r"!\[[^\[\]\n]{0,500}\]\([^()\s]{0,2000}\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\([^()\s]{0,2000}\)")
_EMPHASIS = re.compile(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)|`|~~")
# A marker behind the full stop is of the sentence before it: `It moves. [1]`.
_TRAILING = re.compile(
    r"([.!?。\uff01\uff1f])[ \t]{0,8}((?:\[\d{1,4}(?:[ \t]?,[ \t]?\d{1,4}){0,30}\][ \t]{0,8}){1,20})"
)
_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"'\u201d\u2019)\]]{0,3}(?=\s)|[。\uff01\uff1f｡]+[」』”\u2019\uff09]{0,2}"
)
_SPACES = re.compile(r"\s+")
_LAST_WORD = re.compile(r"([^\s(\[\"']{1,20})$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_ALWAYS = """
approx bzw ca cf dept dr eds eg est evtl gen ggf gov hon hr ie inkl lt mr mrs ms mt prof rep rev sen sgt sog st str vgl
viz vs zb zit
"""
_BEFORE_NUMBERS = """
abs apr apt art aug bd ch dec dez eq feb fig figs jan jul jun mar no nos nov nr oct okt op p par pp sec sep sept tel vol
"""
# A sentence may end in one of the latter as well, so it takes a number to tell.
_ABBREVIATIONS, _NUMBERED = frozenset(_ALWAYS.split()), frozenset(_BEFORE_NUMBERS.split())
_CLAUSE = re.compile(
    r"[;\uff1b]\s*|,\s+(?=(?:but|whereas|while|although|though|yet|aber|doch|sondern|während|mais|tandis|pero|mientras)\b)"
    r"|,\s+(?=(?:and|und|et|y)\s+(?:it|they|he|she|we|you|i|this|that|these|those|there|the|its|their|"
    r"es|er|sie|wir|das|die|der|il|elle|ils|elles|el|la|los|las|le|les)\b)",
    re.IGNORECASE,
)
_FEWEST_WORDS, _NEAR = 3, 100
_LONGEST_SHORT = 3
_WORD = re.compile(r"\w+")


def claims(text: str) -> list[str]:
    """Return what a text claims, in order: clauses of its sentences that say something and ask nothing."""
    found: list[str] = []
    for sentence in sentences(text):
        if sentence.endswith(("?", "\uff1f", ":", "\uff1a")):
            continue
        found.extend(clause for clause in clauses(sentence) if _WORD.search(clause))
    return found


def sentences(text: str, *, whole: bool = False) -> list[str]:
    """Return the sentences of a text; a line break ends one in lists and tables only, an empty line always.

    Headings and lines of code are among them where the `whole` text is asked for: a claim may rest on them.
    """
    found: list[str] = []
    for block in _blocks(text, whole=whole):
        plain = _TRAILING.sub(_before_stop, _SPACES.sub(" ", _unmarked(block)).strip())
        begin = 0
        for match in _END.finditer(plain):
            if match[0].startswith(".") and len(match[0]) == 1 and _abbreviated(plain, match.start()):
                continue
            found.append(plain[begin : match.end()].strip())
            begin = match.end()
        found.append(plain[begin:].strip())
    return [sentence for sentence in found if sentence]


def clauses(sentence: str) -> list[str]:
    """Return the clauses of a sentence; a piece of fewer than three words stays with its neighbour."""
    found: list[str] = []
    begin = 0
    for match in _CLAUSE.finditer(sentence):
        # A clause has its words near: looking no farther keeps a text of nothing but semicolons linear.
        before = sentence[max(begin, match.start() - _NEAR) : match.start()]
        if _wordy(before) and _wordy(sentence[match.end() : match.end() + _NEAR]):
            found.append(sentence[begin : match.start()].strip())
            begin = match.end()
    return [*found, sentence[begin:].strip()]


def without_markers(text: str) -> str:
    """Return a text without its `[n]` markers."""
    return MARKER.sub("", text)


def _blocks(text: str, *, whole: bool) -> list[str]:
    """Return paragraphs, items and cells; code and headings only of the `whole`."""
    blocks: list[list[str]] = [[]]
    fence = ""

    def begin(*lines: str) -> None:
        # A text of empty lines is not to become as many empty blocks.
        if blocks[-1]:
            blocks.append([])
        blocks[-1].extend(lines)

    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
            begin()
        elif fence or _HEADING.match(line):
            if whole:
                begin(line.strip().lstrip("#"))
            begin()
        elif not line.strip() or _RULE.match(line):
            begin()
        elif line.lstrip().startswith("|"):
            for cell in line.strip().strip("|").split("|"):
                begin(cell)
            begin()
        else:
            opened = _BULLET.match(line)
            if opened and opened[0].strip(" \t>"):
                begin()
            blocks[-1].append(line[opened.end() :] if opened else line)
    return [" ".join(block) for block in blocks if block]


def _unmarked(text: str) -> str:
    return _EMPHASIS.sub("", _LINK.sub(r"\1", _IMAGE.sub("", text)))


def _before_stop(match: re.Match[str]) -> str:
    return f" {match[2].strip()}{match[1]} "


def _abbreviated(text: str, stop: int) -> bool:
    """Tell whether the full stop at a place belongs to an abbreviation, an initial, or the number of an item."""
    word = _LAST_WORD.search(text[max(0, stop - 20) : stop])
    if word is None:
        return False
    last, following = word[1], text[stop + 1 : stop + 3].strip()
    if _INITIALS.fullmatch(last):
        # `U.S.` and `J.` go on; `plan B.` and `vitamin C.` are seldom enough to be joined with what follows.
        return True
    if last.isdigit():
        return following[:1].islower()
    short = last.casefold().replace(".", "")
    if short in _NUMBERED and following[:1].isdigit():
        return True
    # Abbreviations that nobody listed are short; a text without capitals has sentences as well.
    return short in _ABBREVIATIONS or (len(short) <= _LONGEST_SHORT and following[:1].islower())


def _wordy(text: str) -> bool:
    return sum(1 for _ in zip(range(_FEWEST_WORDS), _WORD.finditer(text), strict=False)) == _FEWEST_WORDS
