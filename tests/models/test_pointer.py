"""The pointer: its mixture, its cache, its rows in any order, and what it stores."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from ragqa.backbone import builtin_path
from ragqa.beams import GREEDILY, Beam, BeamSearch
from ragqa.guiding import Guide
from ragqa.models.generator import IGNORED
from ragqa.models.pointer import PointerModel, SourceEncoder
from ragqa.runtimes.pointer import Decoder
from ragqa.sources import ANSWER, ASK, ASKING, Source, pad_sources, to_answer, to_ask
from ragqa.surface import inner_pieces
from ragqa.training.objectives.pointing import PointingBatch, PointingObjective
from ragqa.types import Example, Passage, Query, Span
from ragqa.windows import Windower, load_tokenizer, tokenize

TEXTS = (
    "The walrus of group 3 lives in the harbour. It was seen 12 times.",
    "The badger lives in a valley near the river, and sleeps by day.",
    "Herons eat fish.",
)
QUESTIONS = ("Where does the walrus live?", "What do herons eat?")
ANSWERS = ("the harbour", "fish")


@pytest.fixture
def model(small_bert: Path) -> PointerModel:
    torch.manual_seed(4)
    found = PointerModel.from_backbone(small_bert, 0.0, layers=2)
    # Away from where it begins: a fresh pointer is nearly even, and ``copy_next`` is zero.
    for weight in found.head.parameters():
        torch.nn.init.normal_(weight, std=0.2) if weight.ndim > 1 else None
    return found.eval()


@pytest.fixture
def windower() -> Windower:
    return Windower.of(load_tokenizer(builtin_path()))


@pytest.fixture(scope="module")
def inner() -> npt.NDArray[np.bool_]:
    return inner_pieces(load_tokenizer(builtin_path()))


def passage(number: int) -> Passage:
    text = TEXTS[number]
    return Passage(f"notes {number}", 0, len(text), text, "Animals")


def examples() -> list[Example]:
    """Two questions, the first with three passages, the second with one."""
    found = []
    for question, answer, own, others in zip(QUESTIONS, ANSWERS, (0, 2), ((1, 2), ()), strict=True):
        start = TEXTS[own].index(answer)
        negatives = tuple(passage(n) for n in others)
        spans = (Span(start, start + len(answer)),)
        found.append(Example(Query(question), (answer,), (passage(own),), spans, negatives))
    return found


def rows_of(question: str, numbers: Sequence[int]) -> list[Source]:
    tokenizer = load_tokenizer(builtin_path())
    windower = Windower.of(tokenizer)
    asked, title, *texts = tokenize(tokenizer, [question, "Animals", *(TEXTS[n] for n in numbers)])
    return [row for text in texts for row in to_answer(windower, asked.ids, title.ids, text.ids)]


def batch_of(objective: PointingObjective, task: int) -> PointingBatch:
    chosen = examples()
    objective.prepare(chosen)
    objective.question_share = float(task == ASK)
    rng = np.random.default_rng(1)
    groups = [objective.group(example, rng) for example in chosen]
    return objective.collate([group for group in groups if group is not None])


@pytest.mark.parametrize("task", [ANSWER, ASK])
def test_the_loss_is_that_of_the_mixture_worked_out_over_the_whole_vocabulary(
    model: PointerModel, task: int
) -> None:
    """Each step alone, the copied part summed token by token; a padded batch says the same."""
    objective = PointingObjective(load_tokenizer(builtin_path()), unanswerable_share=0.0)
    batch = batch_of(objective, task)
    losses = model(*(getattr(batch, field.name) for field in fields(batch)))
    encoded = model.encode(
        batch.ids, batch.mask, batch.kinds, batch.copyable, batch.slots, batch.places, len(batch.labels)
    )
    for row, labels in enumerate(batch.labels):
        said = labels[labels != IGNORED]
        assert len(said) > 1
        hidden = model.head.run(model._inputs(batch.tasks, batch.labels.clamp(min=0)[:, :-1]), encoded)
        weights, odds = model.head.pointer(hidden, encoded)
        words = model.head.words(hidden, model._table()).softmax(-1)
        expected = 0.0
        for step, token in enumerate(said.tolist()):
            gate = float(odds[row, step].sigmoid())
            copied = sum(
                float(weights[row, step, place].exp())
                for place, source in enumerate(encoded.ids[row].tolist())
                if source == token and encoded.copyable[row, place]
            )
            expected -= np.log(gate * float(words[row, step, token]) + (1 - gate) * copied)
        assert float(losses[row]) == pytest.approx(expected / len(said), rel=1e-4)


def test_each_next_word_has_a_probability_and_all_together_one(
    model: PointerModel, windower: Windower
) -> None:
    sources = pad_sources([rows_of(QUESTIONS[0], [0, 1]), rows_of(QUESTIONS[1], [2])], windower)
    arrays = (sources.ids, sources.mask, sources.kinds, sources.copyable, sources.slots)
    with torch.inference_mode():
        encoded = model.encode(*map(torch.from_numpy, arrays), places=sources.places, count=2)  # type: ignore[misc,arg-type]
        hidden = model.head.run(model._start(torch.tensor([ANSWER, ASK])), encoded)
        found, copied = model.next_words(hidden[:, 0], encoded)
    assert torch.allclose(found.sum(1), torch.ones(2), atol=1e-5)
    assert (copied <= found + 1e-7).all()
    assert (copied > 0).sum(1).tolist() == [
        len(set(sources.ids[sources.slots // 2 == row][sources.copyable[sources.slots // 2 == row]]))
        for row in range(2)
    ]


def test_the_cache_changes_nothing(
    model: PointerModel, windower: Windower, inner: npt.NDArray[np.bool_]
) -> None:
    sources = pad_sources([ranked(rows_of(QUESTIONS[0], [0, 1])), rows_of(QUESTIONS[1], [2])], windower)
    written = model.write(sources, [ANSWER, ASK], end=windower.sep_id, max_tokens=9, inner=inner)
    arrays = (sources.ids, sources.mask, sources.kinds, sources.copyable, sources.slots)
    assert max(len(one.ids) for (one,) in written) > 3
    prior = torch.from_numpy(sources.prior())
    with torch.inference_mode():
        encoded = model.encode(  # type: ignore[misc]
            *map(torch.from_numpy, arrays),  # type: ignore[arg-type]
            places=sources.places,
            count=2,
            prior=prior,
        )
        for row, (one,) in enumerate(written):
            guide = Guide(sources.rows_of(row), inner)
            tokens: list[int] = []
            taken: list[bool] = []
            total = 0.0
            while len(tokens) < 9 and windower.sep_id not in tokens:
                inputs = model._inputs(torch.tensor([ANSWER, ASK]), torch.tensor([tokens, tokens]).long())
                hidden = model.head.run(inputs, encoded)[:, -1]
                likelihoods, copied = model.next_words(hidden, encoded)
                likelihoods[row, guide.shut_out(tokens, taken)] = 0
                tokens.append(int(likelihoods[row].argmax()))
                taken.append(bool(copied[row, tokens[-1]] > 0.5 * likelihoods[row].max()))
                total += float(likelihoods[row].max().log())
            assert list(one.ids) == [token for token in tokens if token != windower.sep_id]
            assert one.ended == (windower.sep_id in tokens)
            assert one.log_probability == pytest.approx(total / len(tokens), abs=1e-4)


@pytest.mark.parametrize(
    ("task", "search"), [(ANSWER, GREEDILY), (ASK, GREEDILY), (ASK, BeamSearch(3)), (ASK, BeamSearch(3, 0.1))]
)
def test_what_serves_writes_the_same_words_with_the_same_likelihoods(
    model: PointerModel, windower: Windower, task: int, search: BeamSearch, inner: npt.NDArray[np.bool_]
) -> None:
    """The decoder in numpy beside that of torch: rows without padding, one question at a time."""
    encoder = SourceEncoder(model)
    decoder = Decoder(encoder.arrays())
    for question, numbers in ((QUESTIONS[0], [0, 1, 2]), (QUESTIONS[1], [2])):
        sources = pad_sources([ranked(rows_of(question, numbers))], windower)
        ((*expected,),) = model.write(
            sources, [task], end=windower.sep_id, max_tokens=12, inner=inner, search=search
        )
        rows = []
        for place in range(len(numbers)):
            real = sources.mask[place] == 1
            parts = [
                torch.from_numpy(part[place][real])[None]
                for part in (sources.ids, sources.mask, sources.kinds)
            ]
            with torch.inference_mode():
                outputs = [output[0].numpy() for output in encoder(*parts)]
            prior = -math.log(1 + place)
            rows.append((outputs, sources.ids[place][real], sources.copyable[place][real], prior))
        beam = Beam(search, Guide(sources.rows_of(0), inner), windower.sep_id)
        written = decoder.write(decoder.encoded(rows), task, beam, 12)
        assert len(written) == len(expected)
        for mine, theirs in zip(written, expected, strict=True):
            assert replace(mine, log_probability=0.0) == replace(theirs, log_probability=0.0)
            assert mine.log_probability == pytest.approx(theirs.log_probability, abs=1e-4)
            assert len(mine.ids) > 3


@pytest.mark.parametrize("search", [GREEDILY, BeamSearch(3)])
def test_the_order_of_the_passages_and_what_is_beside_a_question_change_nothing(
    model: PointerModel, windower: Windower, inner: npt.NDArray[np.bool_], search: BeamSearch
) -> None:
    """Each row is encoded apart and the decoder knows no order of rows."""
    one, other = rows_of(QUESTIONS[0], [0, 1, 2]), rows_of(QUESTIONS[0], [2, 0, 1])
    (alone, *_), (turned, *_), (together, *_) = (
        model.write(
            pad_sources(groups, windower),
            [ANSWER] * len(groups),
            end=windower.sep_id,
            max_tokens=6,
            inner=inner,
            search=search,
        )[0]
        for groups in ([one], [other], [one, rows_of(QUESTIONS[1], [2])])
    )
    assert alone.ids == turned.ids == together.ids
    assert alone.log_probability == pytest.approx(turned.log_probability, abs=1e-4)
    assert alone.log_probability == pytest.approx(together.log_probability, abs=1e-4)


def test_a_better_passage_counts_more(model: PointerModel, windower: Windower) -> None:
    """What a passage says is copied the likelier the better it ranks."""
    rows = rows_of(QUESTIONS[0], [0, 1])
    shares = []
    for ranks in ((0, 1), (0, 0), (1, 0)):
        mine = [replace(row, rank=rank) for row, rank in zip(rows, ranks, strict=True)]
        sources = pad_sources([mine], windower)
        arrays = (sources.ids, sources.mask, sources.kinds, sources.copyable, sources.slots)
        with torch.inference_mode():
            encoded = model.encode(  # type: ignore[misc]
                *map(torch.from_numpy, arrays),  # type: ignore[arg-type]
                places=sources.places,
                count=1,
                prior=torch.from_numpy(sources.prior()),
            )
            hidden = model.head.run(model._start(torch.tensor([ANSWER])), encoded)
            weights = model.head.pointer(hidden, encoded)[0].exp()[0, 0]
        first = weights[: sources.ids.shape[1]].sum()
        shares.append(float(first))
        assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
    assert shares[0] > shares[1] > shares[2]


def ranked(rows: list[Source]) -> list[Source]:
    """The rows of passages, best first."""
    return [replace(row, rank=rank) for rank, row in enumerate(rows)]


def test_every_passage_counts(model: PointerModel, windower: Windower, inner: npt.NDArray[np.bool_]) -> None:
    (few,), (more,) = (
        model.write(
            pad_sources([rows_of(QUESTIONS[0], n)], windower),
            [ANSWER],
            end=windower.sep_id,
            max_tokens=6,
            inner=inner,
        )[0]
        for n in ([0], [0, 1])
    )
    assert few.log_probability != more.log_probability


def test_the_pointer_never_points_at_the_question_or_at_padding(windower: Windower) -> None:
    sources = pad_sources([rows_of(QUESTIONS[0], [0, 2])], windower)
    tokenizer = load_tokenizer(builtin_path())
    for row, number in enumerate([0, 2]):
        assert tokenizer.decode(sources.ids[row][sources.copyable[row]].tolist()) == (
            "animals " + tokenizer.decode(tokenizer.encode(TEXTS[number], add_special_tokens=False).ids)
        )


def test_the_answer_to_ask_for_is_marked_where_it_stands(windower: Windower) -> None:
    tokenizer = load_tokenizer(builtin_path())
    start = TEXTS[0].index("12 times")
    prefix, answer, title, text = tokenize(tokenizer, [ASKING, "12 times", "Animals", TEXTS[0]])
    row = to_ask(windower, prefix.ids, answer.ids, title.ids, text, start, start + len("12 times"))
    assert row is not None
    sources = pad_sources([[row]], windower)
    marked = sources.ids[0][(sources.kinds[0] == 0) & (sources.mask[0] == 1)].tolist()
    assert tokenizer.decode(marked) == "question : 12 times 12 times"
    assert to_ask(windower, prefix.ids, answer.ids, title.ids, text, 0, 0) is None
    narrow = replace(windower, max_window_tokens=96, overlap_tokens=8)
    long = tokenize(tokenizer, ["word " * 200])[0]
    assert to_ask(narrow, prefix.ids, answer.ids, title.ids, long, 0, 990) is None


def test_gradients_reach_the_encoder_from_words_that_are_copied_and_from_others(model: PointerModel) -> None:
    objective = PointingObjective(load_tokenizer(builtin_path()), unanswerable_share=0.0)
    objective.loss(model, batch_of(objective, ASK)).backward()  # type: ignore[no-untyped-call]
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # Keys have biases that softmax takes away, and BERT's pooler is not there.
    assert all("key.bias" in name or name == "head.copy_key.bias" for name in silent), silent


def test_a_decoder_begins_as_the_last_layers_of_its_encoder(small_bert: Path) -> None:
    model = PointerModel.from_backbone(small_bert, 0.0, layers=1)
    theirs = model.encoder.encoder.layer[-1]
    own = model.head.decoder[0]
    assert torch.equal(own.attention.self.query.weight, theirs.attention.self.query.weight)
    assert torch.equal(own.crossattention.self.key.weight, theirs.attention.self.key.weight)
    assert torch.equal(own.output.dense.weight, theirs.output.dense.weight)


def test_in_bfloat16_the_loss_is_nearly_the_same_and_a_float32(model: PointerModel) -> None:
    objective = PointingObjective(load_tokenizer(builtin_path()), unanswerable_share=0.0)
    batch = batch_of(objective, ANSWER)
    with torch.inference_mode():
        whole = objective.loss(model, batch)
        half = objective.loss(model.to(torch.bfloat16), batch)
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(whole), rel=0.05)


def test_an_encoder_without_token_types_serves(
    small_distilbert: Path, windower: Windower, inner: npt.NDArray[np.bool_]
) -> None:
    model = PointerModel.from_backbone(small_distilbert, 0.0, layers=1).eval()
    sources = pad_sources([rows_of(QUESTIONS[0], [0])], windower)
    ((written,),) = model.write(sources, [ANSWER], end=windower.sep_id, max_tokens=3, inner=inner)
    assert len(written.ids) + written.ended == 3 or written.ended


def test_a_cache_holds_the_keys_of_the_passages_once(model: PointerModel, windower: Windower) -> None:
    sources = pad_sources([rows_of(QUESTIONS[0], [0, 1])], windower)
    arrays = (sources.ids, sources.mask, sources.kinds, sources.copyable, sources.slots)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    with torch.inference_mode():
        encoded = model.encode(*map(torch.from_numpy, arrays), places=sources.places, count=1)  # type: ignore[misc,arg-type]
        for step in range(3):
            model.head.run(model._embedded(torch.tensor([[7]]), step), encoded, cache)
    assert cache.self_attention_cache.get_seq_length() == 3
    assert cache.cross_attention_cache.get_seq_length() == sources.ids.size
