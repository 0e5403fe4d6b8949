"""Question + option + passage → the token windows that a choice model sees; shared by training and reading.

    [CLS] question option [SEP] [SEP] text… [SEP]

The score of an option with a passage is that of its best window. Over several passages the options compete together:

    P(option | passages) = Σ_p exp(s(option, p)) / Σ_o Σ_p exp(s(o, p))
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ragqa.windows import MAX_QUERY_TOKENS, Ints, Window, Windower

MAX_OPTION_TOKENS = 32

PASSAGE_ONCE = "passage_once"
"""In ``config.json``: whether the model reads a passage apart from the question, once for all that is asked of it."""

PASSAGE_AT = 32
"""Position of the [SEP] before a passage that is read once: about where it stands after a question and an option."""

PIECE_TOKENS = 512 - PASSAGE_AT - 2
"""Of the text of such a passage between its two [SEP]; BERT has 512 positions."""

_NO_TITLE: Ints = np.zeros(0, dtype=np.int64)


def option_windows(
    windower: Windower, question: Ints, option: Ints, text: Ints, *, passage_once: bool = False
) -> list[Window]:
    """The windows over ``text`` (T,) for one option; a long question keeps its last tokens, an option its first.

    Args:
        passage_once: for a model that reads a passage once: the text is cut without regard to the option.
    """
    if not passage_once:
        return list(windower.windows(_asked(question, option), _NO_TITLE, text))
    head = option_segment(windower, question, option)
    return [
        Window(np.concatenate([head, piece]), len(head) + 1, first, len(piece) - 2)
        for first, piece in passage_pieces(windower, text)
    ]


def option_segment(windower: Windower, question: Ints, option: Ints) -> Ints:
    """[CLS] question option [SEP]."""
    return np.concatenate([[windower.cls_id], _asked(question, option), [windower.sep_id]]).astype(np.int64)


def passage_pieces(windower: Windower, text: Ints) -> list[tuple[int, Ints]]:
    """[SEP] text… [SEP] for each piece of ``text`` (T,), and the token that it begins with; pieces overlap."""
    step, sep = PIECE_TOKENS - windower.overlap_tokens, [windower.sep_id]
    starts = range(0, max(1, len(text) - windower.overlap_tokens), step)
    return [
        (first, np.concatenate([sep, text[first : first + PIECE_TOKENS], sep]).astype(np.int64))
        for first in starts
    ]


def _asked(question: Ints, option: Ints) -> Ints:
    option = option[:MAX_OPTION_TOKENS]
    return np.concatenate([question[max(0, len(question) + len(option) - MAX_QUERY_TOKENS) :], option])


def option_probabilities(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P(option), shape (O,), from scores (O, P) over P passages."""
    shares = np.exp(scores - scores.max())
    found: npt.NDArray[np.float64] = shares.sum(axis=1) / shares.sum()
    return found


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Ints]:
    """Token ids of each text without special tokens."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(one.ids, dtype=np.int64) for one in encoded]
