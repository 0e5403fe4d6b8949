"""``finetune`` of the choice model: from options to a pipeline that chooses and cites."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ragqa import choices, plugins, pretrained
from ragqa.backbone import file_digest
from ragqa.choices import option_probabilities
from ragqa.cli.training_view import comparison_lines
from ragqa.config import Config
from ragqa.errors import ConfigError, TrainingError, UsageError
from ragqa.indexing import build_index
from ragqa.models.choice import ChoiceModel
from ragqa.pipeline import load_pipeline
from ragqa.readers.multiple_choice import MultipleChoiceReader
from ragqa.training import teaching
from ragqa.training.objectives.choice import ChoiceObjective, Lesson, choice_loss
from ragqa.training.objectives.shared_passage import QUESTIONS, SharedPassageObjective
from ragqa.training.run import finetune, plan, prepare
from ragqa.training.run_files import load_run
from ragqa.training.settings import ChoiceRun
from ragqa.training.targets.choice import CLASSES, judged
from ragqa.training.teaching import lessons
from ragqa.types import Example, Hit, Passage, Query
from ragqa.windows import Windower, load_tokenizer

SCHEDULE = {"epochs": 20, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 15}
ANIMALS = ("walrus", "badger", "heron", "otter", "lynx", "toad")
TEXT = "It was seen in 1901. The walrus of group 1 lives in the harbour. It was seen 4 times."


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions whose right option is a harbour or a meadow, at every letter: what a tiny model can learn."""
    path = tmp_path_factory.mktemp("options") / "harbour.jsonl"
    records = []
    for number, animal in enumerate(ANIMALS):
        for n in range(6):
            others = ["the desert", "the valley", "the island"]
            place, right = (number + n) % 4, ("the harbour", "the meadow")[n % 2]
            records.append(
                {
                    "question": f"Where does the {animal} of group {n} live?",
                    "choices": [*others[:place], right, *others[place:]],
                    "correct": right,
                }
            )
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def described(folder: Path, bert: Path, data: Path, **more: Any) -> Path:
    values = {
        "data": str(data),
        "output": str(folder / "run"),
        "backbone": str(bert),
        "start_from": None,
        "validation_documents": 6,
        "test_documents": 6,
        "schedule": SCHEDULE,
        **more,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, options: Path) -> Path:
    torch.set_num_threads(1)
    run = load_run(described(tmp_path_factory.mktemp("choice"), tiny_bert, options), ChoiceRun)
    finished = finetune(run, resume=False, report=lambda _: None)
    assert finished.comparison is not None
    assert finished.comparison.measures["accuracy"].before < 1.0  # the shipped one never met a walrus
    assert finished.comparison.measures["accuracy"].after == 1.0
    assert finished.comparison.confusion is not None
    shown = comparison_lines(finished.comparison)[3:]
    assert shown[0].split()[:4] == ["precision", "recall", "F1", "questions"]
    assert [line.split()[0] for line in shown[1:]] == list("ABCD"[: len(finished.comparison.confusion)])
    return finished.model


def test_what_each_letter_gave_is_stored_and_stands_on_the_card(trained: Path) -> None:
    values = json.loads((trained / CLASSES).read_text())
    assert values["part"] == "test"
    assert values["accuracy"] == 1.0
    assert sum(row["support"] for row in values["classes"].values()) == 6
    assert np.trace(np.array(values["confusion"])) == 6
    card = (trained / "README.md").read_text(encoding="utf-8")
    support = values["classes"]["B"]["support"]
    cells = " | ".join(map(str, values["confusion"][1]))
    assert f"| B | 100.0 | 100.0 | 100.0 | {support} | {cells} |" in card


def test_the_reader_chooses_and_cites_the_passage(trained: Path) -> None:
    hits = [Hit(Passage("notes", 100, 100 + len(TEXT), TEXT), 0.9)]
    query = Query("Where does the walrus of group 1 live?", choices=("the desert", "the harbour", "a valley"))
    reader = MultipleChoiceReader(model=str(trained))
    (answer,) = reader.read([query], [hits])
    assert answer.text == "the harbour"
    (citation,) = answer.citations
    assert citation.quote == "The walrus of group 1 lives in the harbour."
    assert TEXT[citation.start - 100 : citation.end - 100] == citation.quote
    assert sum(answer.details.values()) == pytest.approx(1.0)
    assert answer.confidence == max(answer.details.values())
    assert reader.read([query], [[]])[0].text is None
    (refused,) = MultipleChoiceReader(model=str(trained), threshold=1.0).read([query], [hits])
    assert (refused.text, refused.citations) == (None, ())
    with pytest.raises(UsageError, match="0 options"):
        reader.read([Query("Where?")], [hits])


