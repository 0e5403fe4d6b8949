"""What the history of a conversation offers to an English follow-up: its topic, people, things, the last question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragqa.followups.english_parse import Mention, Question, parse
from ragqa.followups.english_text import END
from ragqa.followups.english_words import AGENTS, BODIES, PREPOSITIONS, SPEAKERS
from ragqa.types import Turn

LOOKBACK = 3
"""Turns in which an antecedent is sought."""
_LONGEST_ANSWER = 8
"""Words of an answer that can still be the name of something."""
_NUMBER = re.compile(r"^[\W\d]|^(?:about|around|up to|over|more than|in|on|at)\b", re.IGNORECASE)
_FULL_NAME = re.compile(r"[A-Z][^\W\d_]+(?: [A-Z]\.| [A-Z][^\W\d_]+){1,2}")
_MONTH = re.compile(
    r"^(?:january|february|march|april|may|june|july|august|september|october|november|december)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Context:
    """What the history offers: the last question taken apart, its topic, and its answer if it is short."""

    last: Question
    topic: str
    thing: str
    person: str
    several: str
    also: str

    @property
    def names(self) -> list[str]:
        return [m.text for m in self.last.names]


def context_of(history: Sequence[Turn]) -> Context | None:
    """None where no question of the history has a word in it."""
    parsed = [(turn, q) for turn in reversed(history) if (q := parse(turn.standalone)).tokens]
    if not parsed:
        return None
    recent = parsed[:LOOKBACK]
    turn, last = recent[0]
    answer = _short(turn.answer)
    people = [a for t, q in recent if (a := _short(t.answer)) and _is_person(a, q)]
    topics = [t for _, question in recent if (t := _without_person(topic_of(question), people))]
    topic = topics[0] if topics else ""
    somebody = [a for t, q in recent if (a := _short(t.answer)) in people and not BODIES & _asked_for(q)]
    full_names = [m.text for _, q in parsed for m in q.names if _FULL_NAME.fullmatch(m.text)]
    asked_for = last.asks.lower().startswith(("which", "what")) and not _is_number(answer)
    named = bool(answer) and any(m.named for m in parse(answer).mentions)
    by_answer = asked_for and named and last.noun is not None and not _is_person(answer, last)
    subject = last.subject
    plural = subject.text if subject and is_plural(subject) else ""
    return Context(
        last,
        topic,
        thing=answer if by_answer else topic,
        person=next(iter([*somebody, *full_names]), topic),
        several=answer if answer in people else plural or (people[0] if people else topic),
        also=topic if by_answer and topic.lower() not in answer.lower() else "",
    )


def topic_of(question: Question) -> str:
    """What a question is about: its subject if that is a name, else the first name, else the subject."""
    subject = question.subject
    if subject is not None and (owned := complement(question, subject)):
        return _owner(owned.text)
    if subject is not None and subject.named:
        return _owner(subject.text)
    if subject is not None and question.verb is not None and question.names:
        name = question.names[0]
        between = question.text[subject.end : name.start].split()
        if len(between) == 1 and between[0] in PREPOSITIONS:  # "Who published passage reranking with BERT?"
            return question.text[subject.start : name.end]
    if question.names:
        return _owner(question.names[0].text)
    mentions = [
        *([subject] if subject else []),
        *question.mentions,
        *([question.noun] if question.noun else []),
    ]
    return next((_owner(m.text) for m in mentions if not m.text.isdigit() and not _vague(question, m)), "")


def _vague(question: Question, mention: Mention) -> bool:
    """Whether it is one of many: "are there any other albums"."""
    before = [t.word for t in question.tokens if t.end <= mention.start][-2:]
    return bool({"any", "some", "other", "another", "every", "there"} & set(before))


def _owner(text: str) -> str:
    """LoRA of "LoRA’s matrix B"."""
    return re.split(r"['’]s\s", text)[0]


def _without_person(topic: str, people: Sequence[str]) -> str:
    """A topic that is no person: "Anthropic publish contextual retrieval" is cut behind the verb."""
    for person in people:
        if topic.startswith(person):
            return " ".join(topic[len(person) :].split()[1:])
    return topic


def complement(question: Question, subject: Mention) -> Mention | None:
    """LoRA in "the learning rate of LoRA": what a definite subject belongs to."""
    before = [t for t in question.tokens if t.end <= subject.start]
    after = [t for t in question.tokens if t.start >= subject.end]
    if not before or before[-1].word != "the" or not after or after[0].word not in PREPOSITIONS:
        return None
    following = [m for m in question.mentions if m.start >= after[0].end]
    return following[0] if following and following[0].named else None


def _short(answer: str | None) -> str:
    text = END.sub("", (answer or "").strip()).rstrip(",;:")
    first = text.split()[0].lower() if text else ""
    return text if len(text.split()) <= _LONGEST_ANSWER and first not in SPEAKERS else ""


def _is_number(answer: str) -> bool:
    return not answer or bool(_NUMBER.search(answer) or _MONTH.search(answer))


def _is_person(answer: str, question: Question) -> bool:
    agent = (AGENTS | BODIES) & _asked_for(question)
    return not _is_number(answer) and bool(agent or "colleagues" in answer)


def _asked_for(question: Question) -> set[str]:
    """The words of the question phrase."""
    return set(question.asks.lower().split())


def is_plural(mention: Mention) -> bool:
    return mention.text[-1:] == "s" and mention.text[-2:] not in ("ss", "us", "is")
