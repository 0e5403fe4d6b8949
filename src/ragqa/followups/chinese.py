"""Chinese follow-up questions: 它 and 这个模型 resolved, 那……呢 and 哪一年 completed.

Chinese needs no dictionary here: names in Latin letters and 《titles》 stand out, the topic of a question is what
stands before its predicate (or behind the verb of 谁提出了…), and what belongs to it stands behind 的.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragqa.analysis import HAN, terms
from ragqa.types import Rewritten, Turn

LOOKBACK = 3
"""Turns in which a topic is sought."""
_OWN_CHARACTERS = 6
"""Han characters of its own from which on a question without a name is taken to be complete."""

_LONGEST_PERSON = 12
"""Characters of an answer that can still be a name."""

_END = re.compile(r"[\s？?。！!]+$")
_MARKER = re.compile(r"^(?:(?:那么|那(?![个种些时是样里])|而且?|还有|另外|然后|好的|请问)[，,\s]*)+")
_NAME = re.compile(r"《[^》]+》|“[^”]+”|[A-Za-z][A-Za-z0-9_.+/-]*(?: \d[\d.]*)?")
_ASKS = re.compile(
    r"是谁|由谁|被谁|谁|哪[一]?[年天月日种个家里些篇]|哪|什么时候|何时|为什么|什么|多少|几|怎么样?|怎样|如何"
)
_PREDICATE = re.compile(
    r"是|(?<![具没所拥])有|由|(?<![作使应利])用|(?<![现存])在|(?<![机])会|可以|应该|应当|一般|通常|最[早难好]|第一次|起什么"
    r"|取[多自]|占|来自|随机|训练(?!集)|遮盖|怎么|怎样|如何|为什么|什么|谁|哪|多少|几|吗|呢|发布|提出|采用|包含|分[为成几]"
    r"|叫|表示|衡量|说明|考察|帮助|需要|至少|战胜|完成|中多少"
)
_OBJECT = re.compile(
    r"(?:提出了?|发布了?|描述了?|发现了?|完成了?|介绍了?|写了?|做了?|发明了?|什么叫|什么是|叫做?)(?P<object>.+)"
)
_PERSON = re.compile(r"他们|她们|他|她")
_THING = re.compile(r"它们|它|其(?![他实中次余它])")
_AMONG = re.compile(r"其中|这(?:里面|当中|之中)")
_WITH_NOUN = re.compile(rf"(?:这|那|该|此)(?:个|种|些|篇|家)?(?=[{HAN}])")
_ALONE = re.compile(r"(?:这|那)(?=是|占|叫|有|会|能|意味|表示|说明|需要|[？?]?$)")
_THUS = re.compile(r"这样|这么|那样")
_THEN = re.compile(r"那时候|那时|当时|这时")
_WHEN = re.compile(r"^(?:哪一年|哪年|哪一天|什么时候|何时|在哪里|在哪儿|哪里|为什么|多少|几个|怎么样?|谁)$")
_NO_SUBJECT = re.compile(
    r"^(?:是|由|被|有|在哪|需要|至少|会|能|可以|应该|应当|怎么|怎样|如何|为什么|多少|几|哪一?年|什么时候|何时|一般|通常|发布)"
)
_FUNCTION = frozenset("它他她们这那其该此个种些呢么而且还有的了样时候中请问另外然后好里面当之家篇")


@dataclass(frozen=True, slots=True)
class Parts:
    """A Chinese question: its topic, what of the topic is asked (behind 的), and its names."""

    text: str
    topic: str
    attribute: str
    names: tuple[str, ...]

    @property
    def subject(self) -> str:
        return f"{self.topic}的{self.attribute}" if self.attribute else self.topic


def rewrite(history: Sequence[Turn], question: str) -> Rewritten | None:
    """The question that stands alone; None where it does so already, or where nothing is known to complete it."""
    recent = history[-LOOKBACK:][::-1]
    people = {_person(turn) for turn in recent}
    last = next((p for p in (parse(t.standalone) for t in recent) if p.topic and p.topic not in people), None)
    if last is None:
        return None
    body = _MARKER.sub("", _END.sub("", question.strip()))
    if not body:
        return None
    if body.endswith("呢") or "呢，" in body or "呢," in body:
        return _contrasted(body, last)
    if _WHEN.match(body):
        return _asked_anew(body, last)
    resolved, reason = _resolved(body, last, history[-1])
    if reason:
        return Rewritten(f"{resolved}？", reason)
    announced = body != _END.sub("", question.strip()) and not _NO_SUBJECT.match(body)
    return Rewritten(f"{body}？", "stands alone") if announced else _leaning(body, last)


def content(question: str) -> set[str]:
    """Han characters and words of a question that no rewriting may lose."""
    body = _MARKER.sub("", question.strip())
    kept = "".join(" " if c in _FUNCTION else c for c in body)
    return {t for t in terms(kept) if len(t) == 1 or t.isascii()}


def parse(text: str) -> Parts:
    """The topic of a question and its names."""
    body = _END.sub("", text)
    names = tuple(_NAME.findall(body))
    subject = re.sub(r"这个.*$", "", _subject(body))
    owner, de, attribute = subject.rpartition("的")
    topic = owner if de and owner else subject
    return Parts(text, topic or (names[0] if names else ""), attribute if de and owner else "", names)


def _subject(body: str) -> str:
    """What stands before the predicate; for a question that begins with its question word, the object."""
    found = next((m for m in _PREDICATE.finditer(body) if m.start() > 0), None)
    starts = _ASKS.match(body)
    if starts or (found is None and _OBJECT.search(body)):
        if after := _OBJECT.search(body):
            return after["object"]
        rest = body[starts.end() :] if starts else body
        stop = _PREDICATE.search(rest)
        return rest[: stop.start()] if stop and stop.start() else rest
    return body[: found.start()] if found else body


def _contrasted(body: str, last: Parts) -> Rewritten:
    """ "X呢": X takes the place of its counterpart in the last question."""
    head, _, rest = body.replace(",", "，").partition("呢")
    rest = rest.strip("，")
    if rest:
        return Rewritten(f"{head}{rest}？", f"the topic {head!r} is named in front")
    clause = _END.sub("", last.text)
    resolved, reason = _resolved(head, last, None)
    if reason:
        return Rewritten(f"{resolved}呢？", reason)
    if (
        re.search(r"^如果|^要是|^假如|^当|大于|小于|等于|超过|低于|高于", head)
        or _PREDICATE.search(head[1:])
        or head.endswith(("时", "的时候"))
    ):
        return Rewritten(f"{last.subject}，{head}呢？", f"{head!r} is a condition of the last question")
    if head.endswith("的"):
        return Rewritten(_qualified(head, clause, last), f"{head!r} changes the last question")
    place = _place(head, last)
    if not place or place not in clause:
        return Rewritten(f"{last.topic}的{head}？", f"{head!r} belongs to {last.topic!r}")
    bare = re.sub(r"方面$", "", head)
    return Rewritten(f"{clause.replace(place, bare, 1)}？", f"{head!r} takes the place of {place!r}")


def _qualified(head: str, clause: str, last: Parts) -> str:
    """生成式的 after 抽取式阅读器: 生成式阅读器."""
    bare = head[:-1]
    shared = last.topic.find(bare[-1])
    if shared >= 0:
        return f"{clause.replace(last.topic, bare + last.topic[shared + 1 :], 1)}？"
    return f"{clause.replace(last.topic, bare + last.topic, 1)}？"


def _place(head: str, last: Parts) -> str:
    """The words of the last question whose place ``head`` takes; empty where there are none."""
    if _NAME.fullmatch(head):
        alike = [n for n in last.names if (len(n) <= 2) == (len(head) <= 2)]
        return (alike or [last.topic])[0]
    shared = {place: len(set(place) & set(head)) for place in (last.topic, last.attribute) if place}
    best = max(shared, key=lambda place: shared[place])
    if shared[best]:
        return best
    tail = _tail_noun(last)
    if tail and set(tail) & set(head):
        return tail
    if last.names and last.names[0] in last.topic:
        return last.attribute
    return last.topic


def _tail_noun(last: Parts) -> str:
    """优点 in 有什么优点: the noun behind the question word."""
    found = re.search(rf"什么([{HAN}]{{2,6}})$", _END.sub("", last.text))
    return found[1] if found else ""


def _asked_anew(body: str, last: Parts) -> Rewritten:
    """ "哪一年？": the new question word in place of the old one."""
    clause = _END.sub("", last.text)
    reason = f"{body!r} asks the last question anew"
    if body == "为什么":
        return Rewritten(f"为什么{clause}？", reason)
    old = _ASKS.search(clause)
    if old is None:
        return Rewritten(f"{clause}，{body}？", reason)
    keep = "是" if old.group().startswith("是") else ""
    return Rewritten(f"{clause[: old.start()]}{keep}{body}{clause[old.end() :]}？", reason)


def _resolved(body: str, last: Parts, turn: Turn | None) -> tuple[str, str]:
    """``body`` with what points back replaced, and what was replaced."""
    person = (_person(turn) if turn else "") or last.topic
    if _THUS.search(body):
        return f"{_END.sub('', last.text)}，{body}", "这样 is the last question"
    changes = (
        (_THEN, f"{last.topic}时"),
        (_AMONG, f"{last.topic}中"),
        (_PERSON, person),
        (_THING, last.topic),
        (_ALONE, _without_question(last)),
        (_WITH_NOUN, last.topic),
    )
    for pattern, name in changes:
        if found := pattern.search(body):
            resolved = f"{body[: found.start()]}{name}{body[found.end() :]}"
            beside = f"（{last.topic}）" if last.topic not in resolved else ""
            return resolved + beside, f"{found.group()!r} is {name!r}"
    return body, ""


def _person(turn: Turn) -> str:
    """Who the answer of a turn names; empty where nobody was asked for."""
    answer = (turn.answer or "").strip("。 ")
    return answer if "谁" in turn.standalone and len(answer) <= _LONGEST_PERSON else ""


def _without_question(last: Parts) -> str:
    return _ASKS.sub("", _END.sub("", last.text)) or last.topic


def _leaning(body: str, last: Parts) -> Rewritten | None:
    """A question without a subject or with few words of its own gets the topic in front."""
    if any(len(name) > 2 for name in _NAME.findall(body)):
        return None
    if _NO_SUBJECT.match(body):
        subject = last.subject if body.startswith("有") else last.topic
        return Rewritten(f"{subject}{body}？", f"it has no subject; the topic is {subject!r}")
    own = [c for c in _ASKS.sub("", body) if re.match(rf"[{HAN}]", c) and c not in _FUNCTION]
    if (
        len(own) >= _OWN_CHARACTERS
        or _OBJECT.match(body)
        or body.startswith(("什么叫", "什么是", "哪种", "哪个"))
    ):
        return None
    return Rewritten(f"{last.topic}的{body}？", f"it names nothing; the topic is {last.topic!r}")
