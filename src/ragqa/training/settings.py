"""What decides a training run: one YAML file, or sensible values for the size of the data."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ragqa import pretrained
from ragqa.choices import PASSAGE_ONCE
from ragqa.config import PluginSpec, explained
from ragqa.discovery import Found, discover
from ragqa.training.checking import Labels
from ragqa.training.schedule import Schedule
from ragqa.training.splitting import Unit

LISTED = "docs/training_settings.md lists each setting"

ORIGIN = "origin"
"""In the context of a validation: where the settings come from, " in FILE"."""


class MiningConfig(BaseModel):
    """How hard negatives are found for a question: among the hits from ``first_rank`` to ``last_rank``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retriever: Literal["bm25", "hybrid"] = Field("bm25", description="what ranks the passages")
    config: Path | None = Field(
        None, description="configuration of the hybrid: its encoder and fusion; default: as an index has them"
    )
    first_rank: int = Field(1, ge=1, description="passages ranked higher are not taken")
    last_rank: int = Field(16, ge=1, description="nor those ranked lower")
    margin: float | None = Field(
        None, gt=0, description="nor those that score above so much of the right passage's score"
    )

    @model_validator(mode="after")
    def _some_ranks(self) -> Self:
        if self.first_rank > self.last_rank:
            raise ValueError(f"first_rank {self.first_rank} is beyond last_rank {self.last_rank}")
        if self.config is not None and self.retriever != "hybrid":
            raise ValueError(f"config is for the retriever hybrid, not for {self.retriever}")
        return self


class Described(BaseModel):
    """What one YAML file describes: something that learns from data and leaves a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: ClassVar[str]

    @classmethod
    def command(cls) -> str:
        """A command that shows what a run would do."""
        return f"ragqa finetune {cls.target} --data my_questions.jsonl --dry-run"

    data: tuple[Path, ...] = Field(
        min_length=1,
        description="the training questions: JSON Lines, SQuAD JSON or a BEIR folder; or several",
    )
    max_questions: PositiveInt | tuple[PositiveInt, ...] | None = Field(
        None, description="of each file, or one number for each, drawn by split_seed; default: all"
    )
    output: Path = Field(description="folder for checkpoints, metrics and the model")
    split_seed: int = Field(13, ge=0, description="which documents; keep it when going on from a model")

    def changed(self, **values: Any) -> Self:
        """This with other settings, checked as if they had been given so.

        Raises:
            ConfigError: they do not fit.
        """
        try:
            return self.model_validate({**self.model_dump(exclude_unset=True), **values})
        except ValidationError as fault:
            raise explained(fault, type(self), "", LISTED) from None

    def files(self) -> Sequence[Path]:
        """What is read, and decides what is learned."""
        return self.data

    @field_validator("data", mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        """``data: FILE`` is short for ``data: [FILE]``."""
        return (value,) if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _one_number_for_each_file(self) -> Self:
        if isinstance(self.max_questions, tuple) and len(self.max_questions) != len(self.data):
            raise ValueError(
                f"max_questions has {len(self.max_questions)} numbers for {len(self.data)} files"
            )
        return self


class Run(Described):
    """What decides a training run, whatever is trained; its target is a file of ``training/targets``."""

    labels: ClassVar[Labels] = "answers"

    backbone: str = Field("builtin", description="builtin, or a Hugging Face folder")
    tuning: PluginSpec = Field(PluginSpec(name="full"), description="which weights train")
    freeze: tuple[str, ...] = Field(
        ("word_embeddings",),
        description="what stays as it is: word_embeddings, embeddings, layers.0-3, encoder, or the beginning of a name",
    )
    train_top: int | None = Field(
        None, ge=0, description="train so many of the last layers only, and the head"
    )
    dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability taken from what is right and spread over all it competes with",
    )
    validation_documents: PositiveInt | tuple[str, ...] | None = Field(
        None,
        description="documents for validation and calibration, how many or which by name; default: a tenth",
    )
    test_documents: int | None = Field(
        None, ge=0, description="documents for the comparison before / after; default: a tenth"
    )
    hold_out: Unit = Field(
        "documents",
        description="what is put aside: whole documents, or questions about documents that training sees, too",
    )
    validation_questions: int = Field(600, ge=1)
    schedule: Schedule | None = Field(
        None, description="what is not given goes by the number of questions and the tuning"
    )

    @field_validator("tuning", mode="before")
    @classmethod
    def _tuning_by_name(cls, value: Any) -> Any:
        """``tuning: lora`` is short for ``tuning: {name: lora}``."""
        return {"name": value} if isinstance(value, str) else value

    def made_from(self) -> tuple[str, ...]:
        """The models, beside the backbone, that it goes on from or is taught by."""
        return ()

    def settled(self) -> Self:
        """This with what the model decides that it goes on from.

        Raises:
            TrainingError: the other settings do not fit to that.
        """
        return self

    def schedule_for(self, questions: int, rate: float) -> Schedule:
        """What is given of the schedule, and the rest by the size and the tuning; see ``default_schedule``."""
        return self.default_schedule(questions, rate).model_copy(update=self.given_schedule)

    @property
    def given_schedule(self) -> dict[str, Any]:
        """The settings of the schedule that are given, not left to the size."""
        return {} if self.schedule is None else self.schedule.model_dump(exclude_unset=True)

    @abstractmethod
    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A schedule for so many training questions; ``rate`` times the learning rate that full tuning would have."""


