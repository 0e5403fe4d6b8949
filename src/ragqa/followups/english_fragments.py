"""English questions that are no sentence: each takes the place of its counterpart in the last question."""

import re
from difflib import SequenceMatcher

from ragqa.followups.english_context import Context, complement, is_plural
from ragqa.followups.english_parse import Mention, Question, Token, parse, tokens
from ragqa.followups.english_text import END, lower, stem, upper, without_article
from ragqa.followups.english_words import ADVERBS, BE, DETERMINERS, FUNCTION, PARTICIPLES, PAST, PREPOSITIONS
from ragqa.types import Rewritten

_ALIKE = 0.6
"""Similarity from which on two names are counterparts ("float16", "bfloat16")."""


def is_fragment(question: Question) -> bool:
    """No clause: no auxiliary, no verb, a question phrase of at most a few words."""
    if question.auxiliary is not None or not question.tokens:
        return False
    rest = [t for t in question.tokens if t.start >= question.asks_end]
    if question.asks:
        asked = question.asks.split()
        return not rest and len(asked) <= (4 if asked[0].lower() in PREPOSITIONS | {"how"} else 3)
    return len(question.tokens) <= 8


def complete(body: str, resolved: str, reason: str, context: Context) -> Rewritten | None:
    """A fragment, put where it belongs in the last question."""
    text = END.sub("", resolved)
    fragment = parse(text)
    words = [t.word for t in fragment.tokens]
    if not words:
        return None
    if fragment.asks:
        return Rewritten(_asked_anew(fragment, context), f"{text!r} asks the last question anew")
    if reason:
        return Rewritten(_attribute(text, context), f"{reason}; the rest is the last question’s")
    if words[0] == "to" and context.last.asks:
        return Rewritten(f"{context.last.asks} {lower(text)}?", f"{text!r} is for {context.last.asks!r}")
    if words[0] in PREPOSITIONS:
        return Rewritten(_adjunct(text, fragment, context), f"{text!r} changes the last question")
    return Rewritten(_counterpart(text, fragment, context), f"{text!r} changes the last question")


def _asked_anew(fragment: Question, context: Context) -> str:
    """ "When?" after "Who proposed LoRA?": the new question phrase in front of the old clause."""
    last, asks = context.last, upper(fragment.asks)
    first = asks.split()[0].lower()
    clause = END.sub("", last.text)
    if first == "why" or not last.asks:
        return f"{asks}: {lower(clause)}?"
    if fragment.noun and first == "how" and context.topic:
        return f"{asks} does {context.topic} have?" if "many" in asks else f"{asks} ({context.topic})?"
    beside = f" ({context.thing})" if context.thing != context.topic else ""
    if last.auxiliary is not None:
        tail = clause[last.auxiliary.start :] + beside
        after = [t for t in last.tokens if t.start >= last.auxiliary.end][:1]
        if last.noun and after and (after[0].word in PARTICIPLES or after[0].word.endswith("ed")):
            tail = f"{last.auxiliary.text} the {last.noun.text}{clause[last.auxiliary.end :]}{beside}"
        return f"{asks} {tail}?"
    if last.verb is not None and (passive := _passive(last, clause)):
        return f"{asks} {passive}{beside}?"
    return f"{asks}: {lower(clause)}{beside}?"


def _passive(question: Question, clause: str) -> str:
    """ "was LoRA proposed" for "Who proposed LoRA?"; empty where the verb is not known to be a past form."""
    verb = question.verb
    assert verb is not None
    participle = PAST.get(verb.word, verb.word if verb.word.endswith("ed") else "")
    subject = clause[verb.end :].strip()
    if not participle or not subject or tokens(subject)[0].word in PREPOSITIONS | ADVERBS | {"up"}:
        return ""
    cut = next((t.start for t in tokens(subject) if t.word in PREPOSITIONS - {"of"}), len(subject))
    be = "were" if is_plural(Mention(subject[:cut].strip(), 0, 0, False)) and subject.islower() else "was"
    return " ".join(f"{be} {subject[:cut]} {participle} {subject[cut:]}".split())


