"""What a sentence commits itself to: its numbers, names and negations, in English and Chinese; pure functions.

All three become terms, so that two sentences can be compared as sets: a number is the term of its value, whether it is
written "1,200", "1200", "twelve hundred" or 一千二百, and a name the terms of its words.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from ragqa.analysis import HAN, STOP_WORDS, is_han, terms

_NUMBER_TERM = "qn"  # in front of a value; no word begins so

_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "k": 1000,
    "million": 10**6,
    "m": 10**6,
    "billion": 10**9,
    "b": 10**9,
    "trillion": 10**12,
    "百": 100,
    "千": 1000,
    "万": 10**4,
    "亿": 10**8,
}
_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_UNITS.split())} | {
    word: 20 + 10 * place for place, word in enumerate(_TENS.split())
}
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}

_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_LARGE = "hundred|thousand|million|billion|trillion"
_PERCENT = r"\s*(?:%|per\s?cent\b)"
_HAN_NUMERAL = "〇零一二两三四五六七八九十百千万亿"
_MEASURE = "个種种层次年月日号步位名项条轮类点倍阶章节组对句篇页天小分秒岁人台套份块维"
_NUMBER = re.compile(
    rf"""
    (?P<of>百分之)?
    (?: (?P<minus>(?<![^\s(])[-−](?=\d))?
        (?<![A-Za-z0-9_])(?<!\d[.,])(?P<digits>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)
        (?: (?P<short>[kKMB])(?![A-Za-z0-9]) | \s*(?P<scale>{_LARGE}|[百千万亿])(?:\b|(?<=[百千万亿])) )?
      | \b(?P<words>(?:{_WORD})(?:(?:[\s-]|\sand\s)(?:{_WORD}|{_LARGE}))*)\b
      | (?P<han>[{_HAN_NUMERAL}]+)
    )
    (?P<percent>{_PERCENT})?
    """,
    re.VERBOSE | re.IGNORECASE,
)

_CUE = re.compile(
    r"""\b(?: not(?!\s(?:only|just|merely)\b) | cannot | never | none | nobody | nothing | nowhere | neither | nor
            | without | no(?!\.\s*\d) | lacks? | lacking | fail(?:s|ed)?\sto | [a-z]+n['’]t )\b
      | 从来没有 | 从来不 | 从[未不] | 并没有 | 没有 | 并不(?![仅但]) | 并非 | 不(?:是(?!不)|会|能|曾) | 未[曾能] | 尚未
      | (?<!不得)不(?![同仅但断过久少只光管论]|得不)
      | 没(?![收落]) | 未(?!来) | 无(?!论) | (?<![除是])非(?![常洲凡])""",
    re.VERBOSE | re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[,;:!?()，；：。！？、（）\n]|\.(?:\s|$)"
    r"|\b(?:but|while|whereas|although|though|because|and|which|so|if|when)\b|但|而|因为|并且",
    re.IGNORECASE,
)
_TOKEN = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’][^\W_{HAN}]+)*")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f][A-Za-z0-9\u00c0-\u024f]*(?:['’][a-z]+)?")
_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|「([^」]+)」|『([^』]+)』|《([^》]+)》")
_SCOPE = 4  # content words that a negation reaches

_OPENING = """
however therefore moreover furthermore thus hence also yes no first second third finally according unlike since after
before during because although though while some many most several both all each every one two three here instead
overall currently today later
"""
_OPENERS = frozenset(_OPENING.split())
"""Words that begin a sentence with a capital and name nothing."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How passages write their words: ``small`` are those seen without a capital, ``names`` those only with one."""

    small: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sentence says, as terms.

    Attributes:
        terms: of its content, numbers among them, each as often as it is said.
        numbers: those that it must share with what bears it out.
        says: all that it offers to others: ``terms``, and numbers that may be none, as "one" and 一.
        names: the terms of all its names.
        leading: those of the name that it begins with, which is what it speaks of.
        negated: for each negation the terms that it reaches.
    """

    terms: Counter[str]
    numbers: frozenset[str]
    says: Counter[str]
    names: frozenset[str]
    leading: frozenset[str]
    negated: tuple[frozenset[str], ...]


def wording(texts: Iterable[str]) -> Wording:
    """How ``texts`` write their words; the first word of a sentence does not count."""
    small: set[str] = set()
    large: set[str] = set()
    for text in texts:
        for match in _LATIN.finditer(text):
            word = match.group()
            if word[0].islower():
                small.add(word)
            elif not _begins(text, match.start()):
                large.add(word.casefold())
    return Wording(frozenset(small), frozenset(large - small - STOP_WORDS))


def _begins(text: str, place: int) -> bool:
    """Whether a sentence or a line begins at ``place``."""
    before = text[:place].rstrip(" \t\"'“‘(*-")
    return not before or before[-1] in ".!?。！？\n:"


def facts(text: str, known: Wording) -> Facts:
    """What ``text``, a sentence, says."""
    plain = re.sub(r"(?<=[A-Za-z])-(?=\d)", "", unicodedata.normalize("NFKC", text))
    valued, perhaps = _valued(plain)
    all_terms = Counter(terms(valued))
    names, leading = _names(valued, known)
    return Facts(
        all_terms,
        frozenset(term for term in all_terms if term.startswith(_NUMBER_TERM)),
        all_terms + Counter(perhaps),
        names,
        leading,
        tuple(_scope(valued, cue) for cue in _CUE.finditer(valued)),
    )


def numbers(text: str) -> frozenset[str]:
    """The numbers of ``text``, as terms."""
    return facts(text, Wording()).numbers


def is_negated_before(text: str, place: int) -> bool:
    """Whether the word in front of ``place`` takes back what begins there: "not in 1912", 不需要."""
    before = text[max(0, place - 40) : place]
    cues = list(_CUE.finditer(before))
    if not cues:
        return False
    return not any(token not in STOP_WORDS for token in _TOKEN.findall(before[cues[-1].end() :].casefold()))


def _valued(text: str) -> tuple[str, frozenset[str]]:
    """``text`` with the term of its value in place of each number, and the terms of those that may be none."""
    perhaps: set[str] = set()

    def term(match: re.Match[str]) -> str:
        value = _value(match)
        if value is None:
            return match.group()
        percent = match["percent"] or match["of"]
        # Digits and points alone would be parted by the analysis.
        shown = format(value.normalize(), "f").replace(".", "d").replace("-", "m") + ("p" if percent else "")
        if not percent and _may_be_none(match):
            perhaps.add(_NUMBER_TERM + shown)
            return match.group()
        return f" {_NUMBER_TERM}{shown} "

    return _NUMBER.sub(term, text), frozenset(perhaps)


def _value(match: re.Match[str]) -> Decimal | None:
    if match["digits"]:
        value = Decimal(("-" if match["minus"] else "") + match["digits"].replace(",", ""))
        scale = (match["short"] or match["scale"] or "").casefold()
        return value * _SCALES.get(scale, 1)
    if match["words"]:
        return Decimal(_of_words(re.findall(r"[a-z]+", match["words"].casefold())))
    return _of_han(match["han"])


def _of_words(words: Iterable[str]) -> int:
    """The value of English number words: "three hundred and forty million"."""
    total = part = 0
    for word in words:
        if word == "hundred":
            part = max(part, 1) * 100
        elif word in _SCALES:
            total, part = total + max(part, 1) * _SCALES[word], 0
        else:
            part += _WORDS.get(word, 0)
    return total + part


def _of_han(text: str) -> Decimal | None:
    """The value of Chinese numerals, digit by digit (二〇二一) or by place (三百四十); None if they count nothing."""
    if all(digit in _DIGITS for digit in text):
        return Decimal("".join(str(_DIGITS[digit]) for digit in text))
    if not any(digit in _DIGITS or digit == "十" for digit in text):
        return None  # 千万, 万一
    total = section = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in "万亿":
            total, section, digit = (total + section + digit) * _SCALES[character], 0, 0
        else:
            section += max(digit, 1) * (10 if character == "十" else _SCALES[character])
            digit = 0
    return Decimal(total + section + digit)


def _may_be_none(match: re.Match[str]) -> bool:
    """Whether a number word often counts nothing: "one of", 一些, 十分."""
    if match["words"]:
        return match["words"].casefold() == "one"
    if not match["han"] or len(match["han"]) > 1:
        return False
    after = match.string[match.end() : match.end() + 1]
    return match["han"] == "一" or not after or after not in _MEASURE or match["han"] + after == "十分"


def _names(text: str, known: Wording) -> tuple[frozenset[str], frozenset[str]]:
    """The terms of the names in ``text``, and those of the name that it begins with."""
    every = is_han(text)
    found: set[str] = set()
    leading: set[str] = set()
    is_leading, end = True, 0
    for match in _LATIN.finditer(text):
        word = match.group()
        is_leading = is_leading and not any(c.isalnum() for c in text[end : match.start()])
        end = match.end()
        if word.casefold() in STOP_WORDS or word.startswith(_NUMBER_TERM):
            continue
        if not (every or _is_name(word, known, begins=_begins(text, match.start()))):
            is_leading = False
            continue
        found.update(terms(word))
        if is_leading:
            leading.update(terms(word))
    for match in _QUOTED.finditer(text):
        found.update(terms(next(filter(None, match.groups()))))
    return frozenset(found), frozenset(leading)


def _is_name(word: str, known: Wording, *, begins: bool) -> bool:
    small = word.casefold()
    if any(c.isupper() or c.isdigit() for c in word[1:]) or small in known.names:
        return True
    return word[0].isupper() and not (begins and (small in known.small or small in _OPENERS))


def _scope(text: str, cue: re.Match[str]) -> frozenset[str]:
    """The terms that a negation reaches: the next content words of its clause, else those before it."""
    stop = _CLAUSE_END.search(text, cue.end())
    end = stop.start() if stop else len(text)
    after = list(_content(text, cue.end(), end))[:_SCOPE]
    if after:
        return frozenset(terms(text[cue.end() : after[-1].end()]))
    before = list(_content(text, 0, cue.start()))[-_SCOPE:]
    return frozenset(terms(text[before[0].start() : cue.start()])) if before else frozenset()


def _content(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    return (m for m in _TOKEN.finditer(text, start, end) if m.group().casefold() not in STOP_WORDS)
