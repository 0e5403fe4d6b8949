"""Dense vectors from a sentence-transformers or Hugging Face encoder, served without importing either.

A text's vector depends on its batch only through the rounding of padded sums: over 64 Cranfield abstracts, alone
and together, the components differ by at most 2e-7 (f32), 6e-4 (bf16) and 3e-3 (int8).
"""

import json
from collections.abc import Sequence
from functools import cached_property
from threading import Lock

import numpy as np
from tokenizers import Tokenizer

from ragqa import backbone
from ragqa.devices import choose_device, choose_precision
from ragqa.errors import ConfigError, UsageError
from ragqa.layout import Layout, read_layout
from ragqa.literacy import Literacy
from ragqa.protocols import Runtime, Vectors
from ragqa.runtimes import open_runtime
from ragqa.runtimes.batches import pad, plan

_SLAB_TEXTS = 8192
"""Texts that are tokenised and sorted by length together; bounds memory, whatever the number of texts."""

QUERY_SIDE = "query_side.json"
"""In an encoder of queries: the digest of the encoder of passages that it was trained towards."""


class SentenceTransformerEncoder:
    """``model`` is "builtin", a folder, or ``hf:owner/name``.

    Vectors of bf16 and f32 are compatible (cosine above 0.9999) and share a fingerprint, so an index made on
    one machine is searched on another; int8 has its own. The model is loaded for the first text.

    Args:
        query_model: another encoder for the queries alone, one that ``ragqa finetune retriever`` trained towards the
            vectors of ``model``; an index stays as it is.
        dimensions: only the first so many of each vector, normalised again: smaller indexes, for models that were
            trained for it (``matryoshka`` of ``ragqa finetune retriever``).
    """

    def __init__(
        self,
        *,
        model: str = backbone.BUILTIN,
        query_model: str | None = None,
        precision: str = "auto",
        device: str = "auto",
        max_passage_tokens: int = 256,
        truncate: bool = False,
        max_batch_tokens: int | None = None,
        dimensions: int | None = None,
    ) -> None:
        device = choose_device(device)
        self._precision = choose_precision(precision, device)
        self._max_tokens, self._truncate = max_passage_tokens, truncate
        self._passages = _Tower(model, self._precision, device, max_batch_tokens)
        self._queries = self._passages
        if not 3 <= max_passage_tokens <= self._passages.layout.max_tokens:
            raise ConfigError(
                f"max_passage_tokens is {max_passage_tokens}",
                accepted=f"3 to {self._passages.layout.max_tokens} for {model}",
            )
        whole = self._passages.layout.dimension
        if dimensions is not None and not 1 <= dimensions <= whole:
            raise ConfigError(f"dimensions is {dimensions}", accepted=f"1 to {whole} for {model}")
        self._dimensions = dimensions or whole
        if query_model is not None:
            self._queries = _Tower(query_model, self._precision, device, max_batch_tokens)
            _check_pair(self._passages, self._queries)

    @cached_property
    def fingerprint(self) -> str:
        name, digest = self._passages.name, backbone.digest(self._passages.folder)[:16]
        kind = "int8" if self._precision == "int8" else "float"
        cut = "" if self._dimensions == self._passages.layout.dimension else f":{self._dimensions}d"
        return f"sentence_transformer:{name}:{digest}:{kind}:{self._max_tokens}{cut}"

    @property
    def dimension(self) -> int:
        return self._dimensions

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each text, (N, D).

        Raises:
            UsageError: a text is longer than ``max_passage_tokens`` and ``truncate`` is off.
        """
        prompt = self._passages.layout.passage_prompt
        vectors = self._passages.encode([prompt + text for text in texts], self._max_tokens, self._truncate)
        return self._shortened(vectors)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each query, (N, D); zeros for a query that the vocabulary cannot read.

        That is one without tokens, or of which half or more are unreadable: the unknown token, and every Han
        character where the vocabulary has fewer than 2,000 of them. (all-MiniLM has a few hundred, by chance,
        and learned nothing about them.) A longer query is cut at ``max_passage_tokens``; BM25 still sees all of it.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        readable = [row for row, text in enumerate(texts) if self._queries.reads(text)]
        if readable:
            prompt = self._queries.layout.query_prompt
            longest = min(self._max_tokens, self._queries.layout.max_tokens)
            known = [prompt + texts[row] for row in readable]
            vectors[readable] = self._shortened(self._queries.encode(known, longest, truncate=True))
        return vectors

    def _shortened(self, vectors: Vectors) -> Vectors:
        if self._dimensions == vectors.shape[1]:
            return vectors
        few = vectors[:, : self._dimensions]
        unit: Vectors = few / np.maximum(np.linalg.norm(few, axis=1, keepdims=True), 1e-12)
        return unit

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens of the model's limit each text takes, the prompt and special tokens included."""
        prompt = self._passages.layout.passage_prompt
        return self._passages.count_tokens([prompt + text for text in texts])


