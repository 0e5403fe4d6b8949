"""Questions → folds for cross-validation, each group whole in one of them, so that nothing leaks."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def by_group(groups: Sequence[str], count: int, seed: int = 0) -> Ints:
    """The fold, 0 to ``count`` - 1, of each question, (N,).

    Groups are dealt out greatest first, each to the fold with the fewest questions; ``seed`` orders equal ones.

    Args:
        groups: what each question belongs to, such as its document.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    sizes = Counter(groups)
    if len(sizes) < count:
        raise ValueError(f"{len(sizes)} groups make no {count} folds")
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    filled, fold_of = [0] * count, {}
    for name in sorted(names, key=lambda name: -sizes[name]):
        fold = filled.index(min(filled))
        fold_of[name] = fold
        filled[fold] += sizes[name]
    return np.array([fold_of[group] for group in groups], dtype=np.int64)
