"""Two rankings → one. Pure: a leg is row → raw score, a ranking is (row, fused score), best first.

Convex combination of scores scaled to the unit interval (Bruch, Gai, Ingber 2022, arXiv 2210.11934), and
reciprocal rank (Cormack, Clarke, Büttcher 2009). Equal fused scores are ordered by row.
"""

from collections.abc import Mapping, Sequence

Leg = Mapping[int, float]
Ranking = list[tuple[int, float]]


def scaled(leg: Leg) -> dict[int, float]:
    """Min-max: (s - min) / (max - min), so the best hit of the leg has 1 and its last 0.

    A leg whose scores are all equal says that its hits are equally good: each has 1.
    """
    if not leg:
        return {}
    low, high = min(leg.values()), max(leg.values())
    span = high - low
    return {row: (score - low) / span if span > 0 else 1.0 for row, score in leg.items()}


def convex(dense: Leg, lexical: Leg, weight: float) -> Ranking:
    """``weight`` · dense + (1 - ``weight``) · lexical, over the union of both legs; scores lie in [0, 1].

    A row that one leg did not find has that leg's lowest score. An empty leg (no query term is known, or the
    encoder cannot read the query) leaves the other leg's ranking and its full scale.

    Raises:
        ValueError: ``weight`` is outside [0, 1].
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight {weight} is outside [0, 1]")
    if not dense or not lexical:
        return _ranked(scaled(dense or lexical))
    near, match = scaled(dense), scaled(lexical)
    return _ranked(
        {row: weight * near.get(row, 0.0) + (1 - weight) * match.get(row, 0.0) for row in {**near, **match}}
    )


def reciprocal_rank(legs: Sequence[Leg], constant: int = 60) -> Ranking:
    """Mean over the legs that found anything of (``constant`` + 1) / (``constant`` + rank), rank from 1.

    The factor only puts the scores on [0, 1], so that they mean the same as those of ``convex``.
    """
    fused: dict[int, float] = {}
    found = [leg for leg in legs if leg]
    for leg in found:
        for rank, (row, _) in enumerate(_ranked(leg), 1):
            fused[row] = fused.get(row, 0.0) + (constant + 1) / (constant + rank) / len(found)
    return _ranked(fused)


def _ranked(scores: Leg) -> Ranking:
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