def _check_pair(passages: "_Tower", queries: "_Tower") -> None:
    """Refuse an encoder of queries whose vectors cannot be compared with those of the passages.

    Raises:
        ConfigError: it has another dimension, or was trained towards another encoder of passages.
    """
    if queries.layout.dimension != passages.layout.dimension:
        raise ConfigError(
            f"encoder.query_model gives vectors of {queries.layout.dimension} dimensions",
            accepted=f"{passages.layout.dimension}, as {passages.name} gives for passages",
        )
    side = queries.folder / QUERY_SIDE
    if side.is_file():
        wanted = json.loads(side.read_text(encoding="utf-8")).get("passages")
        if wanted != backbone.digest(passages.folder):
            raise ConfigError(
                f"encoder.query_model {queries.name} was trained towards the vectors of another encoder",
                accepted=f"one that was trained with the backbone {passages.name}",
                next_step="ragqa finetune retriever",
            )


class _Tower:
    """One encoder: texts, prompt included → vectors."""

    def __init__(self, model: str, precision: str, device: str, max_batch_tokens: int | None) -> None:
        self._model, self._precision, self._device = model, precision, device
        self._max_batch_tokens = max_batch_tokens
        self.folder = backbone.resolve(model)
        self.layout: Layout = read_layout(self.folder)
        self._opening = Lock()
        self._opened: Runtime | None = None

    @property
    def name(self) -> str:
        return backbone.display_name(self._model)

    def encode(self, texts: Sequence[str], max_tokens: int, truncate: bool) -> Vectors:
        vectors = np.zeros((len(texts), self.layout.dimension), dtype=np.float32)
        for first in range(0, len(texts), _SLAB_TEXTS):
            slab = self._tokens(texts[first : first + _SLAB_TEXTS], max_tokens, truncate)
            runtime = self._runtime
            plans = plan([len(ids) for ids in slab], self._max_batch_tokens or runtime.batch_tokens)
            found = runtime.run([pad([slab[row] for row in rows]) for rows in plans])
            for rows, (part, *_) in zip(plans, found, strict=True):
                vectors[[first + row for row in rows]] = part
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(encoded) for encoded in self._tokenizer.encode_batch_fast(texts)]

    def reads(self, text: str) -> bool:
        """Whether most tokens of ``text`` mean something to the vocabulary."""
        return self._literacy.reads(text)

    def _tokens(self, texts: Sequence[str], max_tokens: int, truncate: bool) -> list[list[int]]:
        encoded = self._tokenizer.encode_batch_fast(texts)
        ids: list[list[int]] = [one.ids for one in encoded]
        too_long = [row for row, mine in enumerate(ids) if len(mine) > max_tokens]
        if too_long and not truncate:
            row = too_long[0]
            raise UsageError(
                f"a text of {len(ids[row])} tokens is too long for the encoder: {texts[row][:60]!r}…",
                accepted=f"up to {max_tokens} tokens",
                next_step="split or shorten it, or set the encoder's option truncate to true",
            )
        for row in too_long:
            # The special tokens that close a text stay behind its first tokens.
            kept = max_tokens - self._closing
            ids[row] = [*ids[row][:kept], *ids[row][len(ids[row]) - self._closing :]]
        return ids

    @cached_property
    def _closing(self) -> int:
        """How many special tokens stand behind a text."""
        mask = self._tokenizer.encode("a").special_tokens_mask[::-1]
        return mask.index(0)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self.layout.tokenizer))
        # Saved tokenizers carry the padding and the limit of somebody's last batch.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _literacy(self) -> Literacy:
        return Literacy(self._tokenizer)

    @property
    def _runtime(self) -> Runtime:
        with self._opening:
            if self._opened is None:
                if self._model == backbone.BUILTIN:
                    backbone.verify()
                self._opened = open_runtime("encoder", self.folder, self._precision, self._device)
            return self._opened