def test_with_a_closed_book_the_question_alone_decides_and_nothing_is_cited(trained: Path) -> None:
    options = ("the desert", "the harbour", "a valley")
    query = Query("Where does the walrus of group 1 live?", choices=options)
    reader = MultipleChoiceReader(model=str(trained), precision="f32", closed_book=True)
    (answer,) = reader.read([query], [[]])
    objective = ChoiceObjective(load_tokenizer(pretrained.backbone_of(trained)))
    ((_, scores),) = judged(
        ChoiceModel.load(trained), objective, [Example(Query(query.text, "a", options), choice=0)]
    )
    assert answer.text == options[int(scores.argmax())]
    assert (answer.citations, answer.hits) == ((), ())
    assert sum(answer.details.values()) == pytest.approx(1.0)
    hits = [Hit(Passage("notes", 0, len(TEXT), TEXT), 0.9)]
    (read,) = reader.read([query], [hits])
    assert read == MultipleChoiceReader(model=str(trained), precision="f32").read([query], [hits])[0]


@pytest.mark.parametrize("name", plugins.names("tuning"))
def test_every_tuning_is_served_as_it_was_trained(
    name: str, tmp_path: Path, tiny_bert: Path, options: Path
) -> None:
    torch.set_num_threads(1)
    few = {"epochs": 2, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 8}
    path = described(tmp_path, tiny_bert, options, tuning=name, test_documents=0, schedule=few)
    folder = finetune(load_run(path, ChoiceRun), resume=False, report=lambda _: None).model
    reader = MultipleChoiceReader(model=str(folder), precision="f32")
    query = Query("Where does the walrus of group 1 live?", choices=("the desert", "the harbour"))
    hits = [Hit(Passage("a", 0, len(TEXT), TEXT), 0.9), Hit(Passage("b", 0, 9, TEXT[:20]), 0.8)]
    texts = [hit.passage.titled_text for hit in hits]
    found = reader._scores(query, texts)
    assert found.shape == (2, 2)
    model = ChoiceModel.load(folder)
    for option in range(2):
        one = Query(query.text, choices=(query.choices[option], "the island"))
        again = reader._scores(one, texts[:1])
        assert again[0, 0] == pytest.approx(found[option, 0], abs=1e-3)
    from ragqa.choices import option_windows, token_ids

    question, harbour, text = token_ids(reader._tokenizer, [query.text, "the harbour", TEXT])
    (window,) = option_windows(reader._windower, question, harbour, text)
    ids = torch.from_numpy(window.ids)[None]
    with torch.inference_mode():
        (score,) = model(ids, torch.ones_like(ids), torch.from_numpy(reader._windower.segment(window))[None])
    assert found[1, 0] == pytest.approx(float(score), abs=1e-3)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions in RACE's form: six on each passage, which says what lives where."""
    folder = tmp_path_factory.mktemp("race")
    where = ("forest", "harbour", "meadow", "desert")
    for document in range(12):
        asked = [
            (f"{animal} of group {document}", where[(document + n) % 4]) for n, animal in enumerate(ANIMALS)
        ]
        record = {
            "id": f"{document}.txt",
            "article": " ".join(f"The {animal} lives in the {home}." for animal, home in asked),
            "questions": [f"Where does the {animal} live?" for animal, _ in asked],
            "options": [list(where)] * len(asked),
            "answers": ["ABCD"[where.index(home)] for _, home in asked],
        }
        (folder / f"{document}.txt").write_text(json.dumps(record), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [name for name in plugins.names("tuning") if name != "prompt"])
