"""English follow-up questions: pronouns resolved, fragments completed, complete questions left alone.

What is done to a question, in this order; the first rule that applies decides:

1. "What about X, what does it do?" – the topic is named in front: it replaces the pronoun.
2. Pronouns and "that system": the antecedent is taken from the last turns.
3. A fragment ("And on TriviaQA?", "When?", "the stride?") takes the place of its counterpart in the last question.
4. A complete question that names nothing of its own ("Which domains were covered?") gets the topic in brackets.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ragqa.analysis import terms
from ragqa.followups.english_parse import Mention, Question, Token, is_name, parse, tokens
from ragqa.followups.english_words import (
    ADVERBS,
    AGENTS,
    AUXILIARY,
    BE,
    BODIES,
    DEMONSTRATIVE,
    DETERMINERS,
    FUNCTION,
    NEUTER,
    OCCASIONS,
    PARTICIPLES,
    PARTICLES,
    PAST,
    PERSONAL,
    PLURAL,
    POSSESSIVE,
    PREPOSITIONS,
    PRONOUNS,
    SPEAKERS,
    WH,
)
from ragqa.types import Rewritten, Turn

LOOKBACK = 3
"""Turns in which an antecedent is sought."""
_LONGEST_ANSWER = 8
"""Words of an answer that can still be the name of something."""
_ALIKE = 0.6
"""Similarity from which on two names are counterparts ("float16", "bfloat16")."""
_BARE_TERMS = 0
"""Content words up to which a complete question without a name is taken to lean on the last one …"""
_DEFINITE_TERMS = 4
"""… and where it says "the method" of something that it has not introduced."""

_MARKER = re.compile(r"^(?:(?:and|but|or|so|okay|ok|also|then|now|well|yes|no)\b[\s,]*)+", re.IGNORECASE)
_ABOUT = re.compile(r"^(?:what|how) (?:about|of)\s+", re.IGNORECASE)
_END = re.compile(r"[\s?.!]+$")
_PLEONASTIC = re.compile(
    r"\bit\s+(?:takes?|took|is|was|be|possible|worth|necessary|better|true|enough|rain|seem|make sense|matter|mean)\b"
    r"|\b(?:is|was|does|would)\s+it\s+(?:take|true|possible|worth|necessary|better|enough|safe|make sense|help|rain)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"^[\W\d]|^(?:about|around|up to|over|more than|in|on|at)\b", re.IGNORECASE)
_FULL_NAME = re.compile(r"[A-Z][^\W\d_]+(?: [A-Z]\.| [A-Z][^\W\d_]+){1,2}")
_MONTH = re.compile(r"^(?:january|february|march|april|may|june|july|august|september|october|november|december)\b", re.I)


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


def rewrite(history: Sequence[Turn], question: str) -> Rewritten | None:
    """The question that stands alone; None where it does so already, or where nothing is known to complete it."""
    context = _context(history)
    if context is None:
        return None
    body = _MARKER.sub("", question.strip()) or question.strip()
    marked = body != question.strip()
    topic, clause = _announced(body)
    if topic and clause:
        return _about(topic, clause, context)
    body = topic or body
    resolved, reason = _resolved(body, context)
    if _is_fragment(parse(body)) or topic:
        return _completed(body, resolved, reason, context)
    if reason:
        return Rewritten(resolved, reason)
    return _leaning(body, marked, context)


def content(question: str) -> set[str]:
    """The terms of a question that no rewriting may lose: all but pronouns and words that only join."""
    dropped = PRONOUNS | DEMONSTRATIVE | {"one", "about", "then", "so", "okay", "ok", "well", "also", "now", "yes"}
    body = _ABOUT.sub("", _MARKER.sub("", question.strip()) or question)
    return set(terms(" ".join(t.text for t in tokens(body) if t.text.lower() not in dropped)))


def _context(history: Sequence[Turn]) -> Context | None:
    parsed = [(turn, parse(turn.standalone)) for turn in history][::-1]
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
    plural = subject.text if subject and _is_plural(subject) else ""
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
    if subject is not None and (owned := _complement(question, subject)):
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
    mentions = [*([subject] if subject else []), *question.mentions, *([question.noun] if question.noun else [])]
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


def _complement(question: Question, subject: Mention) -> Mention | None:
    """LoRA in "the learning rate of LoRA": what a definite subject belongs to."""
    before = [t for t in question.tokens if t.end <= subject.start]
    after = [t for t in question.tokens if t.start >= subject.end]
    if not before or before[-1].word != "the" or not after or after[0].word not in PREPOSITIONS:
        return None
    following = [m for m in question.mentions if m.start >= after[0].end]
    return following[0] if following and following[0].named else None


def _short(answer: str | None) -> str:
    text = _END.sub("", (answer or "").strip()).rstrip(",;:")
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


def _is_plural(mention: Mention) -> bool:
    return mention.text[-1:] == "s" and mention.text[-2:] not in ("ss", "us", "is")


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
    return (_END.sub("", rest), "") if about else ("", "")


def _about(topic: str, clause: str, context: Context) -> Rewritten:
    """A topic named in front of its question."""
    head, _ = _resolved(topic, context)
    name = _without_article(head)
    own = Context(context.last, name, name, name, name, "")
    resolved, reason = _resolved(clause, own)
    if reason:
        return Rewritten(resolved, f"the new topic: {reason}")
    return Rewritten(f"{_upper(head)}: {clause}", f"the topic {head!r} is named in front")


def _resolved(body: str, context: Context) -> tuple[str, str]:
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
        resolved = f"{_END.sub('', resolved)} ({beside})?"
    return _upper(resolved), "; ".join(said)


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
    for divider in range(place):
        if found[divider].word in ("if", "when", "and", "because", "while", ",") and divider:
            if any(is_name(t, first=n == 0) for n, t in enumerate(found[:divider])):
                return True
    return False


def _antecedent(word: str, context: Context) -> str:
    if word in PERSONAL:
        return context.person
    if word in PLURAL:
        return context.several
    return context.thing


def _ends_phrase(found: Sequence[Token], place: int) -> bool:
    return place + 1 == len(found) or found[place + 1].word in FUNCTION


def _demonstrated(found: Sequence[Token], place: int, context: Context) -> tuple[int, str] | None:
    """"that" alone is the last question's matter; "that system" is the system's name."""
    token, after = found[place], found[place + 1 : place + 2]
    ends = not after or after[0].text == "," or after[0].word in AUXILIARY | PREPOSITIONS | ADVERBS | PARTICLES
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
        if _stem(words[-1]) == _stem(noun.text):
            return noun.end, " ".join(["the", *words[:-1], noun.text])
    if not context.thing or _stem(noun.text) in OCCASIONS:
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
    tail = _END.sub("", question.text[question.asks_end :]).strip()
    helper = next((t for t in tokens(tail) if t.word in AUXILIARY), None)
    if helper is not None:
        tail = f"{tail[: helper.start]}{tail[helper.end :].strip()}"
    return " ".join(filter(None, [f"the {question.noun.text}" if question.noun else "", tail]))


def _is_fragment(question: Question) -> bool:
    """No clause: no auxiliary, no verb, a question phrase of at most a few words."""
    if question.auxiliary is not None or not question.tokens:
        return False
    rest = [t for t in question.tokens if t.start >= question.asks_end]
    if question.asks:
        asked = question.asks.split()
        return not rest and len(asked) <= (4 if asked[0].lower() in PREPOSITIONS | {"how"} else 3)
    return len(question.tokens) <= 8


def _completed(body: str, resolved: str, reason: str, context: Context) -> Rewritten | None:
    """A fragment, put where it belongs in the last question."""
    text = _END.sub("", resolved)
    fragment = parse(text)
    words = [t.word for t in fragment.tokens]
    if not words:
        return None
    if fragment.asks:
        return Rewritten(_asked_anew(fragment, context), f"{text!r} asks the last question anew")
    if reason:
        return Rewritten(_attribute(text, context), f"{reason}; the rest is the last question’s")
    if words[0] == "to" and context.last.asks:
        return Rewritten(f"{context.last.asks} {_lower(text)}?", f"{text!r} is for {context.last.asks!r}")
    if words[0] in PREPOSITIONS:
        return Rewritten(_adjunct(text, fragment, context), f"{text!r} changes the last question")
    return Rewritten(_counterpart(text, fragment, context), f"{text!r} changes the last question")


def _asked_anew(fragment: Question, context: Context) -> str:
    """"When?" after "Who proposed LoRA?": the new question phrase in front of the old clause."""
    last, asks = context.last, _upper(fragment.asks)
    first = asks.split()[0].lower()
    clause = _END.sub("", last.text)
    if first == "why" or not last.asks:
        return f"{asks}: {_lower(clause)}?"
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
    return f"{asks}: {_lower(clause)}{beside}?"


def _passive(question: Question, clause: str) -> str:
    """"was LoRA proposed" for "Who proposed LoRA?"; empty where the verb is not known to be a past form."""
    verb = question.verb
    assert verb is not None
    participle = PAST.get(verb.word, verb.word if verb.word.endswith("ed") else "")
    subject = clause[verb.end :].strip()
    if not participle or not subject or tokens(subject)[0].word in PREPOSITIONS | ADVERBS | {"up"}:
        return ""
    cut = next((t.start for t in tokens(subject) if t.word in PREPOSITIONS - {"of"}), len(subject))
    be = "were" if _is_plural(Mention(subject[:cut].strip(), 0, 0, False)) and subject.islower() else "was"
    return " ".join(f"{be} {subject[:cut]} {participle} {subject[cut:]}".split())


def _attribute(text: str, context: Context) -> str:
    """"LoRA’s rank" as a question, with the names of the last question that it does not mention."""
    missing = [n for n in context.names if n.lower() not in text.lower()]
    return f"What is {_lower(text)}{' (' + ', '.join(missing) + ')' if missing else ''}?"


def _adjunct(text: str, fragment: Question, context: Context) -> str:
    """"on TriviaQA": in place of the last question's phrase with the same preposition, or behind it."""
    clause = _END.sub("", context.last.text)
    preposition = fragment.tokens[0].word
    phrases = _phrases(context.last)
    named = bool(fragment.names)
    place = next((m for p, m in phrases if p.word == preposition and m.named == named), None)
    if place is None and preposition not in {"for", "of", "by"}:
        place = next((m for p, m in reversed(phrases) if m.named == named and _digits(m.text) == _digits(text)), None)
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
    clause = _END.sub("", last.text)
    bare = _without_article(text)
    named = bool(fragment.names)
    if last.noun and last.verb and not last.names and (named or re.match(r"an?\s", text)):
        return f"{last.asks} {last.verb.text} {text}?"  # "Which exit code means …" – "And an empty question?"
    if adjective := _predicate(text, last):
        return f"{clause[: adjective.start]}{text}?"
    place = _place(bare, named, text != bare, last)
    if place is None:
        names = context.names or ([context.topic] if context.topic else [])
        return f"What is {_lower(text)} of {', '.join(names)}?" if names else f"{_upper(text)}: {_lower(clause)}?"
    return f"{clause[: place.start]}{bare}{clause[place.end :]}?"


