"""Asking an index: the stages meet only here.

query ──encode──▶ dense hits ─┐
      ──terms───▶ BM25 hits  ─┴─fuse──▶ hits ──rerank──▶ hits ──read──▶ answer ──▶ citation with its page
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ragqa import plugins
from ragqa.catalog import Catalog
from ragqa.config import Config
from ragqa.decoding import clean
from ragqa.embedding import DENSE, LEXICAL
from ragqa.errors import UsageError
from ragqa.generations import Generation, open_generation, rebuild_command
from ragqa.hybrid import HybridSearch, RankedRow, Timings
from ragqa.indexing import CATALOG, config_of, fingerprint
from ragqa.manifest import check_fingerprint
from ragqa.protocols import (
    Encoder,
    Heard,
    Reader,
    Reranker,
    Rewriter,
    StreamingReader,
    TermIndex,
    VectorStore,
)
from ragqa.types import Answer, Hit, Query, Rewritten, Turn, page_of

MAX_QUERY_CHARACTERS = 10_000


def check_query(text: str) -> str:
    """The query without surrounding white space.

    Raises:
        UsageError: it is empty, or longer than any question.
    """
    # A question from a terminal of another encoding carries lone surrogates, one from a file a byte order mark.
    stripped = clean(text).lstrip("\ufeff").strip()
    if not stripped:
        raise UsageError("the question is empty", accepted="a question of 1 to 10,000 characters")
    if len(stripped) > MAX_QUERY_CHARACTERS:
        raise UsageError(
            f"the question has {len(stripped):,} characters",
            accepted=f"1 to {MAX_QUERY_CHARACTERS:,} characters",
            next_step="ask what you want to know; put long text into a document and index it",
        )
    return stripped


class Retriever:
    """Queries → hits, over one generation of an index."""

    def __init__(self, generation: Generation, config: Config, timings: Timings) -> None:
        self.generation, self.config, self.timings = generation, config, timings
        # Checksums are most of the work of opening, and need no Python: each part has a thread, and so has the
        # encoder, whose model would otherwise wait for the first question.
        with ThreadPoolExecutor(4) as pool:
            parts = {name: pool.submit(generation.verified, name) for name in (CATALOG, DENSE, LEXICAL)}
            with timings.stage("load encoder"):
                self.encoder: Encoder = plugins.build("encoders", config.encoder.options())
                expected = fingerprint(config, self.encoder)
                check_fingerprint(generation.manifest, expected, rebuild_command(generation.index))
                ready = pool.submit(self.encoder.encode_queries, ["ready?"])
            with timings.stage("open index"):
                store: VectorStore = plugins.build("stores", config.store.options())
                store.load(parts[DENSE].result())
                lexical: TermIndex = plugins.build("indexes", config.lexical.options())
                lexical.load(parts[LEXICAL].result())
                self.catalog = Catalog(parts[CATALOG].result())
            with timings.stage("load encoder"):
                ready.result()
        self.search = HybridSearch(self.encoder, store, lexical, config.fusion, timings)

    def close(self) -> None:
        self.catalog.close()

    def retrieve(self, queries: Sequence[Query], top_k: int) -> list[list[Hit]]:
        """At most ``top_k`` hits of each query, best first.

        Raises:
            UsageError: ``top_k`` is below 1.
        """
        if top_k < 1:
            raise UsageError(f"--top-k {top_k}", accepted="1 or more")
        return [self.hits(ranked) for ranked in self.search.search([q.text for q in queries], top_k)]

    def hits(self, ranked: Sequence[RankedRow]) -> list[Hit]:
        """The passages of ranked rows."""
        passages = self.catalog.passages([r.row for r in ranked])
        return [Hit(p, r.score, r.legs) for p, r in zip(passages, ranked, strict=True)]


class Pipeline:
    """An open index, a reranker and a reader; use as a context manager. Both are loaded at the first question."""

    def __init__(self, generation: Generation, config: Config) -> None:
        self.config = config
        self.timings = Timings()
        self._stack = ExitStack()
        self._stack.enter_context(generation)
        self.retriever = Retriever(generation, config, self.timings)
        self._stack.callback(self.retriever.close)
        self._reranker: Reranker | None = None
        self._reader: Reader | None = None
        self._rewriter: Rewriter | None = None

    @property
    def reranker(self) -> Reranker:
        if self._reranker is None:
            loading = Timings()
            with loading.stage("load reranker"):
                self._reranker = plugins.build("rerankers", self.config.reranker.options())
            if self._reranker.candidates:  # one that reads nothing has no place in the account of time
                self.timings.seconds |= loading.seconds
        return self._reranker

    @property
    def chooses(self) -> bool:
        """Whether the reader chooses among the options of a question, and reads no question without."""
        return self.config.reader.name == "multiple_choice"

    @property
    def reader(self) -> Reader:
        if self._reader is None:
            with self.timings.stage("load reader"):
                self._reader = plugins.build("readers", self.config.reader.options())
        return self._reader

    @property
    def rewriter(self) -> Rewriter:
        if self._rewriter is None:
            self._rewriter = plugins.build("rewriters", self.config.conversation.rewriter.options())
        return self._rewriter

    def rewrite(self, history: Sequence[Turn], text: str) -> Rewritten:
        """A question of a conversation as one that stands alone; ``history`` is oldest first.

        Raises:
            UsageError: the question is empty or longer than 10,000 characters.
        """
        question = check_query(text)
        with self.timings.stage("rewrite"):
            found = self.rewriter.rewrite(history[-self.config.conversation.turns :], question)
        # A long question with the last one beside it must not become longer than any question.
        return found if len(found.text) <= MAX_QUERY_CHARACTERS else Rewritten(question, "as asked: too long")

    def retrieve(self, queries: Sequence[Query], top_k: int | None = None) -> Sequence[Sequence[Hit]]:
        """At most ``top_k`` hits of each query (default: the configuration's), reranked."""
        top_k = self.config.top_k if top_k is None else top_k
        if top_k < 1:
            return self.retriever.retrieve(queries, top_k)  # which says what is accepted
        hits = self.retriever.retrieve(queries, max(top_k, self.reranker.candidates))
        return [mine[:top_k] for mine in self.rerank(queries, hits)]

    def rerank(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> Sequence[Sequence[Hit]]:
        """All hits of each query in the order of the reranker, if there is one."""
        if not self.reranker.candidates:
            return hits
        with self.timings.stage("rerank"):
            return self.reranker.rerank(queries, hits)

    def ask_many(self, queries: Sequence[Query], top_k: int | None = None) -> list[Answer]:
        """One answer for each query, its citations with their pages."""
        answers = self.read(queries, self.retrieve(queries, top_k))
        return [self._with_pages(answer) for answer in answers]

    def read(self, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> list[Answer]:
        """What the reader makes of the hits of each query, pages not yet told."""
        reader = self.reader
        with self.timings.stage("read"):
            return reader.read(queries, hits)

    def ask(
        self,
        text: str,
        top_k: int | None = None,
        choices: tuple[str, ...] = (),
        heard: Heard | None = None,
    ) -> Answer:
        """The answer to one question; ``choices`` are the options of a multiple-choice question.

        Args:
            heard: gets the answer's text, piece by piece where the reader writes it. The answer itself tells whether
                that text stands: it may have found no support, and then its ``text`` is None.

        Raises:
            UsageError: the question is empty or longer than 10,000 characters, or ``top_k`` is below 1.
        """
        query = Query(check_query(text), choices=choices)
        if heard is None:
            return self.ask_many([query], top_k)[0]
        return self._with_pages(self._stream(query, self.retrieve([query], top_k)[0], heard))

    def _stream(self, query: Query, hits: Sequence[Hit], heard: Heard) -> Answer:
        reader = self.reader
        if isinstance(reader, StreamingReader):
            with self.timings.stage("read"):
                return reader.stream(query, hits, heard)
        (answer,) = self.read([query], [hits])
        if answer.text is not None:
            heard(answer.text)
        return answer

    def page(self, doc_id: str, position: int) -> int | None:
        """The page that holds a character of a document, where its format has pages."""
        return page_of(self.retriever.catalog.pages(doc_id), position)

    def _with_pages(self, answer: Answer) -> Answer:
        paged = {c: replace(c, page=self.page(c.doc_id, c.start)) for c in answer.citations}
        sentences = (replace(s, citations=tuple(paged[c] for c in s.citations)) for s in answer.sentences)
        return replace(answer, citations=tuple(paged.values()), sentences=tuple(sentences))

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_pipeline(index: Path, config: Config | None = None, overrides: Sequence[str] = ()) -> Pipeline:
    """Open ``index`` for questions, with ``config`` or, when None, with the one it was made with.

    Raises:
        IndexMissing, IndexDamaged, IndexMismatch: see ``ragqa.errors``.
        ConfigError: an override that does not fit.
    """
    generation = open_generation(index)
    try:
        if config is None:
            config = Config.from_values(config_of(generation), overrides)
        return Pipeline(generation, config)
    except BaseException:
        generation.close()
        raise
