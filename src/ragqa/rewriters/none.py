"""Every question as it was asked."""

from collections.abc import Sequence

from ragqa.types import Rewritten, Turn


class NoneRewriter:
    """For those who always ask complete questions."""

    def rewrite(self, history: Sequence[Turn], question: str) -> Rewritten:
        return Rewritten(question, "as asked")
