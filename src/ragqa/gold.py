"""Where the index holds the answer of a labelled question: the rows of its passages, and the characters."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from ragqa.catalog import Catalog
from ragqa.decoding import clean
from ragqa.errors import DataError, UsageError
from ragqa.pipeline import check_query
from ragqa.types import Example, Passage, Span

DISTINCTIVE = 40
"""Bytes (a Han character has three) from which on a text in a document of another name is taken for the same."""


@dataclass(frozen=True, slots=True)
class Located:
    """A question with the rows of the index that hold its answer, the one that holds most of it first.

    ``place`` is where the answer stands, document and characters; None where only its passage is known. ``by_option``
    is for readers that choose: the one answer is the right option, and it need not stand in any document.
    """

    example: Example
    rows: tuple[int, ...]
    place: tuple[str, Span] | None
    by_option: bool = False

    @property
    def answerable(self) -> bool:
        """Whether a right answer is known."""
        return bool(self.example.answers)

    @property
    def judged(self) -> bool:
        """Whether an answer can be called right or wrong: not where only the right passages are known."""
        return self.answerable or not self.rows


def locate(
    examples: Sequence[Example],
    catalog: Catalog,
    on_bad: Callable[[Exception], None],
    *,
    by_option: bool = False,
) -> Iterator[Located]:
    """Each question with its gold rows; ``on_bad`` is told of those that cannot be judged on this index.

    A question without answers and without a right passage is taken to have none in the whole index.

    Args:
        by_option: the reader chooses among options: judged are the questions that have some, and only those.
    """
    index = _Places(catalog)
    for example in examples:
        name = f"question {example.query.id!r}"
        try:
            check_query(example.query.text)
        except UsageError as fault:
            on_bad(DataError(f"{name}: {fault.found}", accepted=fault.accepted))
            continue
        if by_option and example.choice is None:
            on_bad(DataError(f"{name} has no options to choose from", accepted="questions with choices"))
        elif by_option and not example.positives:
            yield Located(_with_right_option(example), (), None, by_option)
        elif example.query.choices and not example.answers and not by_option:
            on_bad(
                DataError(f"{name} has options to choose from", accepted="questions with answers in words")
            )
        elif not example.answers and not example.positives:
            yield Located(example, (), None)
        elif (found := index.locate(example)) is not None:
            yield replace(found, example=_with_right_option(example), by_option=True) if by_option else found
        else:
            document = example.positives[0].doc_id if example.positives else "no document"
            on_bad(
                DataError(
                    f"{name}: the index does not hold its answer ({document})",
                    accepted="documents as they were when the question was written",
                )
            )


def own_rows(
    asked: Sequence[Located], catalog: Catalog, on_bad: Callable[[Exception], None]
) -> dict[str, int]:
    """Question → the row of the passage that it comes with: one that answers it, or one that does not.

    ``on_bad`` is told of each question that comes with none, or with one that the index does not hold.
    """
    index, found = _Places(catalog), {}
    for one in asked:
        example, rows = one.example, one.rows
        if not rows and (beside := example.positives or example.hard_negatives[:1]):
            located = index.locate(replace(example, positives=beside, spans=()))
            rows = located.rows if located else ()
        if rows:
            found[example.query.id] = rows[0]
        else:
            on_bad(
                DataError(
                    f"question {example.query.id!r} comes with no passage of the index",
                    accepted="questions with their passage, as in SQuAD's form",
                )
            )
    return found


def _with_right_option(example: Example) -> Example:
    """The example with its right option as the one answer."""
    return replace(example, answers=(example.query.choices[example.choice or 0],))


class _Places:
    """Where every passage of an index stands, and which have the same text."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._text = lru_cache(maxsize=64)(lambda doc_id: catalog.document(doc_id).text)
        # Questions about one passage stand together in most files, and looking through all documents takes long.
        self._anywhere = lru_cache(maxsize=64)(self._search_everywhere)
        self._by_document: dict[str, list[tuple[int, int, int]]] = {}
        self._by_text: dict[str, list[int]] = {}
        for row, passage in enumerate(catalog.all_passages()):
            self._by_document.setdefault(passage.doc_id, []).append((passage.start, passage.end, row))
            self._by_text.setdefault(_folded(passage.text), []).append(row)

    def locate(self, example: Example) -> Located | None:
        """The rows of all right passages: by their place, or those that are the same word for word."""
        rows: list[int] = []
        place = None
        for number, passage in enumerate(example.positives):
            found = self._named(passage) or self._anywhere(passage.text)
            if found is None:
                rows += self._by_text.get(_folded(passage.text), ())
                continue
            doc_id, span = found
            if number == 0 and example.spans:
                first, start = example.spans[0], span.start
                # What the index left out of the passage moves the characters behind it.
                span = Span(*(start + len(clean(passage.text[:at])) for at in (first.start, first.end)))
            place = place or (doc_id, span)
            rows += self._overlapping(doc_id, span)
        return Located(example, tuple(dict.fromkeys(rows)), place) if rows else None

    def _overlapping(self, doc_id: str, span: Span) -> list[int]:
        """The rows that hold characters of ``span``, the one with most of them first."""
        shared = [
            (min(end, span.end) - max(start, span.start), row)
            for start, end, row in self._by_document[doc_id]
        ]
        return [row for length, row in sorted(shared, key=lambda pair: (-pair[0], pair[1])) if length > 0]

    def _named(self, passage: Passage) -> tuple[str, Span] | None:
        """Its place in the document that it names: the characters given, or where its text stands once."""
        if passage.doc_id not in self._by_document:
            return None
        text, start = self._text(passage.doc_id), passage.start
        if passage.end <= start or text[start : passage.end] != passage.text:
            if text.count(passage.text) != 1:
                return None
            start = text.index(passage.text)
        return passage.doc_id, Span(start, start + len(passage.text))

    def _search_everywhere(self, wanted: str) -> tuple[str, Span] | None:
        """Where the words of a whole passage stand, whatever the document is called."""
        if len(wanted.encode()) < DISTINCTIVE:
            return None
        text, starts, names = self._all
        wanted = clean(wanted)
        at = text.find(wanted)
        if at < 0:
            return None
        number = bisect_right(starts, at) - 1
        start = at - starts[number]
        return names[number], Span(start, start + len(wanted))

    @cached_property
    def _all(self) -> tuple[str, list[int], list[str]]:
        """The text of all documents in one piece, where each begins, and its name."""
        names = list(self._by_document)
        texts = [self._catalog.document(name).text for name in names]
        starts = [0]
        for text in texts:
            starts.append(starts[-1] + len(text) + 1)
        return "\0".join(texts), starts[:-1], names


def _folded(text: str) -> str:
    """Without what loaders leave out of a text, and with one space for any white space."""
    return " ".join(clean(text).split())
