"""Text to BM25 terms: Unicode words, English stems, Han unigrams and bigrams."""

import re
import unicodedata
from functools import lru_cache

import Stemmer

VERSION = 1
"""Part of the index fingerprint: raise it whenever ``terms`` changes."""

HAN = r"\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""Han characters, for use within the brackets of a pattern."""
# A run of Han characters, or a word: letters, digits and inner apostrophes of any other script.
_TOKEN = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+(?:['’][^\W_{HAN}]+)*")
_HAN_START = re.compile(rf"[{HAN}]")

_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they
this to was will with what which who whom whose when where why how do does did has have had were i you he she
we its from can could would should about
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English function words that carry no topic; questions are full of them."""

_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    stemmed: str = _stemmer.stemWord(word)
    return stemmed


def is_han(text: str) -> bool:
    """True when ``text`` holds at least one Han character."""
    return _HAN_START.search(text) is not None


def terms(text: str) -> list[str]:
    """The BM25 terms of ``text``, in order, repetitions kept.

    Full-width forms are folded (NFKC) and case is ignored. A Han run yields each character and each pair of
    neighbours, which needs no dictionary and no word segmentation.
    """
    found: list[str] = []
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        token = match.group()
        if _HAN_START.match(token):
            found.extend(token)
            found.extend(token[i : i + 2] for i in range(len(token) - 1))
        elif token not in STOP_WORDS:
            found.append(_stem(token.replace("’", "'")))
    return found
