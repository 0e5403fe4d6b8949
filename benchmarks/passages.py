"""Any number of distinct passages made from SQuAD's paragraphs, the same ones each time.

A quarter at most are the paragraphs themselves (the dev set's first, so that its questions can be answered); the
others are recombined: sentences of one article in an order that nobody wrote. So vocabulary, sentence lengths and
topics stay real, which the speed of BM25 and of the reader depends on.
"""

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ragqa.data import squad
from ragqa.sentences import sentences

_SEED = 20_963
_RECORDS_PER_FILE = 1000
_SENTENCES = (3, 6)
"""Least and greatest number of sentences in a recombined passage; SQuAD's paragraphs have five on average."""

Record = tuple[str, str]
"""Title and text."""


def paragraphs(data: Path) -> list[Record]:
    """Title and text of each distinct paragraph of SQuAD v1.1, dev before train."""
    examples = [
        example for part in ("dev", "train") for example in squad.load(data / f"squad/{part}-v1.1.json")
    ]
    return list(dict.fromkeys((e.positives[0].title, e.positives[0].text) for e in examples))


def records(real: list[Record], count: int) -> Iterator[Record]:
    """``count`` distinct records: real ones, then recombined ones."""
    kept = real[: max(1, count // 4)]
    yield from kept
    pools = _sentence_pools(real)
    titles, chance = list(pools), random.Random(_SEED)
    seen = {text for _, text in real}
    made = len(kept)
    while made < count:
        title = chance.choice(titles)
        text = " ".join(chance.sample(pools[title], chance.randint(*_SENTENCES)))
        if text not in seen:
            seen.add(text)
            made += 1
            yield title, text


def _sentence_pools(real: list[Record]) -> dict[str, list[str]]:
    """Article → its sentences; articles too short to recombine are left out."""
    pools: dict[str, list[str]] = {}
    for title, text in real:
        pools.setdefault(title, []).extend(text[span.start : span.end] for span in sentences(text))
    return {title: pool for title, pool in pools.items() if len(pool) >= 2 * _SENTENCES[1]}


def write(folder: Path, data: Path, count: int) -> None:
    """``count`` documents as JSON Lines files of 1,000 records in ``folder``."""
    folder.mkdir(parents=True)
    rest = records(paragraphs(data), count)
    for number in range(-(-count // _RECORDS_PER_FILE)):
        part = islice(rest, _RECORDS_PER_FILE)
        lines = (json.dumps({"title": title, "text": text}) + "\n" for title, text in part)
        (folder / f"part-{number:04d}.jsonl").write_text("".join(lines), encoding="utf-8")


def questions(data: Path, count: int) -> list[str]:
    """``count`` questions spread evenly over SQuAD's dev set."""
    every = [example.query.text for example in squad.load(data / "squad/dev-v1.1.json")]
    return every[:: max(1, len(every) // count)][:count]
