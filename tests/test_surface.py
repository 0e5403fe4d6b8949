"""Written tokens become text: copied ones as the passage has them."""

import pytest

from ragqa.backbone import builtin_path
from ragqa.surface import surface
from ragqa.types import Passage
from ragqa.windows import load_tokenizer, tokenize

TEXTS = (
    "In 1927, Zoë O'Connor-Smith paid $3.50 for it; the BBC (London) said so.",
    "It was sold by McDonald's of Warsaw University.",
)


@pytest.mark.parametrize(
    ("written", "copied", "text"),
    [
        ("zoe o ' connor - smith", "all", "Zoë O'Connor-Smith"),
        ("zoe o ' connor - smith", "none", "Zoë O'Connor-Smith"),
        ("$ 3 . 50", "all", "$3.50"),
        ("bbc ( london )", "all", "BBC (London)"),
        ("warsaw university", "none", "Warsaw University"),
        ("who sold it to warsaw university ?", {"warsaw", "university"}, "who sold it to Warsaw University?"),
        ("what did the bbc say in 1927 ?", {"bbc", "1927"}, "what did the BBC say in 1927?"),
        ("what did the bbc say ?", set(), "what did the bbc say?"),
        ("what is warsaw ' s price ?", {"warsaw"}, "what is Warsaw's price?"),
        ("which well - known mill isn ' t sold ?", set(), "which well-known mill isn't sold?"),
        (
            "was mcdonald ' s of warsaw university sold ?",
            {"s", "of", "warsaw", "university"},
            "was mcdonald's of Warsaw University sold?",
        ),
        ("smith - o ' connor paid", {"o", "'", "connor", "-"}, "Smith-O'Connor paid"),
        ("the ' mill ' of 3 km / h", set(), "the ' mill ' of 3 km/h"),
        ("which c # price in $ is well - , then ?", set(), "which c # price in $ is well-, then?"),
        ("did it cost $ 7 ( or £ 6 ) ?", set(), "did it cost $7 (or £6)?"),
        ("in warsaw bbc", "all", "In Warsaw BBC"),
        ("smiths", "all", "smiths"),
        ("", "all", ""),
    ],
)
def test_what_was_copied_is_worded_as_in_its_passage(written: str, copied: str | set[str], text: str) -> None:
    tokenizer = load_tokenizer(builtin_path())
    passages = [Passage(f"note {n}", 0, len(one), one) for n, one in enumerate(TEXTS)]
    read = list(zip(passages, tokenize(tokenizer, TEXTS), strict=True))
    encoded = tokenizer.encode(written, add_special_tokens=False)
    flags = [copied == "all" or (isinstance(copied, set) and token in copied) for token in encoded.tokens]
    assert surface(encoded.ids, flags, read, tokenizer) == text


def test_a_part_of_a_word_is_no_word_of_the_passage() -> None:
    """``mcdonald`` is two pieces; its first is not worded as the passage's word begins."""
    tokenizer = load_tokenizer(builtin_path())
    text = "Unaffordability rules."
    pieces = tokenizer.encode(text, add_special_tokens=False)
    assert len(pieces.ids) > 3
    read = [(Passage("a", 0, len(text), text), tokenize(tokenizer, [text])[0])]
    first = [pieces.ids[0]]
    assert surface(first, [True], read, tokenizer) == tokenizer.decode(first)
    whole = pieces.ids[:-2]
    assert surface(whole, [True] * len(whole), read, tokenizer) == "Unaffordability"