class HeadedRun(Run):
    """A training run of an encoder with a head of its own."""

    start_from: str | None = Field(
        None, description="the model to go on from: builtin or a folder; without it the head begins fresh"
    )
    storage: Literal["float32", "float16", "int8"] | None = Field(
        None, description="default: int8 for full tuning, float32 for the few weights of the others"
    )
    layers: PositiveInt | None = Field(
        None, description="keep so many layers of the backbone, evenly spread: a faster model; default: all"
    )

    def made_from(self) -> tuple[str, ...]:
        """The model to go on from."""
        return (self.start_from,) if self.start_from else ()

    @model_validator(mode="after")
    def _layers_are_stored_whole(self) -> Self:
        if self.layers is not None and self.tuning.name != "full":
            raise ValueError(
                f"layers is for tuning full, not for {self.tuning.name}: the base has all of them"
            )
        return self


class MinedRun(HeadedRun):
    """A training run of what is shown passages that a retriever ranks high and that do not answer."""

    mining: MiningConfig = Field(MiningConfig(), description="how they are found")

    def files(self) -> Sequence[Path]:
        """The questions, and the configuration of what mines."""
        return (*super().files(), *([self.mining.config] if self.mining.config else []))


class ReaderRun(MinedRun):
    """A training run of the reader."""

    target: ClassVar[str] = "reader"

    output: Path = Field(Path("runs/reader"), description="folder for checkpoints, metrics and the model")
    start_from: str | None = Field(
        None,
        description="the reader to train further: builtin, a folder, or null: fresh heads; "
        "default: builtin, unless a backbone is named",
    )
    hard_negatives: int = Field(4, ge=0, description="negatives mined for each question")
    lexical_data: Path | None = Field(
        None,
        description="SQuAD JSON in Chinese, to calibrate the lexical answers; without it the shipped ones stay",
    )
    hard_negative_share: float = Field(0.2, ge=0, le=1)
    unanswerable_share: float = Field(0.05, ge=0, le=1)
    calibration_questions: int = Field(2000, ge=50, description="at most so many of the validation part")
    max_refused: float = Field(
        0.04, ge=0, lt=1, description="answerable questions the operating point may refuse"
    )

    @model_validator(mode="before")
    @classmethod
    def _goes_on(cls, values: Any) -> Any:
        if isinstance(values, dict) and not {"start_from", "backbone"} & values.keys():
            return {**values, "start_from": "builtin"}
        return values

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """Few questions are seen more often, in smaller batches, and judged once an epoch.

        A trained reader is changed at half the rate of one with fresh heads, whose own rate would tear at what its
        heads know.
        """
        batch = 32 if questions >= 2000 else 16
        epochs = 5 if questions < 1000 else 3 if questions < 10_000 else 2
        goes_on = self.start_from is not None
        full = 1.2e-4 if goes_on else 2.5e-4
        return Schedule(
            epochs=epochs,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * full, 6),
            head_learning_rate=full if goes_on else 1e-3,
        )


