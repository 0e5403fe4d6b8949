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
_NO_TITLE: Ints = np.zeros(0, dtype=np.int64)


def option_windows(windower: Windower, question: Ints, option: Ints, text: Ints) -> list[Window]:
    """The windows over ``text`` (T,) for one option; a long question keeps its last tokens, an option its first."""
    option = option[:MAX_OPTION_TOKENS]
    question = question[max(0, len(question) + len(option) - MAX_QUERY_TOKENS) :]
    return list(windower.windows(np.concatenate([question, option]), _NO_TITLE, text))


def option_probabilities(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """P(option), shape (O,), from scores (O, P) over P passages."""
    shares = np.exp(scores - scores.max())
    found: npt.NDArray[np.float64] = shares.sum(axis=1) / shares.sum()
    return found


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Ints]:
    """Token ids of each text without special tokens."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(one.ids, dtype=np.int64) for one in encoded]
