"""English follow-up questions: pronouns resolved, fragments completed, complete questions left alone.

What is done to a question, in this order; the first rule that applies decides:

1. "What about X, what does it do?" – the topic is named in front: it replaces the pronoun.
2. Pronouns and "that system": the antecedent is taken from the last turns.
3. A fragment ("And on TriviaQA?", "When?", "the stride?") takes the place of its counterpart in the last question.
4. A complete question that names nothing of its own ("Which domains were covered?") gets the topic in brackets.
"""

import re
from collections.abc import Sequence

from ragqa.analysis import terms
from ragqa.followups.english_context import Context, context_of
from ragqa.followups.english_fragments import complete, is_fragment
from ragqa.followups.english_parse import Question, parse, tokens
from ragqa.followups.english_references import resolve
from ragqa.followups.english_text import END, upper, without_article
from ragqa.followups.english_words import DEMONSTRATIVE, PRONOUNS, SPEAKERS
from ragqa.types import Rewritten, Turn

_BARE_TERMS = 0
"""Content words up to which a complete question without a name is taken to lean on the last one …"""
_DEFINITE_TERMS = 4
"""… and where it says "the method" of something that it has not introduced."""
_MARKER = re.compile(r"^(?:(?:and|but|or|so|okay|ok|also|then|now|well|yes|no)\b[\s,]*)+", re.IGNORECASE)
_ABOUT = re.compile(r"^(?:what|how) (?:about|of)\s+", re.IGNORECASE)


def rewrite(history: Sequence[Turn], question: str) -> Rewritten | None:
    """The question that stands alone; None where it does so already, or where nothing is known to complete it."""
    context = context_of(history)
    if context is None:
        return None
    body = _MARKER.sub("", question.strip()) or question.strip()
    marked = body != question.strip()
    topic, clause = _announced(body)
    if topic and clause:
        return _about(topic, clause, context)
    body = topic or body
    resolved, reason = resolve(body, context)
    if is_fragment(parse(body)) or topic:
        return complete(body, resolved, reason, context)
    if reason:
        return Rewritten(resolved, reason)
    return _leaning(body, marked, context)


def content(question: str) -> set[str]:
    """The terms of a question that no rewriting may lose: all but pronouns and words that only join."""
    dropped = (
        PRONOUNS | DEMONSTRATIVE | {"one", "about", "then", "so", "okay", "ok", "well", "also", "now", "yes"}
    )
    body = _ABOUT.sub("", _MARKER.sub("", question.strip()) or question)
    return set(terms(" ".join(t.text for t in tokens(body) if t.text.lower() not in dropped)))


def _announced(body: str) -> tuple[str, str]:
    """("X", "clause") of "what about X, clause", ("X", "") without a clause, ("", "") otherwise."""
    about = _ABOUT.match(body)
    rest = body[about.end() :] if about else body
    head, comma, clause = rest.partition(",")
    if not comma:
        head, comma, clause = rest.partition("? ")
    plain = not parse(head).auxiliary and not parse(head).asks
    asks = parse(clause.strip()).asks or (parse(clause.strip()).auxiliary is not None)
    if comma and plain and asks and len(head.split()) <= 6:
        return head.strip(), clause.strip()
    return (END.sub("", rest), "") if about else ("", "")


def _about(topic: str, clause: str, context: Context) -> Rewritten:
    """A topic named in front of its question."""
    head, _ = resolve(topic, context)
    name = without_article(head)
    own = Context(context.last, name, name, name, name, "")
    resolved, reason = resolve(clause, own)
    if reason:
        return Rewritten(resolved, f"the new topic: {reason}")
    return Rewritten(f"{upper(head)}: {clause}", f"the topic {head!r} is named in front")


def _leaning(body: str, marked: bool, context: Context) -> Rewritten | None:
    """A complete question that names nothing and has few words of its own: the topic behind it, in brackets."""
    question = parse(body)
    alone = Rewritten(upper(body), "stands alone") if marked else None
    if question.names or (question.noun and question.noun.named) or not context.topic:
        return alone
    if any(t.word in SPEAKERS for t in question.tokens):
        return alone
    own = [*question.mentions, *([question.noun] if question.noun else [])]
    count = sum(len(m.text.split()) for m in own)
    if count > (_DEFINITE_TERMS if _definite(question) else _BARE_TERMS):
        return alone
    return Rewritten(
        f"{END.sub('', upper(body))} ({context.topic})?",
        f"it names nothing; the topic is {context.topic!r}",
    )


def _definite(question: Question) -> bool:
    """Whether it speaks of "the" something, outside the question phrase."""
    return any(t.word == "the" for t in question.tokens if t.start >= question.asks_end)