class RerankerRun(MinedRun):
    """A training run of the reranker."""

    target: ClassVar[str] = "reranker"
    labels: ClassVar[Labels] = "passages"

    output: Path = Field(Path("runs/reranker"), description="folder for checkpoints, metrics and the model")
    start_from: str | None = Field(
        "reader",
        description="builtin, reader (the encoder of the shipped one), a folder, or null: a fresh head",
    )
    hard_negatives: int = Field(8, ge=1, description="negatives mined for each question")
    negatives: int = Field(3, ge=1, description="of them in a group, drawn anew each epoch")
    listwise: bool = Field(True, description="the passages of a question compete; otherwise each pair alone")
    mining: MiningConfig = Field(
        MiningConfig(retriever="hybrid", last_rank=20), description="how negatives are found"
    )
    passages: int = Field(
        20_000, ge=1, description="of the data that are searched, at most, but all that a question names"
    )
    validation_questions: int = Field(150, ge=1)
    fitting_questions: int = Field(300, ge=1, description="held-out ones, at most, that fit the weight")
    candidates: int = Field(10, ge=2, description="hits that are reordered for a held-out question")

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group has several passages: fewer of them make a batch."""
        batch = 16 if questions >= 2000 else 8
        full = 1.5e-4
        return Schedule(
            epochs=1 if questions >= 10_000 else 2 if questions >= 1000 else 4,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * full, 6),
        )


class ChoiceRun(HeadedRun):
    """A training run of the model that chooses among options."""

    target: ClassVar[str] = "choice"
    labels: ClassVar[Labels] = "choices"

    output: Path = Field(Path("runs/choice"), description="folder for checkpoints, metrics and the model")
    start_from: str | None = Field(
        "reader",
        description="builtin, reader (the encoder of the shipped one), a folder, or null: a fresh head",
    )
    options: int = Field(
        4,
        ge=2,
        le=26,
        description="made for a question that has none: its answer, the others from its passage",
    )
    teachers: tuple[str, ...] = Field(
        (),
        description="choice models whose scores are learned beside the labels of questions without a passage",
    )
    teacher_share: float = Field(
        0.7, gt=0, le=1, description="of the teachers in the loss of such a question"
    )
    other_options: int = Field(
        7, ge=0, le=50, description="options of other questions that the teachers weigh for each"
    )
    passage_once: bool | None = Field(
        None,
        description="a passage is read without the question, once for all that is asked of it; "
        "default: as the model does that it goes on from",
    )

    def made_from(self) -> tuple[str, ...]:
        """The model to go on from, and the teachers."""
        return (*super().made_from(), *self.teachers)

    @model_validator(mode="after")
    def _a_passage_read_once(self) -> Self:
        if self.passage_once and self.tuning.name == "prompt":
            raise ValueError("passage_once is not for tuning prompt: its vectors stand before a whole row")
        return self

    def settled(self) -> Self:
        """With ``passage_once`` as the model has it that this goes on from."""
        if self.passage_once is not None or self.start_from is None:
            return self
        config = pretrained.stored_config(pretrained.folder_of(self.target, self.start_from))
        once = config.get("kind") == self.target and config.get(PASSAGE_ONCE, False)
        return self.changed(passage_once=True) if once else self

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group has a row for each option, or with ``passage_once`` all that is asked of a passage."""
        batch = 4 if self.passage_once else 16 if questions >= 2000 else 8
        return Schedule(
            epochs=3 if questions < 50_000 else 1,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * 1e-4, 6),
        )


