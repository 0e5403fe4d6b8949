"""The retriever's encoder: questions move towards their passages; a sentence-transformers folder comes out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ragqa import backbone, checkpoints, data, plugins, pretrained
from ragqa.data import distinct_passages, filled
from ragqa.data.faults import OnBad
from ragqa.encoders.sentence_transformer import QUERY_SIDE, SentenceTransformerEncoder
from ragqa.errors import TrainingError
from ragqa.evaluation.retrieval import Measure, ndcg, ranked, recall
from ragqa.layout import Layout, read_layout
from ragqa.models.bi_encoder import BiEncoder, load_encoder
from ragqa.models.placing import placed
from ragqa.protocols import Vectors
from ragqa.training import checking
from ragqa.training.judging import Comparison, Scores, compare
from ragqa.training.mining import mined, searched
from ragqa.training.objectives.contrastive import NEIGHBOURS, ContrastiveObjective, chunks, encode
from ragqa.training.settings import RetrieverRun
from ragqa.training.splitting import Split, shuffled
from ragqa.training.starting import PEFT, lay_over
from ragqa.training.task import Report, Task
from ragqa.training.whole import store_whole
from ragqa.training.workers import Workers
from ragqa.types import Example, Passage
from ragqa.windows import load_tokenizer

MEASURES: Mapping[str, Measure] = {"nDCG@10": ndcg(10), "recall@1": recall(1), "recall@10": recall(10)}
_DEEPEST = 10


def examples(run: RetrieverRun, on_bad: OnBad) -> list[Example]:
    """The questions of ``run.data``."""
    return checking.readable(run, on_bad)


def task(run: RetrieverRun, split: Split, report: Report) -> Task:
    """The encoder of ``run``.

    Raises:
        TrainingError: the backbone only adds to another one, or lacks such sizes; several processes would each
            set questions against the passages of their own part.
    """
    if run.both_sides:
        Workers.joined().refuse("both sides of a retriever are trained", "torchrun with the query side only")
    folder = backbone.resolve(run.backbone)
    if not pretrained.is_huggingface(folder):
        raise TrainingError(
            f"the backbone {run.backbone} only adds to another one",
            accepted="builtin, or a whole encoder as sentence-transformers saves it",
        )
    layout = read_layout(folder)
    if any(not 1 <= size <= layout.dimension for size in run.matryoshka):
        raise TrainingError(
            f"matryoshka: {', '.join(map(str, run.matryoshka))}",
            accepted=f"sizes from 1 to {layout.dimension}, the dimensions of {run.backbone}",
        )
    if run.blend < 1 and not plugins.build("tuning", run.tuning.options()).folds:
        raise TrainingError(
            f"what {run.tuning.name} adds cannot be blended with the untuned weights",
            accepted="blend: 1, or full, lora, bitfit",
        )
    tokenizer = load_tokenizer(layout.transformer)
    tokenizer.enable_truncation(min(run.max_passage_tokens, layout.max_tokens))
    corpus = data.corpus(run.data, [*split.training, *split.validation, *split.test])
    learned = _training_passages(run, split, corpus)
    judge = partial(_Search.of, run, corpus, tokenizer, layout)
    training: Sequence[Example] = split.training
    if run.mining is not None:
        training = mined(split, searched(split, run.mining, learned), NEIGHBOURS, run.mining, report)
    validation = shuffled(split.validation, run.split_seed)
    report({"stage": "encoding passages", "passages": len(learned)})
    asked = judge([e for e in validation if e.positives][: run.validation_questions])
    return Task(
        BiEncoder.from_folder(folder, training=True, dropout=run.dropout),
        ContrastiveObjective(
            tokenizer,
            learned,
            _untuned(run).encode_passages([p.titled_text for p in learned]),
            both_sides=run.both_sides,
            temperature=run.temperature,
            hard_negatives=run.hard_negatives,
            prompts=(layout.query_prompt, layout.passage_prompt),
            sizes=run.matryoshka,
            smoothing=run.label_smoothing,
        ),
        training,
        "nDCG@10",
        lambda model: float(np.mean(asked.scores(model)["nDCG@10"])),
        goes_on=True,
        save=partial(_save, run),
        finish=lambda _: None,
        compare=lambda stored: _compare(judge, split, folder, stored),
    )


def _untuned(run: RetrieverRun) -> SentenceTransformerEncoder:
    longest = min(run.max_passage_tokens, read_layout(backbone.resolve(run.backbone)).max_tokens)
    return SentenceTransformerEncoder(model=run.backbone, max_passage_tokens=longest, truncate=True)


def _training_passages(run: RetrieverRun, split: Split, corpus: Sequence[Passage]) -> list[Passage]:
    """The passages of training questions, and others of the corpus that no held-out question asks for.

    A passage that validation or test asks for must not be one that training pushes away, unless it is also the first
    one that a training question asks for.
    """
    first = {e.positives[0].id for e in split.training if e.positives}
    held_out = {p.id for p in distinct_passages([*split.validation, *split.test])} - first
    own = [p for p in distinct_passages(split.training) if p.id not in held_out]
    others = [p for p in corpus if p.id not in held_out]
    return filled(own, others, run.negative_passages, run.split_seed)


@dataclass(frozen=True, slots=True)
class _Search:
    """Questions searched in passages; ``vectors`` are the passages' own before training."""

    examples: Sequence[Example]
    passages: Sequence[Passage]
    vectors: Vectors
    tokenizer: Tokenizer
    layout: Layout
    both_sides: bool

    @classmethod
    def of(
        cls,
        run: RetrieverRun,
        corpus: Sequence[Passage],
        tokenizer: Tokenizer,
        layout: Layout,
        examples: Sequence[Example],
    ) -> "_Search":
        own = distinct_passages([Example(e.query, positives=e.positives) for e in examples])
        passages = filled(own, corpus, run.validation_passages, run.split_seed)
        vectors = _untuned(run).encode_passages([p.titled_text for p in passages])
        return cls(examples, passages, vectors, tokenizer, layout, run.both_sides)

    @torch.inference_mode()
    def scores(self, model: Any) -> Scores:
        """Each measure for each question, in their order."""
        passages = torch.from_numpy(self.vectors)
        if self.both_sides:
            passages = self._encode(
                model, [self.layout.passage_prompt + p.titled_text for p in self.passages]
            )
        queries = self._encode(model, [self.layout.query_prompt + e.query.text for e in self.examples])
        top = (queries @ passages.T).topk(min(_DEEPEST, len(passages)), 1)
        found: dict[str, list[float]] = {name: [] for name in MEASURES}
        for example, values, rows in zip(
            self.examples, top.values.tolist(), top.indices.tolist(), strict=True
        ):
            ranking = ranked({self.passages[row].id: value for row, value in zip(rows, values, strict=True)})
            right = {p.id: 1 for p in example.positives}
            for name, measure in MEASURES.items():
                found[name].append(measure(ranking, right))
        return found

    def _encode(self, model: Any, texts: Sequence[str]) -> Tensor:
        ids = [one.ids for one in self.tokenizer.encode_batch_fast(list(texts))]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        vectors = encode(model, chunks([ids[row] for row in order]))
        return vectors[torch.tensor(order).argsort()]


