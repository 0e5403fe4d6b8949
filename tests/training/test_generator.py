"""``finetune`` of the generator: tiny language models learn by heart, are stored, load elsewhere and cite."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from ragqa import checkpoints, plugins
from ragqa.config import Config
from ragqa.errors import ModelError, TrainingError
from ragqa.evaluation.answers import f1
from ragqa.indexing import build_index
from ragqa.models.generator import IGNORED, Generator, load_generator, load_writer_tokenizer
from ragqa.pipeline import load_pipeline
from ragqa.prompting import Prompter
from ragqa.readers.generative import GenerativeReader
from ragqa.surface import Written
from ragqa.training.objectives.generation import FROM_P, WritingObjective
from ragqa.training.run import finetune
from ragqa.training.run_files import load_run
from ragqa.training.settings import GeneratorRun
from ragqa.training.targets.generator import written_scores
from ragqa.types import Example, Hit, Passage, Query

TUNINGS = plugins.names("tuning")
ANIMALS = [f"animal{n}" for n in range(50)]
PLACES = ["forest", "harbour", "meadow", "desert", "valley", "island", "river"]
MODES = ("by day", "by night")
KINDS = ("causal", "seq2seq")


def place(number: int, mode: int) -> str:
    return PLACES[(3 * number + 2 * mode + number // 7) % len(PLACES)]


def tokenizer_of(words: list[str]) -> PreTrainedTokenizerFast:
    pieces = dict.fromkeys(["<pad>", "<unk>", "<end>", *sorted(set(words))])
    plain = Tokenizer(WordLevel({piece: row for row, piece in enumerate(pieces)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<end>", pad_token="<pad>", unk_token="<unk>"
    )


def build(kind: str, folder: Path) -> None:
    """A random language model of two layers with its tokenizer, as transformers stores them."""
    words = [
        *ANIMALS,
        *PLACES,
        *[
            "the",
            "lives",
            "in",
            "where",
            "does",
            "live",
            "by",
            "day",
            "night",
            "at",
            "any",
            "time",
            "?",
            ".",
            ":",
        ],
    ]
    tokenizer = tokenizer_of(words)
    torch.manual_seed(3)
    size = len(tokenizer)
    if kind == "causal":
        model: Any = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size,
                n_positions=128,
                n_embd=64,
                n_layer=2,
                n_head=4,
                bos_token_id=2,
                eos_token_id=2,
            )
        )
    else:
        model = BartForConditionalGeneration(
            BartConfig(
                vocab_size=size,
                d_model=64,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=96,
                decoder_ffn_dim=96,
                max_position_embeddings=128,
                bos_token_id=2,
                eos_token_id=2,
                pad_token_id=0,
                decoder_start_token_id=2,
                forced_eos_token_id=None,
                init_std=0.1,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def asked(path: Path, mode: int, suffix: str) -> Path:
    """50 questions, each in two documents, so that what is learned by heart from one is judged on the other."""
    records = [
        {
            "question": f"where does the {animal} live {suffix} ?",
            "passage": f"the {animal} lives in the {place(number, mode)} {suffix} {mark}",
            "answers": [place(number, mode)],
            "document": mark,
        }
        for mark in ".?"
        for number, animal in enumerate(ANIMALS)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def described(folder: Path, backbone: Path, data: list[Path], **more: Any) -> GeneratorRun:
    folder.mkdir(exist_ok=True)
    template = folder / "question.jinja"
    template.write_text("{{ question }}\n", encoding="utf-8")
    values = {
        "data": [str(path) for path in data],
        "output": str(folder / "run"),
        "backbone": str(backbone),
        "prompt": str(template),
        "passages": 1,
        "unanswerable_share": 0.0,
        "max_answer_tokens": 4,
        "validation_documents": 1,
        "test_documents": 0,
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_run(path, GeneratorRun)


def by_heart(run: GeneratorRun, model: Path, data: Path) -> float:
    """Exact match of the stored model on the questions themselves."""
    tokenizer = load_writer_tokenizer(model)
    generator = load_generator(model)
    objective = WritingObjective(
        tokenizer,
        Prompter(tokenizer, template=run.prompt),
        is_seq2seq=generator.is_seq2seq,
        max_answer_tokens=4,
    )
    records = [json.loads(line) for line in data.read_text().splitlines()]
    rng = np.random.default_rng(0)
    groups = [objective.group(Example(Query(r["question"]), tuple(r["answers"])), rng) for r in records]
    scores = written_scores(generator, objective, [g for g in groups if g is not None])
    return float(np.mean(scores["exact match"]))


RATES = {"full": 1e-3, "lora": 5e-3, "adapter": 5e-3, "bitfit": 1e-2, "prompt": 3e-2}
EPOCHS = {"bitfit": 60, "prompt": 100}
LONG = {("causal", "prompt"), *(("seq2seq", tuning) for tuning in ("prompt", "bitfit", "adapter", "lora"))}
"""Those that `make slow` runs."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each kind a model that knows both where animals live by day and where by night."""
    torch.set_num_threads(1)
    return {kind: _base(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.fixture(scope="module", params=KINDS)
def base(request: pytest.FixtureRequest, bases: dict[str, Path]) -> tuple[str, Path]:
    """Kind and folder of one of them."""
    return request.param, bases[request.param]


def _base(kind: str, folder: Path) -> Path:
    build(kind, folder / "random")
    data = [asked(folder / f"{mode}.jsonl", number, mode) for number, mode in enumerate(MODES)]
    rate = 3e-3 if kind == "causal" else 2e-3
    schedule = {"epochs": 160, "batch_groups": 20, "learning_rate": rate, "validate_steps": 10_000}
    run = described(folder / "base", folder / "random", data, schedule=schedule)
    return finetune(run, resume=False, report=lambda _: None).model


EACH = [
    pytest.param(
        (kind, tuning), marks=[pytest.mark.slow] if (kind, tuning) in LONG else [], id=f"{kind}-{tuning}"
    )
    for kind in KINDS
    for tuning in TUNINGS
]


@pytest.fixture(scope="module", params=EACH)
def learned(
    request: pytest.FixtureRequest, bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, GeneratorRun, Path, Path]:
    """Kind, tuning, run, folder and questions of a model that learned 50 answers under one tuning."""
    kind, tuning = request.param
    folder = bases[kind]
    scratch = tmp_path_factory.mktemp(f"{kind}_{tuning}")
    data = asked(scratch / "any.jsonl", 1, "at any time")
    schedule = {
        "epochs": EPOCHS.get(tuning, 40),
        "batch_groups": 10,
        "learning_rate": RATES[tuning],
        "validate_steps": 10_000,
    }
    run = described(scratch / "run", folder, [data], tuning=tuning, schedule=schedule)
    model = finetune(run, resume=False, report=lambda _: None).model
    return kind, tuning, run, model, data


def test_fifty_answers_are_learned_by_heart(
    bases: dict[str, Path], learned: tuple[str, str, GeneratorRun, Path, Path]
) -> None:
    kind, _, run, model, data = learned
    before, after = (by_heart(run, folder, data) for folder in (bases[kind], model))
    assert before < 0.9
    assert after == 1.0


def outputs(network: Any, kind: str, tokenizer: Any) -> torch.Tensor:
    """Scores of the next token after one question."""
    ids = torch.tensor([tokenizer("where does the animal3 live at any time ?")["input_ids"]])
    more = {"decoder_input_ids": torch.tensor([[2, 5]])} if kind == "seq2seq" else {}
    with torch.inference_mode():
        found: torch.Tensor = network(input_ids=ids, **more).logits[:, -1]
    return found


def test_transformers_and_peft_load_what_is_stored(
    bases: dict[str, Path], learned: tuple[str, str, GeneratorRun, Path, Path]
) -> None:
    from peft import PeftModel

    kind, tuning, _, model, _ = learned
    tokenizer = load_writer_tokenizer(model)
    ours = outputs(load_generator(model).encoder, kind, tokenizer)
    auto = AutoModelForCausalLM if kind == "causal" else AutoModelForSeq2SeqLM
    if tuning == "full":
        theirs = auto.from_pretrained(model)
    elif tuning in ("lora", "prompt"):
        theirs = PeftModel.from_pretrained(auto.from_pretrained(bases[kind]), str(model / "peft"))
    else:
        assert not (model / "peft").exists()
        return
    assert torch.allclose(outputs(theirs.eval(), kind, tokenizer), ours, atol=1e-4)


def groups_of(kind: str, folder: Path, template: Path) -> tuple[Generator, WritingObjective, list[Any]]:
    model, tokenizer = load_generator(folder), load_writer_tokenizer(folder)
    objective = WritingObjective(
        tokenizer,
        Prompter(tokenizer, template=str(template)),
        is_seq2seq=kind == "seq2seq",
        max_answer_tokens=5,
    )
    texts = [("where does the animal1 live by day ?", "the valley"), ("where does animal2 live ?", "island")]
    rng = np.random.default_rng(0)
    return model, objective, [objective.group(Example(Query(q), (a,)), rng) for q, a in texts]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "question.jinja"
    path.write_text("{{ question }}", encoding="utf-8")
    return path


def test_the_loss_is_that_of_transformers_over_the_answer_alone(
    base: tuple[str, Path], template: Path
) -> None:
    kind, folder = base
    model, objective, groups = groups_of(kind, folder, template)
    batch = objective.collate(groups)
    each = model(batch.ids, batch.mask, batch.labels)
    if kind == "causal":
        assert (batch.labels != IGNORED).sum(1).tolist() == [3, 2]
        assert model._scores_places
        model._scores_places = False  # as of a model of transformers that cannot leave places out
        torch.testing.assert_close(model(batch.ids, batch.mask, batch.labels), each)
    for row, group in enumerate(groups):
        one = objective.collate([group])
        theirs = model.encoder(input_ids=one.ids, attention_mask=one.mask, labels=one.labels).loss
        assert each[row].item() == pytest.approx(theirs.item(), abs=1e-4)


def test_a_batch_writes_what_each_prompt_alone_does_token_by_token(
    base: tuple[str, Path], template: Path
) -> None:
    kind, folder = base
    model, objective, groups = groups_of(kind, folder, template)
    prompts = [g.prompt for g in groups]
    together = model.write(prompts, objective.tokenizer, max_tokens=5)
    for prompt, written in zip(prompts, together, strict=True):
        tokens: list[int] = []
        total = 0.0
        for _ in range(5):
            ids = torch.tensor([prompt if kind == "seq2seq" else [*prompt, *tokens]])
            more = {"decoder_input_ids": torch.tensor([[2, *tokens]])} if kind == "seq2seq" else {}
            with torch.inference_mode():
                scores = model.encoder(input_ids=ids, **more).logits[0, -1].log_softmax(-1)
            tokens.append(int(scores.argmax()))
            total += float(scores.max())
            if tokens[-1] == objective.tokenizer.eos_token_id:
                break
        assert written.ids == tuple(t for t in tokens if t != 2)
        assert written.log_probability == pytest.approx(total / len(tokens), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_better_draw_than_the_likeliest_answer_becomes_likelier(
    kind: str, tmp_path: Path, template: Path
) -> None:
    build(kind, tmp_path / "random")
    model, plain, groups = groups_of(kind, tmp_path / "random", template)
    objective = WritingObjective(
        plain.tokenizer,
        plain.prompter,
        is_seq2seq=plain.is_seq2seq,
        reward="f1",
        reward_share=1.0,
        max_answer_tokens=5,
    )
    seed = next(seed for seed in range(200) if _gains(model, objective, groups, seed))
    torch.manual_seed(seed)
    drawn = model.write([g.prompt for g in groups], objective.tokenizer, max_tokens=5, sampling=FROM_P)
    said = objective.collate([replace(g, answer=(*d.ids, 2)) for g, d in zip(groups, drawn, strict=True)])
    before = model(said.ids, said.mask, said.labels).sum().item()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    torch.manual_seed(seed)
    objective.loss(model, objective.collate(groups)).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert model(said.ids, said.mask, said.labels).sum().item() < before


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_for_a_reward_may_be_any_word(
    kind: str, tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient weighs draws by the whole distribution: none of it may be cut off, as transformers' 50 likeliest."""
    build(kind, tmp_path / "random")
    model, objective, groups = groups_of(kind, tmp_path / "random", template)
    objective.reward, objective.reward_share, objective.max_answer_tokens = f1, 1.0, 1
    written: list[list[Written]] = []
    honest = model.write

    def heard(*args: Any, **options: Any) -> list[Written]:
        written.append(honest(*args, **options))
        return written[-1]

    monkeypatch.setattr(model, "write", heard)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("wte.weight", "shared.weight")):
                weight.mul_(0.05)  # all words are nearly as likely
    torch.manual_seed(0)
    objective.loss(model, objective.collate(groups[:1] * 1000))
    drawn, likeliest = ({token for one in batch for token in one.ids} for batch in written)
    assert len(drawn) > 65  # of 75 kinds, and the end
    assert len(likeliest) == 1


def _gains(model: Generator, objective: WritingObjective, groups: list[Any], seed: int) -> bool:
    """Whether what is drawn with this seed is worth more than what is likeliest."""
    torch.manual_seed(seed)
    prompts = [g.prompt for g in groups]
    drawn = model.write(prompts, objective.tokenizer, max_tokens=5, sampling=FROM_P)
    likeliest = model.write(prompts, objective.tokenizer, max_tokens=5)
    worth = [
        objective._worth(one.ids, g) - objective._worth(other.ids, g)
        for one, other, g in zip(drawn, likeliest, groups, strict=True)
    ]
    return min(worth) >= 0 and max(worth) > 0


def test_a_run_with_a_reward_and_smoothing_trains_to_the_end(base: tuple[str, Path], tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    data = asked(tmp_path / "any.jsonl", 0, "at any time")
    run = described(
        tmp_path / "run",
        base[1],
        [data],
        reward="rouge_l",
        label_smoothing=0.1,
        test_documents=0,
        schedule={"epochs": 1, "batch_groups": 10, "learning_rate": 1e-4, "validate_steps": 100},
    )
    finetune(run, resume=False, report=said.append)
    assert all(np.isfinite(values["loss"]) for values in said if "loss" in values)


def test_a_trained_model_is_heard_as_it_answers(base: tuple[str, Path], template: Path) -> None:
    _, folder = base
    reader = GenerativeReader(model=str(folder), prompt=str(template), max_answer_tokens=4)
    for number, animal in enumerate(ANIMALS[::5]):
        text = f"the {animal} lives in the {place(5 * number, 0)} by day"
        query, hits = (
            Query(f"where does the {animal} live by day ?"),
            [Hit(Passage("a", 0, len(text), text), 1.0)],
        )
        heard: list[str] = []
        answer = reader.stream(query, hits, heard.append)
        assert "".join(heard) == answer.text == place(5 * number, 0)
        assert answer == reader.read([query], [hits])[0]


def test_answers_carry_the_words_that_bear_them_out(base: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = base
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "one.md").write_text(f"# Notes\n\nThe animal3 lives in the {place(3, 0)}. It is old.\n")
    (notes / "two.md").write_text("# Notes\n\nThe animal5 lives somewhere.\n")
    build_index([notes], tmp_path / "index", Config())
    template = tmp_path / "question.jinja"
    template.write_text("{{ question }}", encoding="utf-8")
    overrides = ["reader.name=generative", f"reader.model={folder}", f"reader.prompt={template}"]
    with load_pipeline(tmp_path / "index", overrides=overrides) as pipeline:
        known = pipeline.ask("where does the animal3 live by day ?")
        unknown = pipeline.ask("where does the animal5 live by day ?")
        document = pipeline.retriever.catalog.document(known.citations[0].doc_id)
    assert known.text == place(3, 0)
    (cited,) = known.citations
    assert document.text[cited.start : cited.end] == cited.quote == place(3, 0)
    assert known.sentence == f"The animal3 lives in the {place(3, 0)}."
    assert 0 < known.confidence <= 1
    assert unknown.text is None
    assert unknown.candidate == place(5, 0)
    alone = [*overrides, "fusion.method=none"]
    with load_pipeline(tmp_path / "index", overrides=[*alone, "reader.closed_book=true"]) as pipeline:
        remembered = pipeline.ask("where does the animal5 live by day ?")
    assert (remembered.text, remembered.citations, remembered.hits) == (place(5, 0), (), ())
    assert 0 < remembered.confidence <= 1
    with load_pipeline(tmp_path / "index", overrides=alone) as pipeline:
        assert pipeline.ask("where does the animal5 live by day ?").text is None


def test_what_a_language_model_does_not_heed_is_refused(
    base: tuple[str, Path], questions: Path, tmp_path: Path
) -> None:
    given = {
        "layers": 1,
        "start_from": "builtin",
        "storage": "int8",
        "decoder_layers": 2,
        "question_share": 0.2,
    }
    assert given.keys() == set(GeneratorRun.for_decoders)
    for name, value in given.items():
        run = described(tmp_path, base[1], [questions], **{name: value})
        with pytest.raises(TrainingError, match=f"{name} = {value}: .* is a language model"):
            finetune(run, resume=False, report=lambda _: None)
    run = described(tmp_path, base[1], [questions], reward_share=0.3)
    with pytest.raises(TrainingError, match=r"reward_share = 0\.3: there is no reward"):
        finetune(run, resume=False, report=lambda _: None)


def test_a_prompt_never_takes_more_places_than_the_model_has(base: tuple[str, Path], tmp_path: Path) -> None:
    kind, folder = base
    model = load_generator(folder)
    assert model.room(8) == (120 if kind == "causal" else 128)
    assert model.room(8, plugins.build("tuning", {"name": "prompt", "size": 30})) == model.room(8) - 30
    notes = tmp_path / "notes"
    notes.mkdir()
    long = " ".join(f"The animal{n} lives in the valley." for n in range(40))
    (notes / "long.md").write_text(f"# Notes\n\n{long}\n")
    build_index([notes], tmp_path / "index", Config())
    overrides = ["reader.name=generative", f"reader.model={folder}", "reader.max_answer_tokens=8"]
    with load_pipeline(tmp_path / "index", overrides=overrides) as pipeline:
        answer = pipeline.ask("where does the animal3 live ?")
    assert answer.note
    assert answer.details["passages"] == 1


def test_what_a_model_was_made_to_say_otherwise_does_not_bend_its_answers(
    base: tuple[str, Path], tmp_path: Path, template: Path
) -> None:
    kind, folder = base
    bent = tmp_path / "bent"
    shutil.copytree(folder, bent)
    path = bent / "generation_config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "repetition_penalty": 5.0, "min_new_tokens": 4, "do_sample": True}))
    plain, objective, groups = groups_of(kind, folder, template)
    prompts = [g.prompt for g in groups]
    written = load_generator(bent).write(prompts, objective.tokenizer, max_tokens=5)
    assert written == plain.write(prompts, objective.tokenizer, max_tokens=5)


def test_what_was_added_to_a_model_needs_that_model(base: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = base
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    data = asked(tmp_path / "any.jsonl", 0, "at any time")
    schedule = {"epochs": 1, "batch_groups": 10, "learning_rate": 1e-3, "validate_steps": 100}
    run = described(tmp_path / "run", own, [data], tuning="adapter", schedule=schedule)
    model = finetune(run, resume=False, report=lambda _: None).model
    load_generator(model)
    build("causal", own)
    with pytest.raises(ModelError, match="on top of another model"):
        load_generator(model)


def test_questions_whose_answers_nobody_has_worded_are_no_refusals(
    base: tuple[str, Path], template: Path
) -> None:
    _, objective, _ = groups_of(*base, template)
    passage = Passage("a", 0, 8, "the ant")
    rng = np.random.default_rng(0)
    optional = Example(Query("which ?", choices=("day", "night")), choice=0)
    judged = Example(Query("which ?"), (), (passage,), (), (passage,))
    assert [objective.group(one, rng) for one in (optional, judged)] == [None, None]
    assert objective.group(Example(Query("which ?"), hard_negatives=(passage,)), rng) is not None


def test_answers_that_find_no_room_are_told_before_the_first_step(
    base: tuple[str, Path], tmp_path: Path
) -> None:
    data = asked(tmp_path / "any.jsonl", 0, "at any time")
    run = described(tmp_path / "run", base[1], [data], max_answer_tokens=1)
    with pytest.raises(TrainingError, match="no validation question can be used"):
        finetune(run, resume=False, report=lambda _: None)


def test_a_killed_run_goes_on_to_the_same_weights(
    base: tuple[str, Path], tmp_path: Path, kill_at: Callable[[Path, str, int], None]
) -> None:
    data = asked(tmp_path / "any.jsonl", 0, "at any time")
    schedule = {
        "epochs": 2,
        "batch_groups": 10,
        "learning_rate": 1e-3,
        "validate_steps": 4,
        "checkpoint_minutes": 1e-9,
    }
    stored = []
    for name in ("whole", "killed"):
        run = described(tmp_path / name, base[1], [data], schedule=schedule, reward="f1", reward_share=0.3)
        if name == "killed":
            kill_at(tmp_path / name / "run.yaml", "generator", 6)
        finetune(run, resume=name == "killed", report=lambda _: None)
        stored.append(checkpoints.load_tensors(run.output / "last.safetensors"))
    whole, killed = stored
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole if key.startswith("weight/"))