def _predicate(text: str, last: Question) -> Token | None:
    """The adjective at the end of "When is an explanation faithful?", for one word without an article."""
    end = last.tokens[-1]
    if last.auxiliary is None or last.auxiliary.word not in BE or not text.islower() or " " in text or text[-1] == "s":
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
        if subject is not None and (owned := _complement(last, subject)):
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
    words = {_stem(w) for w in re.split(r"[\s-]+", one)} & {_stem(w) for w in re.split(r"[\s-]+", other)}
    return 1.0 if words else SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _leaning(body: str, marked: bool, context: Context) -> Rewritten | None:
    """A complete question that names nothing and has few words of its own: the topic behind it, in brackets."""
    question = parse(body)
    alone = Rewritten(_upper(body), "stands alone") if marked else None
    if question.names or (question.noun and question.noun.named) or not context.topic:
        return alone
    if any(t.word in SPEAKERS for t in question.tokens):
        return alone
    count = sum(len(m.text.split()) for m in question.mentions)
    if count > (_DEFINITE_TERMS if _definite(question) else _BARE_TERMS):
        return alone
    return Rewritten(f"{_END.sub('', _upper(body))} ({context.topic})?", f"it names nothing; the topic is {context.topic!r}")


def _definite(question: Question) -> bool:
    """Whether it speaks of "the" something, outside the question phrase."""
    return any(t.word == "the" for t in question.tokens if t.start >= question.asks_end)


def _without_article(text: str) -> str:
    return re.sub(r"^(?:the|a|an)\s+", "", text, flags=re.IGNORECASE)


def _stem(word: str) -> str:
    return re.sub(r"(?:['’]s|e?s|ing|ed)$", "", word.lower())


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    """In lower case at the beginning, unless a name begins there."""
    first = tokens(text)[:1]
    keep = not first or is_name(first[0], first=True) or first[0].text.isupper()
    return text if keep else text[:1].lower() + text[1:]

