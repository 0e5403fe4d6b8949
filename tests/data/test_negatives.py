"""A negative that is another line's passage is that passage, not a copy of it."""

import json
from pathlib import Path

from ragqa import data


def test_a_negative_with_the_text_of_a_known_passage_is_that_passage(tmp_path: Path) -> None:
    lines = [
        {"question": "When?", "passage": "In May.", "answers": ["May"], "negatives": ["In June.", "Never."]},
        {"question": "And then?", "passage": "In June.", "answers": ["June"], "document": "b"},
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    first, second = data.read(path)
    assert first.hard_negatives[0] == second.positives[0]
    assert first.hard_negatives[1].doc_id.endswith("(negatives)")
    assert [p.text for p in data.distinct_passages([first, second])] == ["In May.", "In June.", "Never."]