def _compare(judge: Any, split: Split, untuned: Path, stored: Path) -> Comparison | None:
    """The stored encoder beside the untuned one, on the questions of the test part."""
    asked = [e for e in split.test if e.positives]
    if not asked:
        return None
    searched = judge(asked)
    return compare(
        searched.scores(placed(BiEncoder.from_folder(untuned).eval())),
        searched.scores(placed(load_encoder(stored))),
        asked,
    )


@torch.no_grad()
def _blend(model: BiEncoder, untuned: BiEncoder, share: float) -> None:
    """Move each weight back towards the untuned one: what was known before suffers less (Wortsman et al. 2022,
    arXiv:2109.01903)."""
    before = dict(untuned.named_parameters())
    for name, weight in model.named_parameters():
        weight.copy_(torch.lerp(before[name], weight, share))


def _save(run: RetrieverRun, target: Path, tensors: Mapping[str, Tensor], best: float) -> None:
    """A whole encoder as sentence-transformers loads it; what cannot be folded into the weights is stored as ours."""
    source = backbone.resolve(run.backbone)
    model = BiEncoder.from_folder(source)
    tuning = lay_over(run, model, tensors, target)
    tuning.export(model, target / PEFT)
    if tuning.folds:
        tuning.merge(model)
        _blend(model, BiEncoder.from_folder(source), run.blend)
        store_whole(model.encoder, source, target)
    else:
        named = backbone.lasting_name(run.backbone)
        config = {"kind": "encoder", "backbone": named, "tuning": run.tuning.options()}
        checkpoints.save(target, tensors, {**config, "best_validation_ndcg": round(best, 4)}, "float32")
    if not run.both_sides:
        passages = backbone.digest(source)
        (target / QUERY_SIDE).write_text(json.dumps({"passages": passages}) + "\n", encoding="utf-8")
