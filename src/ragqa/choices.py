"""Question + option + passage → the token windows that a choice model sees; shared by training and reading.

    [CLS] question option [SEP] [SEP] text… [SEP]

and behind a text that is read once for all options of its question, ``question [SEP]``.
The score of an option with a passage is that of its best window. Over several passages the options compete together:

    P(option | passages) = Σ_p exp(s(option, p)) / Σ_o Σ_p exp(s(o, p))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from ragqa.windows import MAX_QUERY_TOKENS, Ints, Window, Windower

MAX_OPTION_TOKENS = 32

PASSAGE_ONCE = "passage_once"
"""In ``config.json``: whether the model reads a passage apart from the options, see ``Once``."""

Once = bool | Literal["by_question"]
"""False: a passage is read with each option. True: once for all that is asked of it. "by_question": once for each
question, which stands behind the text, too, so that the passage is read with the question in mind."""

PASSAGE_AT = 32
"""Position of the [SEP] before a passage that is read once: about where it stands after a question and an option."""

PIECE_TOKENS = 512 - PASSAGE_AT - 2
"""Of the text of such a passage between its two [SEP]; BERT has 512 positions."""

_NO_TITLE: Ints = np.zeros(0, dtype=np.int64)


def option_windows(
    windower: Windower, question: Ints, option: Ints, text: Ints, *, passage_once: Once = False
) -> list[Window]:
    """The windows over ``text`` (T,) for one option; a long question keeps its last tokens, an option its first.

    Args:
        passage_once: as the model does; the text of a passage that is read once is cut without regard to the option.
    """
    if not passage_once:
        return list(windower.windows(_asked(question, option), _NO_TITLE, text))
    head = option_segment(windower, question, option)
    return [
        Window(np.concatenate([head, piece.ids]), len(head) + 1, piece.first, piece.length)
        for piece in passage_pieces(windower, text, [question] if passage_once == "by_question" else [])
    ]


def option_segment(windower: Windower, question: Ints, option: Ints) -> Ints:
    """[CLS] question option [SEP]."""
    return np.concatenate([[windower.cls_id], _asked(question, option), [windower.sep_id]]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a passage that is read once: ``ids`` begin with [SEP] and ``length`` tokens of its text from ``first`` on."""

    ids: Ints
    first: int
    length: int


def passage_pieces(windower: Windower, text: Ints, questions: Sequence[Ints] = ()) -> list[Piece]:
    """[SEP] text… [SEP] question [SEP] … for each piece of ``text`` (T,); pieces overlap."""
    sep = [windower.sep_id]
    behind = np.concatenate([sep, *(np.append(q[-MAX_QUERY_TOKENS:], sep) for q in questions)])
    room = PIECE_TOKENS + 1 - len(behind)
    starts = range(0, max(1, len(text) - windower.overlap_tokens), room - windower.overlap_tokens)
    cut = [(first, text[first : first + room]) for first in starts]
    return [
        Piece(np.concatenate([sep, part, behind]).astype(np.int64), first, len(part)) for first, part in cut
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