def test_a_model_that_reads_passages_once_is_served_as_it_was_trained(
    name: str, tmp_path: Path, tiny_bert: Path, places: Path
) -> None:
    few = {"epochs": 3, "batch_groups": 4, "learning_rate": 3e-3, "validate_steps": 2}
    more = {"validation_documents": 2, "test_documents": 2, "schedule": few, "passage_once": True}
    said: list[dict[str, Any]] = []
    run = load_run(described(tmp_path, tiny_bert, places, tuning=name, **more), ChoiceRun)
    finished = finetune(run, resume=False, report=said.append)
    assert {"training_questions": 48, "validation_questions": 12, "test_questions": 12} in said
    assert finished.comparison is not None  # with the shipped one, which reads row by row
    assert finished.comparison.questions == 12
    model = ChoiceModel.load(finished.model)
    assert model.passage_once
    objective = SharedPassageObjective(load_tokenizer(tiny_bert))
    article = " ".join(f"The {animal} lives in the harbour." for animal in ANIMALS[:2])
    passage = Passage("a", 0, len(article), article)
    asked = [
        Example(
            Query(f"Where does the {a} live?", a, ("the forest", "the harbour")), (), (passage,), choice=1
        )
        for a in ANIMALS[:2]
    ]
    reader = MultipleChoiceReader(model=str(finished.model), precision="f32")
    for example, scores in judged(model, objective, asked):
        served = reader._scores(example.query, [passage.titled_text])
        assert served[:, 0] == pytest.approx(scores, abs=1e-3)


def test_questions_on_a_passage_are_one_group_and_judged_in_their_order(tiny_bert: Path) -> None:
    objective = SharedPassageObjective(load_tokenizer(tiny_bert))
    passages = [Passage(name, 0, 10, f"The {name} is red.") for name in ("walrus", "heron")]
    asked = [
        Example(
            Query(f"What of {n}?", str(n), ("red", "it lives", "no")), (), (passages[n % 2],), choice=n % 3
        )
        for n in range(2 * QUESTIONS + 4)
    ]
    asked.insert(1, Example(Query("Is it?", "alone", ("red", "no")), choice=0))
    asked.insert(3, Example(Query("And it?", "unknown", ("red", "no"))))
    objective.prepare(asked)
    rng = np.random.default_rng(0)
    groups = [g for e in asked if (g := objective.group(e, rng)) is not None]
    assert [len(g.examples) for g in groups] == [QUESTIONS, 1, QUESTIONS, 2, 2]
    torch.manual_seed(4)
    model = ChoiceModel.from_backbone(tiny_bert, 0.0, passage_once=True).eval()
    known = [e for e in asked if e.choice is not None]
    together = judged(model, objective, asked)
    assert [e for e, _ in together] == known
    for example, scores in together:
        fresh = SharedPassageObjective(objective.tokenizer)
        ((_, alone),) = judged(model, fresh, [example])
        assert scores == pytest.approx(alone, abs=1e-5)


def test_what_was_judged_in_part_is_judged_whole(tiny_bert: Path) -> None:
    """A run validates on some of the questions that were held out, and ends with all of them."""
    passages = [Passage(name, 0, 10, f"The {name} is red.") for name in ("walrus", "heron")]
    asked = [
        Example(Query(f"What of {n}?", str(n), ("red", "no")), (), (passages[n % 2],), choice=0)
        for n in range(12)
    ]
    objective = SharedPassageObjective(load_tokenizer(tiny_bert))
    model = ChoiceModel.from_backbone(tiny_bert, 0.0, passage_once=True).eval()
    whole = {e.query.id: scores for e, scores in judged(model, objective, asked)}
    for part in (asked[3:7], asked, asked[:2], asked[::-1]):
        found = judged(model, objective, part)
        assert [e.query.id for e, _ in found] == [e.query.id for e in part]
        for example, scores in found:
            assert scores == pytest.approx(whole[example.query.id], abs=1e-5)
        groups = [g for e in part if (g := objective.group(e, np.random.default_rng(0))) is not None]
        assert sum(len(g.examples) for g in groups) == len(part)


def test_a_long_passage_counts_by_its_best_piece(small_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "PIECE_TOKENS", 10)
    tokenizer = load_tokenizer(small_bert)
    objective = SharedPassageObjective(tokenizer)
    objective.windower = Windower.of(tokenizer, overlap_tokens=4)
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    example = Example(
        Query("How many?", "q", ("six", "no")), (), (Passage("a", 0, len(text), text),), choice=0
    )
    objective.prepare([example])
    group = objective.group(example, np.random.default_rng(0))
    assert group is not None
    texts = [tokenizer.decode(list(piece)) for piece in group.pieces]
    assert texts == [text[: text.index(" eleven")], text[text.index("seven") :]]
    model = ChoiceModel.from_backbone(small_bert, 0.0, passage_once=True).eval()
    ((_, best),) = judged(model, objective, [example])
    each = []
    for shown in texts:
        part = Example(example.query, (), (Passage("a", 0, len(shown), shown),), choice=0)
        ((_, scores),) = judged(model, objective, [part])
        each.append(scores)
    assert best == pytest.approx(np.max(each, axis=0), abs=1e-5)