def _attribute(text: str, context: Context) -> str:
    """ "LoRA’s rank" as a question, with the names of the last question that it does not mention."""
    missing = [n for n in context.names if n.lower() not in text.lower()]
    return f"What is {lower(text)}{' (' + ', '.join(missing) + ')' if missing else ''}?"


def _adjunct(text: str, fragment: Question, context: Context) -> str:
    """ "on TriviaQA": in place of the last question's phrase with the same preposition, or behind it."""
    clause = END.sub("", context.last.text)
    preposition = fragment.tokens[0].word
    phrases = _phrases(context.last)
    named = bool(fragment.names)
    place = next((m for p, m in phrases if p.word == preposition and m.named == named), None)
    if place is None and preposition not in {"for", "of", "by"}:
        place = next(
            (m for p, m in reversed(phrases) if m.named == named and _digits(m.text) == _digits(text)), None
        )
        if place is not None:
            start = next(p.start for p, m in phrases if m is place)
            return f"{clause[:start]}{text}{clause[place.end :]}?"
    if place is not None:
        head = text[fragment.tokens[0].end :].strip()
        return f"{clause[: place.start]}{head}{clause[place.end :]}?"
    if preposition in {"for", "of"} and fragment.mentions and not named:
        return _counterpart(text[fragment.tokens[0].end :].strip(), fragment, context)
    return f"{clause} {text}?"


def _digits(text: str) -> bool:
    return any(c.isdigit() for c in text)


def _phrases(question: Question) -> list[tuple[Token, Mention]]:
    """Each preposition with the mention behind it."""
    found = []
    for mention in question.mentions:
        before = [t for t in question.tokens if t.end <= mention.start and t.word not in DETERMINERS]
        if before and before[-1].word in PREPOSITIONS:
            found.append((before[-1], mention))
    return found


def _counterpart(text: str, fragment: Question, context: Context) -> str:
    """A noun phrase in place of the one in the last question that it corresponds to."""
    last = context.last
    clause = END.sub("", last.text)
    bare = without_article(text)
    named = bool(fragment.names)
    if last.noun and last.verb and not last.names and (named or re.match(r"an?\s", text)):
        return f"{last.asks} {last.verb.text} {text}?"  # "Which exit code means …" – "And an empty question?"
    if adjective := _predicate(text, last):
        return f"{clause[: adjective.start]}{text}?"
    place = _place(bare, named, text != bare, last)
    if place is None:
        names = context.names or ([context.topic] if context.topic else [])
        return (
            f"What is {lower(text)} of {', '.join(names)}?" if names else f"{upper(text)}: {lower(clause)}?"
        )
    return f"{clause[: place.start]}{bare}{clause[place.end :]}?"


def _predicate(text: str, last: Question) -> Token | None:
    """The adjective at the end of "When is an explanation faithful?", for one word without an article."""
    end = last.tokens[-1]
    if (
        last.auxiliary is None
        or last.auxiliary.word not in BE
        or not text.islower()
        or " " in text
        or text[-1] == "s"
    ):
        return None
    subject = last.subject
    behind = subject is not None and subject.end < end.start and end.text.islower()
    return end if behind and end.word not in FUNCTION and not last.names else None


def _place(text: str, named: bool, definite: bool, last: Question) -> Mention | None:
    """The mention of the last question whose place ``text`` takes."""
    choices = [m for m in [*last.mentions, *([last.noun] if last.noun else [])] if m.named or not named]
    likeness = [(_likeness(text, m.text), -n) for n, m in enumerate(choices)]
    if likeness and max(likeness)[0] >= _ALIKE:
        return choices[-max(likeness)[1]]
    if named:
        subject = last.subject
        if subject is not None and (owned := complement(last, subject)):
            return owned
        return subject or (last.names[0] if last.names else None)
    which = last.asks.lower().split()[:1] in (["which"], ["what"])
    if which and last.noun:
        return last.noun
    if definite or last.names:
        return None
    return last.subject


def _likeness(one: str, other: str) -> float:
    """How much two phrases look like counterparts: a shared word, or most letters in the same order."""
    words = {stem(w) for w in re.split(r"[\s-]+", one)} & {stem(w) for w in re.split(r"[\s-]+", other)}
    return 1.0 if words else SequenceMatcher(None, one.lower(), other.lower()).ratio()
