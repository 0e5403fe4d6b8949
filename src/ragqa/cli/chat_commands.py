"""What can be typed in ``ragqa chat``: questions, and words behind a slash."""

import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from ragqa.cli.chat_lines import Lines
from ragqa.cli.printing import complain, hit_lines, paint, plain
from ragqa.cli.streaming import Screen
from ragqa.conversation.feedback import Verdict, feedback, keep
from ragqa.conversation.markdown import as_markdown
from ragqa.conversation.session import Reply, Session
from ragqa.errors import EndpointError, RagqaError, UsageError, WritingError
from ragqa.pipeline import Pipeline
from ragqa.types import Rewritten

COMMANDS = {
    "/sources": "the passages that the last answer was read in",
    "/why": "how the last question was understood, and each stage behind its answer",
    "/good": "the last answer is right: keep it as a labelled question",
    "/bad": "the last answer is wrong; /bad TEXT also says what would be right",
    "/save": "write the conversation as Markdown: /save FILE.md",
    "/index": "tell which index is asked; /index FOLDER asks another one",
    "/help": "this list",
    "/quit": "leave; Ctrl-D does it, too",
}
"""Command → what it does."""


class Chat:
    """One conversation at the terminal."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        index: Path,
        open_index: Callable[[Path], Pipeline],
        *,
        explain: bool = False,
    ) -> None:
        self.session, self.journal = session, session.journal
        self.folder, self.index, self.open_index, self.explains = folder, index, open_index, explain
        self.last: Reply | None = None
        self._streams = False

    def run(self, lines: Lines) -> None:
        """Answer lines until there are no more, or until /quit; where somebody looks on, while they are written."""
        self._streams = lines.shown
        if lines.shown and self.journal:
            earlier = len(self.session.exchanges)
            before = f", {earlier} earlier questions" if earlier else ""
            complain(f"conversation {self.journal.name!r}{before}; /help lists what can be typed")
        while (line := lines.read()) is not None:
            text = line.strip("\ufeff \t\r\n")
            if text in ("/quit", "/exit"):
                return
            if text and not lines.shown:
                print(paint(f"? {plain(text)}", "bold"))
            if text:
                self._one(text)
                print(flush=True)

    def _one(self, text: str) -> None:
        """A question or a command; Ctrl-C, or a server that does not answer, ends it and nothing else."""
        try:
            self._command(text) if text.startswith("/") else self._question(text)
        except KeyboardInterrupt:
            complain("stopped")
        except (UsageError, EndpointError, WritingError) as fault:
            complain(f"ragqa: {fault}")

    def _question(self, text: str) -> None:
        def understood(rewritten: Rewritten) -> None:
            if rewritten.text != text.strip():
                print(paint(f"→ {plain(rewritten.text, '')}", "dim"), flush=True)

        with Screen() as screen:
            heard = screen.hear if self._streams else None
            reply = self.session.ask(text, explain=self.explains, understood=understood, heard=heard)
            screen.settle(reply.answer, reply.pages[0] if reply.pages else None)
        self.last = reply
        if self.explains:
            print()
            self._why("")

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        known = {
            "/sources": self._sources,
            "/why": self._why,
            "/good": lambda rest: self._judge("good", rest),
            "/bad": lambda rest: self._judge("bad", rest),
            "/save": self._save,
            "/index": self._index,
            "/help": self._help,
        }
        if name not in known:
            near = get_close_matches(name, COMMANDS, n=1)
            raise UsageError(f"there is no command {name}", accepted=near[0] if near else ", ".join(COMMANDS))
        known[name](rest.strip())

    def _answered(self) -> Reply:
        if self.last is None:
            raise UsageError("nothing has been answered yet", accepted="a question first")
        return self.last

    def _sources(self, _: str) -> None:
        reply = self._answered()
        print("\n".join(hit_lines(reply.answer.hits, reply.pages)).rstrip() or "no passage was found")

    def _why(self, _: str) -> None:
        reply = self._answered()
        kept = reply.exchange
        lines = [
            f"asked        {kept.question}",
            f"understood   {kept.standalone}",
            f"because      {kept.reason}",
        ]
        print(plain("\n".join([*lines, "", *self.session.explain(reply).lines()])))

    def _judge(self, verdict: Verdict, correct: str) -> None:
        exchange = self.last.exchange if self.last else next(iter(self.session.exchanges[-1:]), None)
        if exchange is None:
            raise UsageError("nothing has been answered yet", accepted="a question first")
        record = feedback(verdict, exchange, self.journal.name if self.journal else "", correct)
        keep(self.folder, record)
        labelled = "as a labelled question" if record.example else "without a labelled question"
        complain(f"kept {labelled}; ragqa chat --examples FILE writes them all")

    def _save(self, place: str) -> None:
        if not self.session.exchanges:
            raise UsageError("nothing has been answered yet", accepted="a question first")
        name = self.journal.name if self.journal else "conversation"
        path = Path(place or f"{name}.md")
        if path.suffix.lower() not in (".md", ".markdown"):
            raise UsageError(f"/save {path}", accepted="a file that ends with .md")
        try:
            path.write_text(as_markdown(name, self.session.exchanges), encoding="utf-8")
        except OSError as fault:
            raise UsageError(f"{path} cannot be written: {fault.strerror}", accepted="another file") from None
        complain(f"written to {path}")

    def _index(self, place: str) -> None:
        if place:
            try:
                self.session.move(self.open_index(Path(place)))
            except RagqaError as fault:
                raise UsageError(str(fault)) from None
            self.index, self.last = Path(place), None
        counts = self.session.pipeline.retriever.catalog.counts
        made = self.session.pipeline.retriever.generation.manifest.created
        print(
            plain(f"{self.index}: {counts.documents:,} documents, {counts.passages:,} passages, made {made}")
        )

    def _help(self, _: str) -> None:
        width = max(map(len, COMMANDS))
        print("\n".join(f"{name:<{width}}  {what}" for name, what in COMMANDS.items()))
        print("Anything else is a question. Ctrl-C stops an answer.", file=sys.stdout)
