"""Exact match and token F1 of SQuAD (Rajpurkar et al. 2016), ROUGE-L; with characters as tokens for Han text."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from ragqa.analysis import HAN, is_han
from ragqa.types import Span

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)
_HAN_PUNCTUATION = frozenset("，。、；：？！“”‘’（）《》〈〉【】「」『』—…·～")

RIGHT_F1 = 0.5
"""An answer counts as right from this token F1 on: what a person would accept, not only the annotators' words."""


def normalize(text: str) -> str:
    """Lower case, no punctuation, no English articles, single spaces: SQuAD's definition."""
    text = "".join(c for c in text.lower() if c not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def answer_tokens(text: str) -> list[str]:
    """Normalised words; for text with Han characters each Han character is a token (CMRC 2018)."""
    if not is_han(text):
        return normalize(text).split()
    text = "".join(" " if c in _HAN_PUNCTUATION else c for c in normalize(text))
    spaced = "".join(f" {c} " if is_han(c) else c for c in text)
    return spaced.split()


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1.0 when the prediction equals any gold answer after normalisation."""
    return float(any(answer_tokens(prediction) == answer_tokens(gold) for gold in golds))


def f1(prediction: str, golds: Sequence[str]) -> float:
    """Best token-overlap F1 = 2PR / (P + R) over the gold answers; empty equals only empty."""
    return max((_f1(answer_tokens(prediction), answer_tokens(gold)) for gold in golds), default=0.0)


def _f1(prediction: list[str], gold: list[str]) -> float:
    if not prediction or not gold:
        return float(prediction == gold)
    same = sum((Counter(prediction) & Counter(gold)).values())
    return 2 * same / (len(prediction) + len(gold))


def holds(prediction: str, golds: Sequence[str]) -> float:
    """1.0 when the tokens of any gold answer stand in the prediction, one after the other (cover exact match)."""
    said = answer_tokens(prediction)
    return float(any(_stands_in(answer_tokens(gold), said) for gold in golds))


def occurrences(text: str, answers: Sequence[str]) -> list[Span]:
    """Where any of the ``answers`` stands in ``text`` as whole words, whatever the case, in reading order."""
    found = {
        (match.start(), match.end())
        for answer in answers
        if answer.strip()
        for match in re.finditer(_whole_words(answer.strip()), text, re.IGNORECASE)
    }
    return [Span(*place) for place in sorted(found)]


def _whole_words(answer: str) -> str:
    """The answer as a pattern that does not begin or end within a word; Han, which has no spaces, bounds one, too."""
    before = rf"(?<![^\W{HAN}])" if answer[0].isalnum() and not is_han(answer[0]) else ""
    after = rf"(?![^\W{HAN}])" if answer[-1].isalnum() and not is_han(answer[-1]) else ""
    return f"{before}{re.escape(answer)}{after}"


def is_right(prediction: str, golds: Sequence[str], *, whole_sentence: bool = False) -> bool:
    """Whether a person would take it for right, as far as words tell: ``RIGHT_F1`` with a gold answer.

    A whole sentence has more words than were asked for; it is right, too, where it holds a gold answer.
    """
    return f1(prediction, golds) >= RIGHT_F1 or (whole_sentence and bool(holds(prediction, golds)))


def _stands_in(part: list[str], whole: list[str]) -> bool:
    last = len(whole) - len(part)
    return bool(part) and any(whole[at : at + len(part)] == part for at in range(last + 1))


def rouge_l(prediction: str, golds: Sequence[str]) -> float:
    """Best F-measure of the longest common subsequence of tokens over the gold answers (Lin 2004)."""
    return max((_rouge_l(answer_tokens(prediction), answer_tokens(gold)) for gold in golds), default=0.0)


def _rouge_l(prediction: list[str], gold: list[str]) -> float:
    if not prediction or not gold:
        return float(prediction == gold)
    lengths = [0] * (len(gold) + 1)
    for token in prediction:
        diagonal = 0
        for place, other in enumerate(gold, 1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if token == other else max(above, lengths[place - 1])
            diagonal = above
    return 2 * lengths[-1] / (len(prediction) + len(gold))