def test_how_passages_are_read_is_that_of_the_model_it_goes_on_from(
    tmp_path: Path, tiny_bert: Path, places: Path
) -> None:
    few = {"epochs": 1, "batch_groups": 4, "learning_rate": 1e-3}
    more = {"validation_documents": 2, "test_documents": 0, "schedule": few}
    run = load_run(described(tmp_path, tiny_bert, places, passage_once=True, **more), ChoiceRun)
    first = finetune(run, resume=False, report=lambda _: None).model
    on = {"start_from": str(first), "output": tmp_path / "on"}
    for asked, expected in ((None, True), (False, False)):
        path = described(tmp_path, tiny_bert, places, passage_once=asked, **more)
        later = load_run(path, ChoiceRun).model_copy(update=on)
        assert (
            ChoiceModel.load(finetune(later, resume=False, report=lambda _: None).model).passage_once
            is expected
        )
    wrong = {"tuning": "prompt"}
    with pytest.raises(ConfigError, match="passage_once"):
        load_run(described(tmp_path, tiny_bert, places, passage_once=True, **more, **wrong), ChoiceRun)
    inherited = load_run(described(tmp_path, tiny_bert, places, **more, **wrong), ChoiceRun)
    with pytest.raises(ConfigError, match="passage_once"):
        plan(inherited.model_copy(update=on), lambda _: None)


def test_without_a_schedule_a_run_is_validated_once_an_epoch(
    tmp_path: Path, tiny_bert: Path, places: Path
) -> None:
    """A group is a passage: an epoch has fewer steps than its questions would make."""
    more = {"validation_documents": 2, "test_documents": 0, "passage_once": True, "schedule": None}
    prepared = prepare(load_run(described(tmp_path, tiny_bert, places, **more), ChoiceRun), lambda _: None)
    assert prepared.trainer.steps_per_epoch == 3  # ten passages by four
    assert prepared.trainer.validate_steps == 3


def test_answers_get_options_from_their_passage(tmp_path: Path, tiny_bert: Path, questions: Path) -> None:
    said: list[dict[str, Any]] = []
    few = {"epochs": 1, "batch_groups": 12, "learning_rate": 3e-3}
    values: dict[str, Any] = {"validation_documents": 1, "test_documents": 1, "schedule": few, "options": 3}
    run = load_run(described(tmp_path, tiny_bert, questions, **values), ChoiceRun)
    finetune(run, resume=False, report=said.append)
    assert said[0] == {"training_questions": 24, "validation_questions": 6, "test_questions": 6}


def test_the_same_option_for_all_is_refused(tmp_path: Path, tiny_bert: Path) -> None:
    path = tmp_path / "same.jsonl"
    records = [
        {"question": f"Which is {n}?", "choices": ["yes", f"no {n}"], "correct": "A"} for n in range(60)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    run = load_run(described(tmp_path, tiny_bert, path), ChoiceRun)
    with pytest.raises(TrainingError, match="have the choice 'yes'"):
        finetune(run, resume=False, report=lambda _: None)


def test_the_loss_is_the_mean_cross_entropy_of_the_questions() -> None:
    scores = torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5])
    question, right = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([False, True, False, True, False])
    for smoothing in (0.0, 0.2):
        expected = [
            torch.nn.functional.cross_entropy(scores[:3], torch.tensor(1), label_smoothing=smoothing),
            torch.nn.functional.cross_entropy(scores[3:], torch.tensor(0), label_smoothing=smoothing),
        ]
        found = choice_loss(scores, question, right, smoothing)
        assert float(found) == pytest.approx(float(sum(expected)) / 2)


def test_passages_share_one_sum() -> None:
    shares = option_probabilities(np.log(np.array([[1.0, 3.0], [2.0, 2.0], [0.5, 1.5]])))
    assert shares == pytest.approx([0.4, 0.4, 0.2])


