"""Pronouns, fragments and missing topics from the history, by rules, for English and Chinese."""

from collections.abc import Sequence

from ragqa.analysis import is_han, terms
from ragqa.followups import chinese, english
from ragqa.types import Rewritten, Turn


class RulesRewriter:
    """Needs no model. Where no rule applies, and for a first question, the question stays as it is."""

    def rewrite(self, history: Sequence[Turn], question: str) -> Rewritten:
        if not history:
            return Rewritten(question, "the first question")
        han = is_han(question)
        found = chinese.rewrite(history, question) if han else english.rewrite(history, question)
        if found is None:
            return Rewritten(question, "stands alone")
        content = chinese.content(question) if han else english.content(question)
        lost = content - set(terms(found.text))
        if lost:  # a rule that drops words is wrong here: the words stay, the topic is put beside them
            return Rewritten(f"{question} ({history[-1].standalone})", "unsure: the last question beside it")
        return found
