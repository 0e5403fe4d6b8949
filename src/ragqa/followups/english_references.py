"""English words that point back: pronouns, "that system", "the paired one"."""

import re
from collections.abc import Sequence

from ragqa.followups.english_context import Context
from ragqa.followups.english_parse import Question, Token, is_name, tokens
from ragqa.followups.english_text import END, stem, upper
from ragqa.followups.english_words import (
    ADVERBS,
    AUXILIARY,
    DEMONSTRATIVE,
    FUNCTION,
    NEUTER,
    OCCASIONS,
    PARTICLES,
    PAST,
    PERSONAL,
    PLURAL,
    POSSESSIVE,
    PREPOSITIONS,
    PRONOUNS,
    WH,
)

_PLEONASTIC = re.compile(
    r"\bit\s+(?:takes?|took|is|was|be|possible|worth|necessary|better|true|enough|rain|seem|make sense|matter|mean)\b"
    r"|\b(?:is|was|does|would)\s+it\s+(?:take|true|possible|worth|necessary|better|enough|safe|make sense|help|rain)\b",
    re.IGNORECASE,
)


def resolve(body: str, context: Context) -> tuple[str, str]:
    """``body`` with what points back replaced, and what was replaced."""
    found = tokens(body)
    pieces: list[str] = []
    said: list[str] = []
    done = 0
    for place, token in enumerate(found):
        change = _referent(body, found, place, context)
        if change is None or token.start < done:
            continue
        end, text = change
        pieces += [body[done : token.start], text]
        said.append(f"{body[token.start : end]!r} is {text!r}")
        done = end
    if not said:
        return body, ""
    resolved = "".join([*pieces, body[done:]])
    beside = context.also if context.thing in resolved else ""
    if context.person != context.topic and (context.person in resolved or context.several in resolved):
        beside = beside or context.topic
    if beside and beside.lower() not in resolved.lower():
        resolved = f"{END.sub('', resolved)} ({beside})?"
    return upper(resolved), "; ".join(said)


def _referent(body: str, found: Sequence[Token], place: int, context: Context) -> tuple[int, str] | None:
    """Where the expression that begins at a token ends, and what it stands for."""
    token = found[place]
    word = token.text.lower()
    if word in PRONOUNS and not _inside(found, place):
        if word in NEUTER and _PLEONASTIC.search(body[max(0, token.start - 10) : token.end + 12]):
            return None
        name = _antecedent(word, context)
        if not name:
            return None
        possessive = word in POSSESSIVE and not (word == "her" and _ends_phrase(found, place))
        return token.end, f"{name}’s" if possessive else name
    if word in DEMONSTRATIVE:
        return _demonstrated(found, place, context)
    if word == "one" and place and found[place - 1].word == "which" and context.last.noun:
        return token.end, context.last.noun.text
    if word in ("one", "ones") and place and found[place - 1].word not in FUNCTION and context.topic:
        return token.end, context.topic.split()[-1] if " " in context.topic else context.topic
    if word == "there" and place == len(found) - 1 and context.topic:
        return token.end, f"in {context.topic}"
    return None


def _inside(found: Sequence[Token], place: int) -> bool:
    """Whether the pronoun has its antecedent in an earlier clause of the question itself."""
    dividers = [n for n in range(1, place) if found[n].word in ("if", "when", "and", "because", "while", ",")]
    before = found[: dividers[-1]] if dividers else ()
    return any(is_name(t, first=n == 0) for n, t in enumerate(before))


def _antecedent(word: str, context: Context) -> str:
    if word in PERSONAL:
        return context.person
    if word in PLURAL:
        return context.several
    return context.thing


def _ends_phrase(found: Sequence[Token], place: int) -> bool:
    return place + 1 == len(found) or found[place + 1].word in FUNCTION


def _demonstrated(found: Sequence[Token], place: int, context: Context) -> tuple[int, str] | None:
    """ "that" alone is the last question's matter; "that system" is the system's name."""
    token, after = found[place], found[place + 1 : place + 2]
    ends = (
        not after or after[0].text == "," or after[0].word in AUXILIARY | PREPOSITIONS | ADVERBS | PARTICLES
    )
    before = found[place - 1].word if place else ""
    if ends:
        return _matter(found, place, context)
    if after[0].word in FUNCTION or is_name(after[0], first=False):
        return None  # a conjunction: "mean that the documents …"
    if place and before not in AUXILIARY | PREPOSITIONS | WH and token.word == "that":
        if before in FUNCTION or not _is_base_verb(found, place):
            return None
        return _matter(found, place, context)
    if token.word == "that" and after[0].word in PAST:
        return _matter(found, place, context)
    return _noun_demonstrated(found, place, context)


def _is_base_verb(found: Sequence[Token], place: int) -> bool:
    """Whether the word in front is the verb whose object is meant: "did they publish that"."""
    return any(t.word in AUXILIARY for t in found[: place - 1])


def _noun_demonstrated(found: Sequence[Token], place: int, context: Context) -> tuple[int, str] | None:
    noun = found[place + 1]
    for mention in [*context.last.mentions, *([context.last.noun] if context.last.noun else [])]:
        words = mention.text.split()
        if stem(words[-1]) == stem(noun.text):
            return noun.end, " ".join(["the", *words[:-1], noun.text])
    if not context.thing or stem(noun.text) in OCCASIONS:
        return None
    return found[place].end, f"the {context.thing}" if context.thing[0].isalnum() else context.thing


def _matter(found: Sequence[Token], place: int, context: Context) -> tuple[int, str] | None:
    """A demonstrative that stands alone: the topic, with the words of the last question behind it."""
    if not context.thing:
        return None
    named = any(is_name(t, first=n == 0) for n, t in enumerate(found))
    rest = "" if named else _matter_words(context.last)
    return found[place].end, f"{found[place].text} ({rest})" if rest else context.thing


def _matter_words(question: Question) -> str:
    """The last question as a phrase: its noun and the clause, without question word and auxiliary."""
    tail = END.sub("", question.text[question.asks_end :]).strip()
    helper = next((t for t in tokens(tail) if t.word in AUXILIARY), None)
    if helper is not None:
        tail = f"{tail[: helper.start]}{tail[helper.end :].strip()}"
    return " ".join(filter(None, [f"the {question.noun.text}" if question.noun else "", tail]))
