"""What bears a written answer out."""

import pytest

from ragqa.support import support
from ragqa.types import Passage

TEXTS = (
    "LoRA was proposed by Hu et al. in 2021. It trains few weights.",
    "注意力机制由瓦斯瓦尼等人提出。它取代了循环。",
)
PASSAGES = [Passage(f"notes {n}", 0, len(text), text) for n, text in enumerate(TEXTS)]


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        ("Hu et al.", "Hu et al"),
        ("hu et al", "Hu et al"),
        ("2021", "2021"),
        ("瓦斯瓦尼等人", "瓦斯瓦尼等人"),
        ("It trains only few weights", "It trains few weights."),
        ("it trains few  weights .", "It trains few weights"),
        ("202", None),
        ("et albatross", None),
        ("Houlsby and others", None),
        (".", None),
    ],
)
def test_the_words_themselves_or_a_sentence_with_most_of_them(answer: str, quote: str | None) -> None:
    (found,) = support(answer, PASSAGES)
    assert [citation.quote for citation in found.citations] == ([quote] if quote else [])


def test_nothing_has_no_sentences() -> None:
    assert support("", PASSAGES) == support(" \n", PASSAGES) == ()
