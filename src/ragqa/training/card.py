"""The model card: what a trained reader was made of and how good it was then."""

from ragqa.training.judging import Comparison, Measured
from ragqa.training.settings import ReaderRun, ScheduleConfig
from ragqa.training.splitting import Split, document_of


def model_card(
    run: ReaderRun, schedule: ScheduleConfig, split: Split, best: float, comparison: Comparison | None
) -> str:
    """Markdown for the README.md beside the weights."""
    documents = len({document_of(e) for e in split.training})
    rows = {
        "data": f"`{run.data.name}`, {len(split.training):,} questions about {documents:,} documents",
        "backbone": run.backbone,
        "starts from": run.start_from or "fresh heads",
        "tuning": ", ".join(f"{key} {value}" for key, value in run.tuning.options().items()),
        "frozen": ", ".join(f"`{prefix}`" for prefix in run.freeze) or "nothing",
        "schedule": f"at most {schedule.epochs} epochs in batches of {schedule.batch_groups}, seed {schedule.seed}",
        "optimiser": f"AdamW, learning rate {schedule.learning_rate:g} (head {schedule.head_learning_rate:g}), "
        f"weight decay {schedule.weight_decay:g}",
        "weights": f"{run.storage or 'stored as is usual for the tuning'}; only what training changed",
        "validation": f"F1 {100 * best:.2f} with the right passage, {len(split.validation):,} questions held out",
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return f"# A span reader\n\n| | |\n|---|---|\n{table}\n{_comparison(comparison)}"


def _comparison(comparison: Comparison | None) -> str:
    if comparison is None:
        return "No documents were put aside for a test.\n"
    lines = [
        f"On {comparison.questions:,} test questions about documents of their own, with the right passage:\n",
        "| | before | after | difference (95 %) | p |",
        "|---|---|---|---|---|",
        *(_row(name, value) for name, value in measures(comparison)),
    ]
    return "\n".join(lines) + "\n"


def measures(comparison: Comparison) -> list[tuple[str, Measured]]:
    """The rows of a comparison, by the name that people read."""
    return [("F1", comparison.f1), ("exact match", comparison.exact_match)]


def _row(name: str, value: Measured) -> str:
    found = value.difference
    interval = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"| {name} | {100 * value.before:.1f} | {100 * value.after:.1f} | {interval} | {found.p:.4f} |"
