"""``finetune generator`` on an encoder: a tiny one learns by heart, is stored, loads elsewhere, reads and asks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertModel

from ragqa import checkpoints, data, plugins, pretrained
from ragqa.config import Config
from ragqa.errors import ConfigError, ModelError, TrainingError
from ragqa.indexing import build_index
from ragqa.models.pointer import PointerModel
from ragqa.pipeline import load_pipeline
from ragqa.prompting import NOT_HERE
from ragqa.readers.generative import GenerativeReader
from ragqa.sources import ANSWER, ASK
from ragqa.training import run as recipe
from ragqa.training.objectives.pointing import PointingObjective
from ragqa.training.pointing import pointed_scores
from ragqa.training.run import Prepared, finetune, plan
from ragqa.training.run_files import load_run
from ragqa.training.settings import GeneratorRun
from ragqa.training.trainer import Trainer
from ragqa.types import Example, Hit, Passage, Query, Span
from ragqa.windows import load_tokenizer
from ragqa.writing import PointerWriter, open_pointer, open_writer

ANIMALS = [f"animal{n}" for n in range(50)]
PLACES = ["forest", "harbour", "meadow", "desert", "valley", "island", "river"]
_WORDS = "the lives in where does live by ? . : not these documents question which notes a b c and or"
WORDS = _WORDS.split()


def place(number: int) -> str:
    return PLACES[(3 * number + number // 7) % len(PLACES)]


def text_of(number: int) -> str:
    """Two places; the one that is asked for stands after the animal that is."""
    other = (number + 17) % 50
    return (
        f"The {ANIMALS[number].title()} lives in the {place(number).title()}. "
        f"The {ANIMALS[other].title()} lives in the {place(other).title()}."
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers whose tokenizer knows the words of the questions, uncased."""
    folder = tmp_path_factory.mktemp("encoder") / "bert"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PLACES, *ANIMALS]
    tokenizer = Tokenizer(WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(pieces[:5])
    torch.manual_seed(5)
    BertModel(
        BertConfig(
            vocab_size=len(pieces),
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=96,
            max_position_embeddings=384,
            initializer_range=0.1,
        )
    ).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def unanswerable(number: int) -> str:
    return f"Which notes question the {ANIMALS[number]}?"


def asked(path: Path) -> Path:
    """50 questions, each in two documents, so that what is learned by heart from one is judged on the other.

    Five more ask what their passages do not say.
    """
    records = [
        {
            "question": f"Where does the {animal} live?" if answered else unanswerable(number),
            "passage": f"{text_of(number)} Notes {name}.",
            "answers": [place(number).title()] if answered else [],
            "document": name,
        }
        for name in "ab"
        for answered, animals in ((True, ANIMALS), (False, ANIMALS[:5]))
        for number, animal in enumerate(animals)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def described(folder: Path, encoder: Path, questions: Path, **more: Any) -> GeneratorRun:
    folder.mkdir(exist_ok=True)
    values = {
        "data": str(questions),
        "output": str(folder / "run"),
        "backbone": str(encoder),
        "start_from": None,
        "decoder_layers": 2,
        "passages": 2,
        "unanswerable_share": 0.2,
        "question_share": 0.3,
        "max_answer_tokens": 12,
        "validation_documents": 1,
        "test_documents": 0,
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_run(path, GeneratorRun)


SHORT = {
    "epochs": 2,
    "batch_groups": 10,
    "learning_rate": 1e-3,
    "head_learning_rate": 1e-3,
    "validate_steps": 5,
}


@pytest.fixture(scope="module")
def learned(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[GeneratorRun, Path, Path]:
    """Run, folder of the model and questions."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("pointing")
    questions = asked(folder / "any.jsonl")
    schedule = {
        **SHORT,
        "epochs": 90,
        "learning_rate": 2e-3,
        "head_learning_rate": 2e-3,
        "validate_steps": 10_000,
    }
    run = described(folder / "run", encoder, questions, schedule=schedule)
    return run, finetune(run, resume=False, report=lambda _: None).model, questions


def test_fifty_answers_are_learned_by_heart(learned: tuple[GeneratorRun, Path, Path], encoder: Path) -> None:
    _, folder, questions = learned
    examples = [example for example in data.read(questions) if example.answers]
    objective = PointingObjective(load_tokenizer(encoder))
    fresh = PointerModel.from_backbone(encoder, 0.0, layers=2)
    before, after = (
        float(np.mean(pointed_scores(model, objective, examples)["exact match"]))
        for model in (fresh, PointerModel.load(folder))
    )
    assert before < 0.2
    assert after == 1.0


def passage(number: int, text: str | None = None) -> Passage:
    text = text or text_of(number)
    return Passage(f"note {number}", 0, len(text), text)


def test_the_same_weights_write_the_question_for_an_answer(learned: tuple[GeneratorRun, Path, Path]) -> None:
    _, folder, _ = learned
    text = text_of(9)
    start = text.index(place(9).title())
    writer = open_pointer(folder, max_answer_tokens=12)
    written = writer.ask([passage(9), passage(9)], [Span(start, start + len(place(9))), Span(0, 0)])
    assert written[0][0].text == "where does the Animal9 live?"
    assert [draft.text for draft in written[1]] == [""]
    (answer,) = writer.write(["where does the Animal9 live?"], [[passage(9)]])
    assert answer.text == place(9).title()


def test_it_says_so_where_the_passages_do_not_answer(learned: tuple[GeneratorRun, Path, Path]) -> None:
    _, folder, _ = learned
    reader = GenerativeReader(model=str(folder), max_answer_tokens=12)
    queries = [Query(f"Where does the {ANIMALS[3]} live?"), Query(unanswerable(3))]
    found, refused = reader.read(queries, [[Hit(passage(3), 1.0)]] * 2)
    assert found.text == place(3).title()
    (cited,) = found.citations
    assert text_of(3)[cited.start : cited.end] == cited.quote == place(3).title()
    assert 0.5 < found.confidence <= 1
    assert refused.text is None
    assert refused.confidence == 0
    assert refused.candidate == ""


def test_no_hits_no_answer(learned: tuple[GeneratorRun, Path, Path]) -> None:
    reader = GenerativeReader(model=str(learned[1]), max_answer_tokens=12)
    (answer,) = reader.read([Query("Where does the animal3 live?")], [[]])
    assert answer.text is None


def test_a_stored_model_writes_what_it_wrote_before(learned: tuple[GeneratorRun, Path, Path]) -> None:
    """int8 rows change probabilities by little, and no word."""
    run, folder, questions = learned
    examples = data.read(questions)[:50]
    whole = PointerModel.from_backbone(Path(run.backbone), 0.0, layers=2)
    best = checkpoints.load_tensors(run.output / "best.safetensors")
    assert not whole.load_state_dict(best, strict=False).unexpected_keys
    tokenizer = load_tokenizer(Path(run.backbone))
    queries, passages = [e.query.text for e in examples], [e.positives for e in examples]
    before = PointerWriter(whole.eval(), tokenizer).write(queries, passages)
    after = open_pointer(folder).write(queries, passages)
    assert [one.text for one in after] == [one.text for one in before]
    assert np.allclose(
        [one.log_probability for one in after], [one.log_probability for one in before], atol=0.1
    )
    config = pretrained.stored_config(folder)
    assert (config["kind"], config["decoder_layers"]) == ("pointer", 2)
    assert "backbone" in (folder / "README.md").read_text()


def test_passages_that_find_no_room_are_named(learned: tuple[GeneratorRun, Path, Path]) -> None:
    _, folder, _ = learned
    reader = GenerativeReader(model=str(folder), max_answer_tokens=12, max_prompt_tokens=60)
    hits = [Hit(passage(number), 1.0) for number in (3, 4, 5)]
    (answer,) = reader.read([Query("Where does the animal3 live?")], [hits])
    assert answer.details["passages"] == 2
    assert answer.note == "1 of the passages found no room in the prompt"
    long = passage(0, " ".join(text_of(number) for number in range(50)))
    tight = GenerativeReader(model=str(folder), max_answer_tokens=12, max_prompt_tokens=500)
    (answer,) = tight.read([Query("Where does the animal3 live?")], [[Hit(long, 1.0)]])
    assert answer.note == "the passage was cut to find room"


def test_it_answers_from_an_index(learned: tuple[GeneratorRun, Path, Path], tmp_path: Path) -> None:
    _, folder, _ = learned
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in (3, 12, 30):
        (notes / f"{number}.txt").write_text(text_of(number) + "\n")
    build_index([notes], tmp_path / "index", Config.from_values({"encoder": "hashing"}))
    overrides = ["reader.name=generative", f"reader.model={folder}", "reader.max_answer_tokens=12"]
    with load_pipeline(tmp_path / "index", overrides=overrides) as pipeline:
        answer = pipeline.ask("Where does the animal12 live?")
        document = pipeline.retriever.catalog.document(answer.citations[0].doc_id)
    assert answer.text == place(12).title()
    (cited,) = answer.citations
    assert document.text[cited.start : cited.end] == cited.quote


def test_a_trained_one_goes_on_and_is_compared_with_itself(
    learned: tuple[GeneratorRun, Path, Path], encoder: Path, tmp_path: Path
) -> None:
    _, folder, questions = learned
    records = questions.read_text().splitlines()
    more = tmp_path / "more.jsonl"
    third = [
        json.dumps({**json.loads(line), "document": "c"}).replace("Notes a", "Notes c")
        for line in records[:50]
    ]
    more.write_text("\n".join([*records, *third]) + "\n", encoding="utf-8")
    said: list[dict[str, Any]] = []
    run = described(
        tmp_path / "run",
        encoder,
        more,
        start_from=str(folder),
        schedule=SHORT,
        test_documents=1,
        decoder_layers=1,
    )
    finished = finetune(run, resume=False, report=said.append)
    assert next(line["validation_before"] for line in said if "validation_before" in line) == 1.0
    assert finished.comparison is not None
    assert finished.comparison.measures["F1"].before == 1.0
    assert pretrained.stored_config(finished.model)["decoder_layers"] == 2


def test_a_fresh_one_is_compared_with_the_shipped_one(encoder: Path, tmp_path: Path) -> None:
    questions = asked(tmp_path / "any.jsonl")
    held_out = {"hold_out": "questions", "validation_documents": 5, "test_documents": 4}
    run = described(tmp_path / "run", encoder, questions, schedule=SHORT, **held_out)
    finished = finetune(run, resume=False, report=lambda _: None)
    assert finished.comparison is not None
    assert finished.comparison.questions >= 4
    card = (finished.model / "README.md").read_text(encoding="utf-8")
    assert "test questions about documents that training saw, too" in card
    kept = run.model_copy(update={"test_documents": 0})
    card = (finetune(kept, resume=False, report=lambda _: None).model / "README.md").read_text("utf-8")
    assert "No questions were put aside for a test." in card


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Prepared, dict[str, torch.Tensor]]]:
    """Each run that begins, with the weights that it begins with; of each the last weights are the best."""
    kept = []
    prepare = recipe.prepare

    def keep(*given: Any) -> Prepared:
        found = prepare(*given)
        weights = {name: weight.clone() for name, weight in found.trainer.model.named_parameters()}
        kept.append((found, weights))
        return found

    monkeypatch.setattr(recipe, "prepare", keep)
    monkeypatch.setattr(Trainer, "score", lambda self: float(self.step))
    return kept


@pytest.mark.parametrize(
    ("tuning", "trains"),
    [
        ("lora", "lora_B.default.weight"),
        ("adapter", ".up.weight"),
        ("bitfit", ".LayerNorm.bias"),
        ("prompt", "encoder.prompt"),
    ],
)
def test_an_encoder_under_another_tuning_is_trained_and_stored_as_it_was_trained(
    tuning: str,
    trains: str,
    encoder: Path,
    tmp_path: Path,
    watched: list[tuple[Prepared, dict[str, torch.Tensor]]],
) -> None:
    questions = asked(tmp_path / "any.jsonl")
    run = described(tmp_path / "run", encoder, questions, tuning=tuning, schedule=SHORT)
    folder = finetune(run, resume=False, report=lambda _: None).model
    ((prepared, before),) = watched
    after = dict(prepared.trainer.model.named_parameters())
    moved = {name for name, weight in before.items() if not torch.equal(after[name], weight)}
    frozen = {name for name, weight in after.items() if not weight.requires_grad}
    assert frozen
    assert not moved & frozen
    own = {name for name in after if name.startswith("encoder.") and name.endswith(trains)}
    assert own
    assert own <= moved
    assert {"head.tasks.weight", "head.copy_query.weight", "head.gate.bias"} <= moved

    whole = PointerModel.from_backbone(encoder, 0.0, layers=2)
    plugins.build("tuning", {"name": tuning}).apply(whole)
    best = checkpoints.load_tensors(run.output / "best.safetensors")
    assert not whole.load_state_dict(best, strict=False).unexpected_keys
    numbers = (3, 12, 30)
    texts = [f"Where does the {ANIMALS[number]} live?" for number in numbers]
    shown = [[passage(number)] for number in numbers]
    expected = PointerWriter(whole.eval(), load_tokenizer(encoder)).write(texts, shown)
    for writer in (open_pointer(folder), open_writer(folder)):
        drafts = writer.write(texts, shown)
        assert [one.text for one in drafts] == [one.text for one in expected]
        scores = [one.log_probability for one in expected]
        assert [one.log_probability for one in drafts] == pytest.approx(scores, abs=1e-3)


def test_what_a_decoder_is_not_trained_with_is_refused(encoder: Path, tmp_path: Path) -> None:
    questions = asked(tmp_path / "any.jsonl")
    given = {
        "reward": "f1",
        "reward_share": 0.3,
        "label_smoothing": 0.1,
        "prompt": "few_shot",
        "max_prompt_tokens": 99,
    }
    assert given.keys() == set(GeneratorRun.for_language_models)
    for name, value in given.items():
        run = described(tmp_path / name, encoder, questions, schedule=SHORT, **{name: value})
        with pytest.raises(TrainingError, match=f"{name} = {value}: the backbone .* only encodes"):
            finetune(run, resume=False, report=lambda _: None)


def test_answers_longer_than_the_decoder_has_positions_are_refused_before_any_training(
    encoder: Path, tmp_path: Path
) -> None:
    run = described(tmp_path / "long", encoder, asked(tmp_path / "any.jsonl"), max_answer_tokens=200)
    with pytest.raises(TrainingError, match=r"max_answer_tokens is 200; accepted: at most 128"):
        plan(run, lambda _: None)


def test_longer_answers_than_there_are_places_for_are_refused(
    learned: tuple[GeneratorRun, Path, Path],
) -> None:
    with pytest.raises(ConfigError, match="max_answer_tokens 500"):
        GenerativeReader(model=str(learned[1]), max_answer_tokens=500)


@pytest.mark.skipif(
    (Path(pretrained.__file__).parent / "generator").is_dir(), reason="weights of a generator are here"
)
def test_without_weights_the_shipped_one_says_how_to_train_one() -> None:
    with pytest.raises(ModelError, match="no weights for a generator come with this version"):
        GenerativeReader()


@pytest.fixture
def objective(encoder: Path) -> PointingObjective:
    return PointingObjective(
        load_tokenizer(encoder), passages=3, unanswerable_share=0.25, question_share=0.5, max_answer_tokens=12
    )


def test_a_question_whose_answer_nobody_has_worded_is_no_refusal(objective: PointingObjective) -> None:
    query = Query("Which?", choices=("a", "b"))
    optional = Example(query, (), (passage(3),), (), (passage(4),), choice=0)
    nothing = Example(Query("Which?"), hard_negatives=(passage(4),))
    objective.prepare([optional, nothing])
    rng = np.random.default_rng(0)
    assert all(objective.group(optional, rng) is None for _ in range(20))
    assert objective.group(nothing, rng) is not None


def test_groups_have_the_shares_that_were_asked_for(objective: PointingObjective) -> None:
    text = text_of(3)
    start = text.index(place(3).title())
    example = Example(
        Query("Where does the animal3 live?"),
        (place(3).title(),),
        (passage(3),),
        (Span(start, start + len(place(3))),),
        (passage(4), passage(5), passage(6)),
    )
    objective.prepare([example])
    rng = np.random.default_rng(0)
    groups = [group for _ in range(4000) if (group := objective.group(example, rng)) is not None]
    tokenizer = objective.tokenizer
    asks = [group for group in groups if group.task == ASK]
    assert len(asks) / len(groups) == pytest.approx(0.5, abs=0.03)
    assert {tokenizer.decode(g.written.tolist()) for g in asks} == {"where does the animal3 live ?"}
    answers = [group for group in groups if group.task == ANSWER]
    refusals = [g for g in answers if tokenizer.decode(g.written.tolist()) == NOT_HERE["en"]]
    assert len(refusals) / len(answers) == pytest.approx(0.25, abs=0.03)
    counts = np.bincount([len(g.sources) for g in answers], minlength=4)[1:] / len(answers)
    assert counts == pytest.approx([1 / 3] * 3, abs=0.04)
    own = tokenizer.encode(text, add_special_tokens=False).ids
    holds = [any(list(s.window.ids[s.window.text_at : -1]) == own for s in g.sources) for g in answers]
    assert sum(holds) == len(answers) - len(refusals)
    first = [list(g.sources[0].window.ids[g.sources[0].window.text_at : -1]) == own for g in answers]
    assert 0.3 < float(np.mean(first)) < 0.75
