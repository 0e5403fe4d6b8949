"""One measured process over an index: open it and search once, or ask many questions.

    python benchmarks/ask_worker.py open|ask INDEX QUESTIONS

QUESTIONS is a JSON list. Figures are printed as one line of JSON. Nothing is imported before the clock starts.
"""

import json
import sys
import time
from pathlib import Path

_TOP_K = 5
_WARM_UP = 5


def first_search(index: Path, questions: list[str]) -> dict[str, float]:
    """Seconds to open the index and to search it once, the library's imports apart."""
    started = time.perf_counter()
    from ragqa.pipeline import load_pipeline
    from ragqa.types import Query

    imported = time.perf_counter()
    with load_pipeline(index) as pipeline:
        opened = time.perf_counter()
        pipeline.retrieve([Query(questions[0])], _TOP_K)
        searched = time.perf_counter()
    return {"import": imported - started, "open": opened - imported, "search": searched - opened}


def ask_all(index: Path, questions: list[str]) -> dict[str, object]:
    """Milliseconds of each search and of each whole answer, one question at a time."""
    from ragqa.pipeline import load_pipeline
    from ragqa.types import Query

    search, ask, answered = [], [], 0
    with load_pipeline(index) as pipeline:
        for text in questions[:_WARM_UP]:
            pipeline.ask(text, _TOP_K)
        for text in questions:
            started = time.perf_counter()
            pipeline.retrieve([Query(text)], _TOP_K)
            searched = time.perf_counter()
            answered += pipeline.ask(text, _TOP_K).text is not None
            search.append(1000 * (searched - started))
            ask.append(1000 * (time.perf_counter() - searched))
        stages = dict(pipeline.timings.seconds)
    return {"search_ms": search, "ask_ms": ask, "answered": answered, "stage_seconds": stages}


def main() -> None:
    step, index, questions = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    steps = {"open": first_search, "ask": ask_all}
    print(json.dumps(steps[step](index, json.loads(questions.read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
