"""Questions with options out of questions with answers: the wrong options are drawn from the passage itself."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ragqa.analysis import HAN, is_han
from ragqa.evaluation.answers import answer_tokens
from ragqa.types import Example

_NAME = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:of\s+(?:the\s+)?)?[A-Z][\w'’-]*)*")
_NUMBER = re.compile(rf"(?<![^\W{HAN}])\d[\d.,]*(?:\s+(?:million|billion|percent|years|%)|[年月日])?")
_WORDS = re.compile(r"[^\W\d_]+(?:\s+[^\W\d_]+){1,3}")
_CHARACTERS = re.compile(rf"[{HAN}]{{2,8}}")

_PARTICLES = str.maketrans(dict.fromkeys("的了在是和与及为于从被把对向等也就都而", " "))
"""Between these stand the words of a Chinese text, which has no blanks; some of them are cut."""


def with_options(examples: Sequence[Example], count: int, seed: int) -> Iterator[Example]:
    """Each answered question of ``examples`` with ``count`` options, of which the answer is one.

    The others are, in this order: answers to other questions on the same passage, then phrases of the passage of the
    answer's kind (numbers, names, words; in Chinese numbers and characters that stand together). None shares all its
    words with the answer. A question whose passage holds too few is left out; one that has options keeps them.
    """
    answers: dict[str, list[str]] = {}
    for example in examples:
        if example.answers and example.positives:
            answers.setdefault(example.positives[0].id, []).append(example.answers[0])
    for example in examples:
        if example.query.choices:
            yield example
        elif example.answers and example.positives:
            # A draw of its own for each question: leaving one out changes no other.
            draw = random.Random(f"{seed} {example.query.id} {example.query.text}")
            found = _distractors(example, answers[example.positives[0].id], count - 1, draw)
            if len(found) == count - 1:
                choice = draw.randrange(count)
                options = (*found[:choice], example.answers[0], *found[choice:])
                yield replace(example, query=replace(example.query, choices=options), choice=choice)


def _distractors(example: Example, others: Sequence[str], count: int, draw: random.Random) -> list[str]:
    answer, text = example.answers[0], example.positives[0].text
    right = [set(answer_tokens(one)) for one in example.answers]
    kinds = [_NUMBER, _NAME, _WORDS] if answer[:1].isdigit() else [_NAME, _NUMBER, _WORDS]
    if answer[:1].islower():
        kinds = [_WORDS, _NAME, _NUMBER]
    if is_han(example.query.text):
        kinds = [_NUMBER, _CHARACTERS] if answer[:1].isdigit() else [_CHARACTERS, _NUMBER]
        text = text.translate(_PARTICLES)
    found: list[str] = []
    seen: list[set[str]] = []
    for pool in (list(others), *([m[0] for m in kind.finditer(text)] for kind in kinds)):
        draw.shuffle(pool)
        for option in pool:
            words = set(answer_tokens(option))
            clashing = any(words <= one or one <= words for one in right)
            if words and not clashing and words not in seen and len(found) < count:
                found.append(option)
                seen.append(words)
    return found
