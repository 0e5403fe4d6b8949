"""What an encoder–decoder reads: one row for each window of each passage; shared by training and writing.

    to answer:   [CLS] question [SEP] title [SEP] text… [SEP]
    to ask:      [CLS] question : answer [SEP] title [SEP] text… [SEP]

To ask, the answer's own tokens in the text have the token type of the first segment, so that the encoder sees where it
stands. The rows of all passages of a question are encoded apart and read together (fusion in decoder).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ragqa.windows import Ints, TokenText, Window, Windower, pad, token_span

POINTER = "pointer"
"""What ``config.json`` calls the model that reads them."""

ANSWER, ASK = 0, 1
"""Numbers of the tasks."""

ASKING = "question :"
"""The prefix of the second task."""

MAX_WRITTEN_TOKENS = 128
"""Places of the decoder."""


@dataclass(frozen=True, slots=True)
class Source:
    """One row.

    Attributes:
        marked: positions of the marked answer in the window, first and last plus one (0, 0: none).
        rank: of its passage among those of the question, 0 for the best.
    """

    window: Window
    marked: tuple[int, int] = (0, 0)
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Rows of N questions, each array (R, L); row r is place ``slots[r] % places`` of question ``slots[r] // places``.

    ``copyable`` are the tokens of titles and texts, which may be written word for word, ``ranks`` (R,) those of the
    passages.
    """

    ids: Ints
    mask: Ints
    kinds: Ints
    copyable: npt.NDArray[np.bool_]
    slots: Ints
    places: int
    ranks: Ints

    def rows_of(self, question: int) -> list[list[int]]:
        """The ids of each row of a question, without padding."""
        mine = np.flatnonzero(self.slots // self.places == question)
        return [self.ids[row][self.mask[row] == 1].tolist() for row in mine]

    def prior(self) -> npt.NDArray[np.float32]:
        """What is added to the attention to each row, (R,): ln 1/n for the n-th best passage, as ranks are in the law
        of Zipf.
        """
        return -np.log1p(self.ranks).astype(np.float32)


def to_answer(windower: Windower, question: Ints, title: Ints, text: Ints, rank: int = 0) -> Iterator[Source]:
    """The rows of one passage for a question."""
    return (Source(window, rank=rank) for window in windower.windows(question, title, text))


def to_ask(
    windower: Windower, prefix: Ints, answer: Ints, title: Ints, text: TokenText, start: int, end: int
) -> Source | None:
    """The row that asks for the answer at characters [start, end) of a passage; None where no window holds it whole."""
    tokens = token_span(text, start, end)
    if tokens is None:
        return None
    for window in windower.windows(np.concatenate([prefix, answer]), title, text.ids):
        first, last = tokens[0] - window.first, tokens[1] - window.first
        if first >= 0 and last < window.length:
            return Source(window, (window.text_at + first, window.text_at + last + 1))
    return None


def pad_sources(groups: Sequence[Sequence[Source]], windower: Windower) -> Sources:
    """The rows of each question, padded into one batch."""
    rows = [source for group in groups for source in group]
    ids, mask, kinds, _ = pad([source.window for source in rows], windower)
    copyable = (kinds == 1) & (ids != windower.sep_id) & (mask == 1)
    for row, source in enumerate(rows):
        kinds[row, slice(*source.marked)] = 0
    places = max(map(len, groups))
    slots = [places * number + place for number, group in enumerate(groups) for place in range(len(group))]
    ranks = np.array([source.rank for source in rows], dtype=np.int64)
    return Sources(ids, mask, kinds, copyable, np.array(slots, dtype=np.int64), places, ranks)
