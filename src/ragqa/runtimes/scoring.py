"""Windows → one score for each, by a served model that reads them as pairs."""

from collections.abc import Sequence

from ragqa.protocols import Runtime
from ragqa.runtimes.batches import plan
from ragqa.windows import Window, Windower, pad


def window_scores(runtime: Runtime, windows: Sequence[Window], windower: Windower) -> list[float]:
    """What the model says of each window, in their order."""
    plans = plan([len(window.ids) for window in windows], runtime.batch_tokens)
    batches = [pad([windows[row] for row in rows], windower) for rows in plans]
    outputs = runtime.run([(ids, mask, kinds) for ids, mask, kinds, _ in batches])
    found = [0.0] * len(windows)
    for rows, (scores,) in zip(plans, outputs, strict=True):
        for row, score in zip(rows, scores.tolist(), strict=True):
            found[row] = score
    return found
