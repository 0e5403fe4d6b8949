"""Dense vectors from a sentence-transformers or Hugging Face encoder, served without importing either.

A text's vector depends on its batch only through the rounding of padded sums: over 64 Cranfield abstracts, alone
and together, the components differ by at most 2e-7 (f32), 6e-4 (bf16) and 3e-3 (int8).
"""

from collections.abc import Sequence
from functools import cached_property
from threading import Lock

import numpy as np
from tokenizers import Encoding, Tokenizer

from ragqa import backbone
from ragqa.analysis import is_han
from ragqa.devices import choose_device, choose_precision
from ragqa.errors import ConfigError, UsageError
from ragqa.protocols import Runtime, Vectors
from ragqa.runtimes import open_runtime
from ragqa.runtimes.batches import MAX_BATCH_TOKENS, pad, plan
from ragqa.runtimes.layout import Layout, read_layout

_SLAB_TEXTS = 8192
"""Texts that are tokenised and sorted by length together; bounds memory, whatever the number of texts."""

_HAN_LITERACY = 2000
"""A vocabulary with fewer Han characters was not made for Chinese, whose everyday texts use about 3,000."""


class SentenceTransformerEncoder:
    """``model`` is "builtin", a folder, or ``hf:owner/name``.

    Vectors of bf16 and f32 are compatible (cosine above 0.9999) and share a fingerprint, so an index made on
    one machine is searched on another; int8 has its own. The model is loaded for the first text.
    """

    def __init__(
        self,
        *,
        model: str = backbone.BUILTIN,
        precision: str = "auto",
        device: str = "auto",
        max_passage_tokens: int = 256,
        truncate: bool = False,
        max_batch_tokens: int = MAX_BATCH_TOKENS,
    ) -> None:
        self._model, self._device = model, choose_device(device)
        self._precision = choose_precision(precision, self._device)
        self._folder = backbone.resolve(model)
        self._layout: Layout = read_layout(self._folder)
        if not 3 <= max_passage_tokens <= self._layout.max_tokens:
            raise ConfigError(
                f"max_passage_tokens is {max_passage_tokens}",
                accepted=f"3 to {self._layout.max_tokens} for {model}",
            )
        self._max_tokens, self._truncate = max_passage_tokens, truncate
        self._max_batch_tokens = max_batch_tokens
        self._opening = Lock()
        self._opened: Runtime | None = None

    @cached_property
    def fingerprint(self) -> str:
        name, digest = backbone.display_name(self._model), backbone.digest(self._folder)[:16]
        kind = "int8" if self._precision == "int8" else "float"
        return f"sentence_transformer:{name}:{digest}:{kind}:{self._max_tokens}"

    @property
    def dimension(self) -> int:
        return self._layout.dimension

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each text, (N, D).

        Raises:
            UsageError: a text is longer than ``max_passage_tokens`` and ``truncate`` is off.
        """
        return self._encode(texts, self._layout.passage_prompt, self._truncate)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector for each query, (N, D); zeros for a query that the vocabulary cannot read.

        That is one without tokens, or of which half or more are unreadable: the unknown token, and every Han
        character where the vocabulary has fewer than 2,000 of them. (all-MiniLM has a few hundred, by chance,
        and learned nothing about them.) A longer query is cut at ``max_passage_tokens``; BM25 still sees all of it.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        readable = [row for row, text in enumerate(texts) if self._readable(text)]
        if readable:
            known = [texts[row] for row in readable]
            vectors[readable] = self._encode(known, self._layout.query_prompt, truncate=True)
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens of the model's limit each text takes, the prompt and special tokens included."""
        prompt = self._layout.passage_prompt
        return [
            len(encoded) for encoded in self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        ]

    def _encode(self, texts: Sequence[str], prompt: str, truncate: bool) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for first in range(0, len(texts), _SLAB_TEXTS):
            slab = self._tokens([prompt + text for text in texts[first : first + _SLAB_TEXTS]], truncate)
            plans = plan([len(ids) for ids in slab], self._max_batch_tokens)
            found = self._runtime.run([pad([slab[row] for row in rows]) for rows in plans])
            for rows, (part, *_) in zip(plans, found, strict=True):
                vectors[[first + row for row in rows]] = part
        return vectors

    def _tokens(self, texts: Sequence[str], truncate: bool) -> list[list[int]]:
        return [
            encoded.ids if len(encoded) <= self._max_tokens else self._cut(text, len(encoded), truncate)
            for text, encoded in zip(texts, self._tokenizer.encode_batch_fast(texts), strict=True)
        ]

    def _cut(self, text: str, tokens: int, truncate: bool) -> list[int]:
        """The first tokens of a text over the limit, with the special tokens that belong around them."""
        if not truncate:
            raise UsageError(
                f"a text of {tokens} tokens is too long for the encoder: {text[:60]!r}…",
                accepted=f"up to {self._max_tokens} tokens",
                next_step="split or shorten it, or set the encoder's option truncate to true",
            )
        encoded: Encoding = self._tokenizer.encode(text, add_special_tokens=False)
        encoded.truncate(self._max_tokens - self._tokenizer.num_special_tokens_to_add(False))
        ids: list[int] = self._tokenizer.post_process(encoded).ids
        return ids

    def _readable(self, text: str) -> bool:
        tokens = self._tokenizer.encode(text, add_special_tokens=False).tokens
        # Only a text with Han characters makes it worth while to look through the whole vocabulary.
        strange_han = is_han(text) and not self._reads_han
        strange = sum(token == self._unknown or (strange_han and is_han(token)) for token in tokens)
        return 2 * strange < len(tokens)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self._layout.tokenizer))
        # Saved tokenizers carry the padding and the limit of somebody's last batch.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _unknown(self) -> str:
        return getattr(self._tokenizer.model, "unk_token", None) or "<unk>"

    @cached_property
    def _reads_han(self) -> bool:
        known = sum(
            len(token.removeprefix("##")) == 1 and is_han(token) for token in self._tokenizer.get_vocab()
        )
        return known >= _HAN_LITERACY

    @property
    def _runtime(self) -> Runtime:
        with self._opening:
            if self._opened is None:
                if self._model == backbone.BUILTIN:
                    backbone.verify()
                self._opened = open_runtime("encoder", self._folder, self._precision, self._device)
            return self._opened