class GeneratorRun(MinedRun):
    """A training run of what writes answers: a language model, or a decoder with a pointer on an encoder."""

    target: ClassVar[str] = "generator"

    @classmethod
    def command(cls) -> str:
        """A command that shows what a run would do."""
        return "ragqa finetune generator --data my_questions.jsonl --backbone FOLDER --dry-run"

    output: Path = Field(Path("runs/generator"), description="folder for checkpoints, metrics and the model")
    backbone: str = Field(
        "builtin", description="the language model to train, or an encoder, which gets a decoder"
    )
    freeze: tuple[str, ...] = Field((), description="as elsewhere; of the builtin its word_embeddings")
    start_from: str | None = Field(
        "reader",
        description="of a decoder: builtin, reader (the encoder of the shipped one), a folder, or null: fresh",
    )
    decoder_layers: int = Field(3, ge=1, le=12, description="of a fresh decoder")
    question_share: float = Field(
        0.4, ge=0, lt=1, description="of the groups in which a decoder learns to ask for a given answer"
    )
    prompt: str = Field("zero_shot", description="the template, by name or as a Jinja file")
    passages: int = Field(3, ge=1, description="in a prompt: one that answers, the others mined")
    unanswerable_share: float = Field(
        0.1, ge=0, lt=1, description="of the questions shown with passages that do not answer"
    )
    max_prompt_tokens: int = Field(1024, ge=16, description="passages that find no room are left out")
    max_answer_tokens: int = Field(64, ge=1)
    reward: Literal["f1", "rouge_l"] | None = Field(
        None, description="of whole answers that the model draws (self-critical training)"
    )
    reward_share: float = Field(0.5, gt=0, le=1, description="of the loss, where there is a reward")
    validation_questions: int = Field(100, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _words_of_the_builtin_stay(cls, values: Any) -> Any:
        """Its word embeddings are not stored with a decoder unless somebody asks for them to be trained."""
        if isinstance(values, dict) and values.get("backbone", "builtin") == "builtin":
            return {"freeze": ("word_embeddings",), **values}
        return values

    def files(self) -> Sequence[Path]:
        """As of others, and a template of the user's own."""
        template = Path(self.prompt)
        return (*super().files(), *([template] if template.is_file() else []))

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """Rates of the usual size for pretrained language models; a decoder's own is higher."""
        batch = 16 if questions >= 2000 else 8
        return Schedule(
            epochs=5 if questions < 1000 else 3 if questions < 10_000 else 1,
            patience=3,
            batch_groups=batch,
            learning_rate=round(rate * 5e-5, 7),
            head_learning_rate=3e-4,
        )


class PretrainRun(Run):
    """A run of language modelling on documents."""

    target: ClassVar[str] = "pretrain"
    labels: ClassVar[Labels] = "texts"

    @classmethod
    def command(cls) -> str:
        """A command that shows what a run would do."""
        return "ragqa pretrain my_documents/ --dry-run"

    data: tuple[Path, ...] = Field(min_length=1, description="a folder of documents, or several")
    output: Path = Field(Path("runs/pretrain"), description="folder for checkpoints, metrics and the model")
    max_questions: None = Field(None, description="documents hold no questions")
    test_documents: int | None = Field(0, ge=0, le=0, description="nothing is compared")
    hold_out: Literal["documents"] = Field(
        "documents", description="of fewer than ten documents passages are put aside"
    )
    freeze: tuple[str, ...] = Field(
        (), description="as elsewhere; the words themselves are learned here, too"
    )
    masked_share: float = Field(0.15, gt=0, lt=1, description="of the words that are hidden")
    max_passage_tokens: int = Field(
        200, ge=16, description="documents are cut into passages of at most so many"
    )

    def files(self) -> Sequence[Path]:
        """The documents, but nothing that the run itself writes, whose folder may lie among them."""
        return [found.path for found in self.documents()]

    def documents(self) -> list[Found]:
        """The files to read, with their names.

        Raises:
            UsageError: a path that is not there.
        """
        own = self.output.resolve()
        return [one for one in discover(self.data).files if own not in one.path.resolve().parents]

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """By the number of passages."""
        return Schedule(
            epochs=20 if questions < 2000 else 5 if questions < 20_000 else 1,
            patience=4,
            batch_groups=32,
            learning_rate=round(rate * 1e-4, 6),
        )


class RetrieverRun(Run):
    """A training run of the retriever's encoder."""

    target: ClassVar[str] = "retriever"
    labels: ClassVar[Labels] = "passages"

    output: Path = Field(Path("runs/retriever"), description="folder for checkpoints, metrics and the model")
    both_sides: bool = Field(
        False,
        description="train what encodes passages, too: an index must then be embedded anew (ragqa index --reembed)",
    )
    temperature: float = Field(0.05, gt=0, description="the cosines are divided by it")
    hard_negatives: int = Field(
        1, ge=0, description="of both sides: passages like its own that each group is set against, too"
    )
    mining: MiningConfig | None = Field(
        None, description="how they are found for each question; default: near to the right passage"
    )
    matryoshka: tuple[int, ...] = Field(
        (), description="sizes to which vectors shall be cut without much loss (encoder.dimensions)"
    )
    blend: float = Field(
        1.0, gt=0, le=1, description="share of the trained weights in what is stored; the rest is the untuned"
    )
    max_passage_tokens: int = Field(256, ge=8, description="longer passages are cut for training")
    negative_passages: int = Field(
        50_000,
        ge=1,
        description="passages of training documents, at most, to set questions against or draw negatives from",
    )
    validation_passages: int = Field(
        2000, ge=1, description="passages that held-out questions are searched in, at least their own"
    )

    @model_validator(mode="after")
    def _mined_for_both_sides(self) -> Self:
        if self.mining is not None and not self.both_sides:
            raise ValueError("mining is for both_sides: questions alone are set against all passages")
        return self

    def files(self) -> Sequence[Path]:
        """The questions, and the configuration of what mines."""
        return (*super().files(), *([self.mining.config] if self.mining and self.mining.config else []))

    def default_schedule(self, questions: int, rate: float) -> Schedule:
        """A group is a passage with its questions."""
        batch = 64 if questions >= 10_000 else 32 if questions >= 1000 else 16
        full = 1e-4 if self.both_sides else 2e-4
        return Schedule(
            epochs=1 if questions >= 50_000 else 3 if questions >= 5000 else 8,
            patience=4,
            batch_groups=batch,
            learning_rate=round(rate * full, 6),
        )


_OF_THE_JOINT_RUN = frozenset(
    {"data", "output", "max_questions", "validation_documents", "test_documents", "hold_out", "split_seed"}
)


class JointRun(Described):
    """Rounds of a retriever's run and a reader's, from questions and answers alone."""

    target: ClassVar[str] = "joint"

    data: tuple[Path, ...] = Field(
        min_length=1, description="questions with answers, in any form that has them; or several files"
    )
    output: Path = Field(
        Path("runs/joint"), description="folder of the rounds, each with its labels and models"
    )
    split_seed: int = Field(
        13, ge=0, description="which questions are put aside, and which documents of the others"
    )
    index: Path | None = Field(
        None, description="the index whose passages answer; without it those that the data name, unlabelled"
    )
    rounds: int = Field(2, ge=1, description="each searches, labels and trains anew")
    top_k: int = Field(10, ge=1, description="hits that may turn out to hold the answer")
    least_likelihood: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="of the answer under its best hit; below it the question waits for a later round",
    )
    validation_documents: int | None = Field(
        None, ge=1, description="the same in every round; default: a tenth"
    )
    test_questions: int | None = Field(
        None, ge=0, description="for the comparison before / after; default: a tenth, at most 500"
    )
    retriever: Mapping[str, Any] = Field(
        default_factory=dict, description="settings of the retriever's runs, as in a file of their own"
    )
    reader: Mapping[str, Any] = Field(
        default_factory=dict, description="settings of the reader's runs, as in a file of their own"
    )

    @model_validator(mode="after")
    def _parts_fit(self, info: ValidationInfo) -> Self:
        origin = (info.context or {}).get(ORIGIN, "")
        parts: tuple[tuple[type[Run], Mapping[str, Any], Callable[..., Run]], ...] = (
            (RetrieverRun, self.retriever, self.retriever_run),
            (ReaderRun, self.reader, self.reader_run),
        )
        for kind, given, make in parts:
            name = kind.target
            if taken := given.keys() & _OF_THE_JOINT_RUN:
                raise ValueError(f"{name}.{min(taken)} is decided by the joint run")
            try:
                make(self.data[0], self.output)
            except ValidationError as fault:
                raise explained(fault, kind, origin, LISTED, inside=name) from None
        return self

    @property
    def whole_encoder(self) -> bool:
        """Whether passages move, too, so that an index must be embedded anew."""
        return bool(self.retriever.get("both_sides"))

    def retriever_run(self, labels: Path, output: Path, **more: Any) -> RetrieverRun:
        """The retriever's run of a round, on the questions that were labelled for it."""
        return RetrieverRun.model_validate({**self._of_a_round(labels, output), **self.retriever, **more})

    def reader_run(self, labels: Path, output: Path, **more: Any) -> ReaderRun:
        """The reader's run of a round; it goes on from the shipped reader unless told otherwise."""
        return ReaderRun.model_validate({**self._of_a_round(labels, output), **self.reader, **more})

    def _of_a_round(self, labels: Path, output: Path) -> Mapping[str, Any]:
        return {"data": labels, "output": output, "test_documents": 0, "split_seed": self.split_seed}


RUNS: Mapping[str, type[Run]] = {
    kind.target: kind for kind in (ReaderRun, RetrieverRun, RerankerRun, GeneratorRun, ChoiceRun, PretrainRun)
}
"""Target → the settings of its runs."""
