"""How near the words of an answer are to those of a gold answer: BLEU by sacrebleu, ROUGE by rouge-score.

Both packages are imported at the first score: rouge-score brings nltk along, which takes a second.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ragqa.analysis import is_han

ROUGE = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
"""Measure → its name in rouge-score."""

_TOKEN = re.compile(r"[a-z0-9]+|[^\x00-\x7f]")


def bleu(prediction: str, golds: Sequence[str]) -> float:
    """Sentence BLEU, 0 to 1, against all gold answers together (Papineni et al. 2002; sacrebleu: Post 2018).

    BP · exp(Σ_{n≤N} ln p_n / N), N being the longest n-gram that the answer has, up to 4 (sacrebleu's effective
    order: answers are often shorter than four words), p_n without a match smoothed exponentially. Tokens are those
    of ``13a``, or of ``zh`` where a gold answer holds Han characters. No gold answer: 0.
    """
    if not golds:
        return 0.0
    scorer = _bleu("zh" if any(map(is_han, golds)) else "13a")
    return min(1.0, float(scorer.sentence_score(prediction, golds).score) / 100)


def rouge(prediction: str, golds: Sequence[str]) -> Mapping[str, float]:
    """Best F-measure of ROUGE-1, ROUGE-2 and ROUGE-L over the gold answers (Lin 2004), 0 to 1, without stemming.

    Tokens are rouge-score's own, runs of a–z and 0–9; a Han character is a token, too. No gold answer: 0.
    """
    if not golds:
        return dict.fromkeys(ROUGE, 0.0)
    found = _rouge().score_multi(golds, prediction)
    return {name: float(found[theirs].fmeasure) for name, theirs in ROUGE.items()}


class _Words:
    """Texts → tokens, as rouge-score asks for them."""

    def tokenize(self, text: str) -> list[str]:
        return [token for token in _TOKEN.findall(text.lower()) if token.isascii() or is_han(token)]


@cache
def _bleu(tokens: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True, tokenize=tokens)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE.values()), tokenizer=_Words())