def test_a_question_with_options_is_asked_of_an_index(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").write_text(TEXT, encoding="utf-8")
    config = Config.from_values(
        {"encoder": "hashing", "reader": {"name": "multiple_choice", "model": str(trained)}}
    )
    build_index([tmp_path / "docs"], tmp_path / "index", config)
    with load_pipeline(tmp_path / "index") as pipeline:
        answer = pipeline.ask("Where does the walrus live?", choices=("the desert", "the harbour"))
    assert answer.text == "the harbour"
    assert answer.citations[0].doc_id == "docs/notes.txt"


def test_teachers_score_each_option_and_options_of_other_questions(trained: Path) -> None:
    places = ("the harbour", "the meadow", "the desert", "the island")
    asked = [
        Example(Query(f"Where does the {animal} live?", animal, places[n : n + 2]), choice=0)
        for n, animal in enumerate(ANIMALS[:3])
    ]
    read = Example(Query("Where is it?", "read", places), (), (Passage("a", 0, len(TEXT), TEXT),), choice=0)
    found = lessons((*asked, read), (str(trained), str(trained)), other_options=2, seed=1)
    assert list(found) == [e.query for e in asked]  # what comes with a passage tells itself
    objective = ChoiceObjective(load_tokenizer(pretrained.backbone_of(trained)))
    model = ChoiceModel.load(trained)
    for example in asked:
        lesson = found[example.query]
        assert lesson.options[:2] == example.query.choices
        assert len(set(lesson.options)) == 4
        ((_, scores),) = judged(
            model, objective, [Example(Query(example.query.text, "x", lesson.options), choice=0)]
        )
        assert lesson.scores == pytest.approx(scores - np.logaddexp.reduce(scores[:2]), abs=0.05)
    again = lessons(tuple(asked), (str(trained),), other_options=2, seed=1)
    assert [lesson.options for lesson in again.values()] == [lesson.options for lesson in found.values()]
    assert not lessons(tuple(asked), (), other_options=2, seed=1)
    with pytest.raises(TrainingError, match="every question comes with a passage"):
        lessons((read,), (str(trained),), other_options=2, seed=1)
    with pytest.raises(TrainingError, match="is a model of the kind pair"):
        lessons(tuple(asked), (str(pretrained.folder_of("reranker", "builtin")),), other_options=2, seed=1)


def test_lessons_are_worked_out_once_and_again_where_what_was_kept_is_damaged(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGQA_CACHE", str(tmp_path))
    worked_out: list[int] = []
    honest = teaching._told

    def counted(*given: Any) -> Any:
        worked_out.append(1)
        return honest(*given)

    monkeypatch.setattr(teaching, "_told", counted)
    asked = [Example(Query(f"Where does the {a} live?", a, ("harbour", "meadow")), choice=0) for a in ANIMALS]
    first = lessons(asked, [str(trained)], 0, 1)
    (kept,) = (tmp_path / "lessons").glob("*.json")
    for expected in (1, 2):
        again = lessons(asked, [str(trained)], 0, 1)
        assert len(worked_out) == expected
        assert again.keys() == first.keys()
        for query, lesson in again.items():
            assert lesson.options == first[query].options
            assert np.array_equal(lesson.scores, first[query].scores)
        kept.write_text(kept.read_text()[:-9])
    lessons(asked[1:], [str(trained)], 0, 1)
    assert len(worked_out) == 3
    assert len(list((tmp_path / "lessons").glob("*.json"))) == 2


@pytest.mark.parametrize("kind", [ChoiceObjective, SharedPassageObjective])
def test_a_taught_question_keeps_its_right_option(
    trained: Path, kind: type[ChoiceObjective | SharedPassageObjective]
) -> None:
    options = ("the harbour", "the meadow", "the desert")
    example = Example(Query("Where does the toad live?", "toad", options), choice=1)
    lesson = Lesson((*options, "a valley", "an island"), np.arange(5, dtype=np.float32))
    tokenizer = load_tokenizer(pretrained.backbone_of(trained))
    taught: Any = kind(tokenizer, lessons={example.query: lesson})
    others = Example(
        Query("Where else?", "x", lesson.options[3:]), choice=1
    )  # whose options the lesson has, too
    text = Passage("a", 0, len(TEXT), TEXT)
    read = Example(Query("Where is it?", "read", options), (), (text,), choice=2)
    taught.prepare([example, others, read])
    rng = np.random.default_rng(3)
    drawn = set()
    for _ in range(40):
        batch = taught.collate([taught.group(example, rng), taught.group(read, rng)])
        told = batch.taught[:3].tolist()
        places = [lesson.scores.tolist().index(score) for score in told]
        assert len(set(places)) == 3
        assert [places[n] for n, right in enumerate(batch.right[:3]) if right] == [1]
        assert batch.taught[3:].isnan().all()
        assert batch.right[3:].tolist() == [False, False, True]
        drawn.add(tuple(sorted(places)))
        model = ChoiceModel.load(trained)
        model.passage_once = kind is SharedPassageObjective
        shown = [lesson.options[place] for place in places]
        alone = kind(tokenizer)
        ((_, scores),) = judged(
            model, alone, [Example(Query(example.query.text, "y", tuple(shown)), choice=0)]
        )
        with torch.inference_mode():
            found = taught.scores(model, batch)[:3]
        assert found.tolist() == pytest.approx(scores, abs=1e-5)
    assert (0, 1, 2) in drawn
    assert len(drawn) > 3


def test_what_is_said_of_teachers_needs_some(tmp_path: Path, tiny_bert: Path, options: Path) -> None:
    run = load_run(described(tmp_path, tiny_bert, options, teacher_share=0.5), ChoiceRun)
    with pytest.raises(TrainingError, match=r"teacher_share = 0\.5: there are no teachers"):
        plan(run, lambda _: None)


def test_the_loss_of_a_taught_question_is_mixed_with_its_distance_from_the_teachers() -> None:
    scores = torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5])
    question, right = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([False, True, False, True, False])
    taught = torch.tensor([0.2, 0.9, -0.4, torch.nan, torch.nan])
    first, second = (
        torch.nn.functional.cross_entropy(*one)
        for one in ((scores[:3], torch.tensor(1)), (scores[3:], torch.tensor(0)))
    )
    said, learned = (np.exp(v[:3] / 2) / np.exp(v[:3] / 2).sum() for v in (taught.numpy(), scores.numpy()))
    distance = float((said * np.log(said / learned)).sum())
    found = choice_loss(scores, question, right, 0.0, taught, 0.25)
    assert float(found) == pytest.approx((0.75 * float(first) + 0.25 * 4 * distance + float(second)) / 2)
    of_its_own = choice_loss(scores[:3], question[:3], right[:3], 0.0, scores[:3] + 1.5, 1.0)
    assert float(of_its_own) == pytest.approx(0.0, abs=1e-6)


