"""The model card: what a trained model was made of and how good it was then."""

from datetime import date

from ragqa import __version__
from ragqa.evaluation.classes import table
from ragqa.training.judging import Comparison, Measured
from ragqa.training.schedule import Schedule
from ragqa.training.settings import Run
from ragqa.training.splitting import Split, document_of

_NAMES = {"choice": "choice model", "pretrain": "pre-trained backbone"}

_SHARED = {"data", "output", "backbone", "tuning", "continual", "freeze", "dropout", "schedule"}
"""Settings that have a row of their own, or say nothing about the model."""


def model_card(
    run: Run, schedule: Schedule, split: Split, measure: str, best: float, comparison: Comparison | None
) -> str:
    """Markdown for the README.md beside the weights."""
    names = ", ".join(f"`{path.name}`" for path in run.data)
    documents = len({document_of(e) for e in split.training})
    averaged = f", averaged with {schedule.average_decay:g}" if schedule.average_decay is not None else ""
    own = {name: value for name, value in run.model_dump(mode="json").items() if name not in _SHARED}
    rows = {
        "made": f"{date.today().isoformat()}, ragqa {__version__}",
        "data": f"{names}, {len(split.training):,} questions about {documents:,} documents",
        "backbone": run.backbone,
        "tuning": ", ".join(f"{key} {value}" for key, value in run.tuning.options().items()),
        "continual": run.continual.name,
        "frozen": ", ".join(f"`{prefix}`" for prefix in run.freeze) or "nothing",
        "schedule": f"at most {schedule.epochs} epochs in batches of {schedule.batch_groups}, seed {schedule.seed}",
        "optimiser": f"{schedule.optimizer}, learning rate {schedule.learning_rate:g} "
        f"(head {schedule.head_learning_rate:g}), "
        f"weight decay {schedule.weight_decay:g}, dropout {run.dropout:g}{averaged}",
        "settings": ", ".join(
            f"{name} {_short(value)}" for name, value in own.items() if value not in (None, [])
        ),
        "validation": f"{measure} {100 * best:.2f}, {len(split.validation):,} questions held out",
    }
    settings = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    name = _NAMES.get(run.target, run.target)
    return f"# A {name} of ragqa\n\n| | |\n|---|---|\n{settings}\n{_comparison(run, split, comparison)}"


def _short(value: object) -> object:
    """Documents may be named by the hundred; ``run.json`` has them all."""
    return f"{len(value)} named" if isinstance(value, list) and len(value) > 9 else value


def _comparison(run: Run, split: Split, comparison: Comparison | None) -> str:
    if not split.test:
        return f"No {run.hold_out} were put aside for a test.\n"
    if comparison is None:
        return "What was put aside for a test holds no question to judge by.\n"
    apart = {"documents": "documents of their own", "questions": "documents that training saw, too"}
    lines = [
        f"On {comparison.questions:,} test questions about {apart[run.hold_out]}:\n",
        "| | before | after | difference (95 %) | p |",
        "|---|---|---|---|---|",
        *(_row(name, value) for name, value in comparison.measures.items()),
    ]
    if comparison.confusion is not None:
        cells = table(comparison.confusion)
        head, *rows = (f"| {' | '.join(row)} |" for row in cells)
        lines += ["", head, "|---" * len(cells[0]) + "|", *rows]
    return "\n".join(lines) + "\n"


def _row(name: str, value: Measured) -> str:
    found = value.difference
    interval = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"| {name} | {100 * value.before:.1f} | {100 * value.after:.1f} | {interval} | {found.p:.4f} |"
