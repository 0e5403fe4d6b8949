"""The settings of ``finetune generator``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ragqa.training.schedule import Schedule
from ragqa.training.settings.mining import MinedRun


class GeneratorRun(MinedRun):
    """A training run of what writes answers: a language model, or a decoder with a pointer on an encoder."""

    target: ClassVar[str] = "generator"
    for_decoders: ClassVar = ("layers", "start_from", "storage", "decoder_layers", "question_share")
    for_language_models: ClassVar = (
        "reward",
        "reward_share",
        "label_smoothing",
        "prompt",
        "max_prompt_tokens",
    )
    """Settings that count for one of the two; which of them a backbone is, its folder tells."""

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
