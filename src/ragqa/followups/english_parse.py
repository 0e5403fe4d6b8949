"""As much of the grammar of an English question as its follow-ups need: tokens, mentions, question phrase.

No tagger is at hand. Closed classes of words, capital letters and the place behind an auxiliary tell subject, verb and
noun phrases apart well enough for short questions; where they do not, the caller falls back to the words themselves.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragqa.followups.english_words import (
    ADVERBS,
    AUXILIARY,
    BE,
    DETERMINERS,
    FUNCTION,
    PARTICIPLES,
    PAST,
    PREPOSITIONS,
    WH,
)

_TOKEN = re.compile(r"[\"“][^\"”]+[\"”]|[^\s?!,;:()\"“”]+|[,;:()]")
_BREAKS = ",;:()"
_JOINS = frozenset({"and", "of", "de", "van", "von"})
_INNER = re.compile(r"[^\W\d_][^\s]*[A-Z0-9_@+]|[A-Z].*[.-][\w]|\d.*[^\W\d_]|^v\d")
_CLITIC = re.compile(r"['’]s?$")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted title or a comma, with its place in the text."""

    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """In lower case, without a possessive ending or a full stop."""
        return _CLITIC.sub("", self.text.rstrip(".").lower())


@dataclass(frozen=True, slots=True)
class Mention:
    """A noun phrase without its article; ``named`` when capitals, digits or quotation marks make it a name."""

    text: str
    start: int
    end: int
    named: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A question taken apart.

    ``asks`` is its question phrase ("For how long", "Which small model"), ``noun`` the mention inside it, ``subject``
    what stands behind the auxiliary, or behind the verb where the question phrase is the subject itself.
    """

    text: str
    tokens: tuple[Token, ...]
    asks: str
    asks_end: int
    noun: Mention | None
    auxiliary: Token | None
    verb: Token | None
    mentions: tuple[Mention, ...]

    @property
    def names(self) -> tuple[Mention, ...]:
        return tuple(m for m in self.mentions if m.named)

    @property
    def subject(self) -> Mention | None:
        """The first mention behind auxiliary or verb, if nothing but an article stands between."""
        after = self.auxiliary or self.verb
        if after is None:
            return None
        for mention in self.mentions:
            if mention.start >= after.end:
                between = {t.word for t in self.tokens if after.end <= t.start < mention.start}
                return mention if between <= DETERMINERS | ADVERBS else None
        return None


def tokens(text: str) -> tuple[Token, ...]:
    """Words, quoted titles and commas of ``text``."""
    found = (Token(m.group(), m.start(), m.end()) for m in _TOKEN.finditer(text))
    return tuple(
        Token(t.text.rstrip("."), t.start, t.start + len(t.text.rstrip(".")))
        for t in found
        if t.text.strip(".")
    )


def is_name(token: Token, *, first: bool) -> bool:
    """Whether capitals, digits or quotation marks make it a name; a capital alone says nothing at the beginning."""
    text = token.text
    if token.word in FUNCTION and not (text.isupper() and len(text) > 1):
        return False
    if text[0] in '"“' or _INNER.search(text):
        return True
    return text[0].isupper() and (not first or len(text) == 1)


def parse(text: str) -> Question:
    """The parts of a question; a text that is none has no question phrase."""
    found = tokens(text)
    asks_from, asks_to = _asks(found)
    verb = _verb(found, asks_to) if asks_to else None
    auxiliary = None if verb else next((t for t in found[asks_to:] if t.word in AUXILIARY), None)
    mentions = tuple(_mentions(text, found, auxiliary, verb))
    inside = [m for m in mentions if asks_to and m.end <= found[asks_to - 1].end]
    return Question(
        text,
        found,
        text[found[asks_from].start : found[asks_to - 1].end] if asks_to else "",
        found[asks_to - 1].end if asks_to else 0,
        inside[0] if inside else None,
        auxiliary,
        verb,
        tuple(m for m in mentions if m not in inside),
    )


def _asks(found: Sequence[Token]) -> tuple[int, int]:
    """The tokens of the question phrase: (preposition) question word (noun phrase up to auxiliary or verb)."""
    start = next((place for place, token in enumerate(found[:6]) if token.word in WH), None)
    if start is None:
        return 0, 0
    word, end = found[start].word, start + 1
    if word in ("which", "what", "whose", "how"):
        if word == "how" and end < len(found) and found[end].word not in AUXILIARY:
            end += 1  # how many, how much, how long: the word that is measured belongs to it
        while end < len(found) and found[end].word not in AUXILIARY and found[end].text not in _BREAKS:
            if end > start + 1 and _ends_noun(found, end):
                break
            if found[end].word in (PREPOSITIONS - {"of"}) | DETERMINERS | ADVERBS:
                break
            end += 1
    before = start - 1 if start and found[start - 1].word in PREPOSITIONS else start
    return before, end


def _ends_noun(found: Sequence[Token], place: int) -> bool:
    """Whether the verb begins here: "which company | published", "which flag | changes that"."""
    token, before = found[place], found[place - 1].word
    if before in ("many", "much", "of"):
        return False
    third = token.text.islower() and token.word.endswith("s") and not token.word.endswith(("ss", "us", "is"))
    goes_on = place + 1 < len(found) and found[place + 1].word not in AUXILIARY
    return _is_verb(token) or (third and goes_on)


def _is_verb(token: Token) -> bool:
    word = token.word
    return token.text.islower() and (word in PAST or (len(word) > 4 and word.endswith("ed")))


def _verb(found: Sequence[Token], place: int) -> Token | None:
    """The main verb of a question without an auxiliary: "Who first proposed …"."""
    while place < len(found) and found[place].word in ADVERBS:
        place += 1
    if place < len(found) and found[place].text.islower() and found[place].word not in FUNCTION:
        return found[place]
    return None


def _mentions(
    text: str, found: Sequence[Token], auxiliary: Token | None, verb: Token | None
) -> Iterator[Mention]:
    """Maximal runs of words that are neither function words nor verbs."""
    run: list[int] = []
    for place, token in enumerate(found):
        named = is_name(token, first=place == 0)
        joins = token.word in _JOINS and run and place + 1 < len(found)
        if (joins and is_name(found[run[-1]], first=False) and _joinable(found, place)) or (
            token.text == "," and run and _listed(found, place)
        ):
            run.append(place)
        elif token.text in _BREAKS or token is verb or (token.word in FUNCTION and not named):
            yield from _mention(text, found, run, auxiliary)
            run = []
        else:
            run.append(place)
    yield from _mention(text, found, run, auxiliary)


def _joinable(found: Sequence[Token], place: int) -> bool:
    """Whether "and" and the like join two plain names, as in Li and Hoiem."""
    return found[place + 1].text == "colleagues" or (_plain(found[place - 1]) and _plain(found[place + 1]))


def _plain(token: Token) -> bool:
    """A capital and small letters, like the name of a person."""
    return token.text[:1].isupper() and token.text[1:].islower()


def _listed(found: Sequence[Token], place: int) -> bool:
    """Whether a comma stands in a list of plain names that ends with "and": Kamath, Jia and Liang."""
    rest = found[place + 1 : place + 3]
    return len(rest) == 2 and _plain(found[place - 1]) and _plain(rest[0]) and rest[1].text in ("and", ",")


def _mention(text: str, found: Sequence[Token], run: list[int], auxiliary: Token | None) -> Iterator[Mention]:
    run = _without_verb(found, run, auxiliary)
    if run:
        start, end = found[run[0]].start, found[run[-1]].end
        named = any(is_name(found[place], first=place == 0) for place in run)
        yield Mention(_CLITIC.sub("", text[start:end]), start, end, named)


def _without_verb(found: Sequence[Token], run: list[int], auxiliary: Token | None) -> list[int]:
    """The run without the verb at its end: "does constrained decoding | guarantee", "was the score | proposed"."""
    if not run or auxiliary is None or found[run[0]].start < auxiliary.end:
        return run
    last = found[run[-1]]
    if auxiliary.word in BE:
        asks = found[found.index(auxiliary) - 1].word
        adjective = len(run) > 1 and asks in ("why", "when", "where") and last is found[-1]
        return run[:-1] if _is_verb(last) or last.word in PARTICIPLES or adjective else run
    run = _name_alone(found, run)
    last = found[run[-1]]
    before = [t for t in found if auxiliary.end <= t.start < found[run[0]].start]
    first_run = all(t.word in DETERMINERS | ADVERBS for t in before)
    plain = last.text.islower() and not is_name(last, first=False)
    spoken = bool(before) and not first_run and before[-1].word in FUNCTION - PREPOSITIONS - DETERMINERS
    return run[:-1] if plain and ((first_run and len(run) > 1) or spoken) else run


def _name_alone(found: Sequence[Token], run: list[int]) -> list[int]:
    """The name at the beginning of "Vanilla Ice sign contract", "Kidd start playing": first name and surname, or one
    before a form in -ing."""
    plain = 0
    while plain < len(run) and _plain(found[run[plain]]):
        plain += 1
    progressive = found[run[-1]].word.endswith("ing") and len(run) == plain + 2
    return run[:plain] if plain and len(run) > plain and (plain > 1 or progressive) else run
