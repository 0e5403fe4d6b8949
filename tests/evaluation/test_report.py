"""Tables of a report: a cell that nothing was counted for is a dash."""

from ragqa.evaluation.report import markdown
from ragqa.evaluation.scores import summarise


def chosen(question: str, **scores: float) -> dict[str, object]:
    return {
        "id": question,
        "question": question,
        "gold rows": [],
        "rankings": {},
        "answer": "river",
        "confidence": 0.5,
        "right before the threshold": True,
        "verdict": "answered",
        "scores": {"accuracy": 1.0, "accuracy before the threshold": 1.0, **scores},
        "citations": [],
        "options": ["river", "oven"],
        "right option": 0,
        "likeliest option": 0,
    }


def test_a_measure_that_one_language_lacks_is_a_dash_there() -> None:
    records = [chosen("Where is a bridge?", **{"accuracy with the gold passage": 1.0}), chosen("桥在哪里？")]
    lines = markdown("options", summarise(records)).splitlines()
    assert "|  | all | en | zh |" in lines
    (line,) = [line for line in lines if line.startswith("| accuracy with the gold passage")]
    assert line == "| accuracy with the gold passage | 1.000 (1.000–1.000) | 1.000 (1.000–1.000) | – |"
