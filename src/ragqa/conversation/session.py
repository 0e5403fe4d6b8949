"""A conversation going on: each question completed from the history, asked, and kept."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ragqa.conversation.exchange import Exchange, exchange
from ragqa.conversation.journal import Journal
from ragqa.conversation.relay import Relay
from ragqa.errors import UsageError, WritingError
from ragqa.pipeline import Pipeline
from ragqa.protocols import Heard
from ragqa.reports import Explanation, explanation
from ragqa.types import Answer, Rewritten


@dataclass(frozen=True, slots=True)
class Reply:
    """An exchange with the whole answer; ``pages`` are those of its hits, ``seconds`` how long each stage took."""

    exchange: Exchange
    answer: Answer
    pages: tuple[int | None, ...]
    why: Explanation | None = None


class Session:
    """Asks a pipeline one question after the other.

    The answer is made in a thread of its own: Ctrl-C ends the waiting at once, whatever native code is doing, and the
    answer that nobody waits for any more is written no further than its next token. Nothing of it enters the history.
    """

    def __init__(self, pipeline: Pipeline, journal: Journal | None = None, top_k: int | None = None) -> None:
        """Go on from the exchanges of ``journal``, if there is one.

        Raises:
            UsageError: the pipeline's reader chooses among options, which a conversation does not have.
        """
        self.journal, self.top_k = journal, top_k
        self.move(pipeline)
        self.exchanges: list[Exchange] = list(journal.earlier) if journal else []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="answer")

    def move(self, pipeline: Pipeline) -> None:
        """Ask another index from now on; the old pipeline must stay open until the session is closed.

        Raises:
            UsageError: its reader chooses among options.
        """
        if pipeline.chooses:
            raise UsageError(
                "the reader multiple_choice needs options", next_step='ragqa ask "…" --choices "a|b"'
            )
        self.pipeline = pipeline

    def ask(
        self,
        text: str,
        *,
        explain: bool = False,
        understood: Callable[[Rewritten], None] | None = None,
        heard: Heard | None = None,
    ) -> Reply:
        """Answer a question and keep the exchange.

        Args:
            understood: told how the question was understood, before it is answered.
            heard: gets the answer's text while it is written; see ``Pipeline.ask``.

        Raises:
            UsageError: the question is empty or too long.
            ConversationError: the file cannot be written; the answer is lost with it.
            KeyboardInterrupt: Ctrl-C; the conversation stands as before.
            WritingError: what was written will not do: no refusal, which could be judged and learned from; likewise.
        """
        relay = Relay()
        calls = relay.to(understood), relay.to(heard)
        reply = relay.wait(self._worker.submit(self._answer, text, tuple(self.exchanges), explain, *calls))
        if self.journal:
            self.journal.append(reply.exchange)
        self.exchanges.append(reply.exchange)
        return reply

    def explain(self, reply: Reply) -> Explanation:
        """How each stage came to an answer of this session."""
        return reply.why or self._worker.submit(self._explanation, reply.exchange, reply.answer).result()

    def close(self) -> None:
        self._worker.shutdown()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(
        self,
        text: str,
        earlier: Sequence[Exchange],
        explain: bool,
        understood: Callable[[Rewritten], None],
        heard: Heard,
    ) -> Reply:
        self.pipeline.timings.seconds.clear()
        rewritten = self.pipeline.rewrite([e.turn for e in earlier], text)
        understood(rewritten)
        answer = self.pipeline.ask(rewritten.text, self.top_k, heard=heard)
        if answer.failure:
            raise WritingError(answer.failure)
        pages = tuple(self.pipeline.page(h.passage.doc_id, h.passage.start) for h in answer.hits)
        kept = exchange(text.strip(), rewritten, answer)
        return Reply(kept, answer, pages, self._explanation(kept, answer) if explain else None)

    def _explanation(self, kept: Exchange, answer: Answer) -> Explanation:
        return explanation(self.pipeline, kept.standalone, answer)