def test_what_teachers_know_is_learned_where_the_labels_are_wrong(
    trained: Path, tmp_path: Path, tiny_bert: Path, options: Path
) -> None:
    """Labels that name a desert or a valley; the teacher knows better, and is heard alone."""
    torch.set_num_threads(1)
    wrong = tmp_path / "wrong.jsonl"
    records = [json.loads(line) for line in options.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({**r, "correct": ("the desert", "the valley")[n % 2]}) for n, r in enumerate(records)]
    wrong.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = described(
        tmp_path,
        tiny_bert,
        wrong,
        test_documents=0,
        teachers=[str(trained)],
        teacher_share=1.0,
        other_options=0,
    )
    folder = finetune(load_run(path, ChoiceRun), resume=False, report=lambda _: None).model
    objective = ChoiceObjective(load_tokenizer(pretrained.backbone_of(folder)))
    asked = [
        Example(Query(r["question"], str(n), tuple(r["choices"])), choice=r["choices"].index(r["correct"]))
        for n, r in enumerate(records)
    ]
    right = [scores.argmax() == e.choice for e, scores in judged(ChoiceModel.load(folder), objective, asked)]
    assert np.mean(right) > 0.9


def test_another_teacher_is_another_run(
    trained: Path, tmp_path: Path, tiny_bert: Path, options: Path
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(trained, teacher)
    few = {"epochs": 2, "batch_groups": 12, "learning_rate": 3e-3, "validate_steps": 2}
    more = {"teachers": [str(teacher)], "other_options": 1, "schedule": few, "test_documents": 0}
    run = load_run(described(tmp_path, tiny_bert, options, **more), ChoiceRun)
    whole = finetune(run, resume=False, report=lambda _: None).model
    moved = teacher.rename(tmp_path / "moved")
    run = run.model_copy(update={"teachers": (str(moved),)})
    again = finetune(run, resume=True, report=lambda _: None).model
    assert file_digest(again / "model.safetensors") == file_digest(whole / "model.safetensors")
    tensors = load_file(moved / "model.safetensors")
    save_file({name: tensor.roll(1, 0) for name, tensor in tensors.items()}, moved / "model.safetensors")
    with pytest.raises(TrainingError, match="was made with other models;"):
        finetune(run, resume=True, report=lambda _: None)
    own = run.model_copy(update={"teachers": (str(run.output / "model"),)})
    with pytest.raises(TrainingError, match="would be overwritten"):
        finetune(own, resume=False, report=lambda _: None)
