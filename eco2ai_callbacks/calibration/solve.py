"""Fit linear combinations: least squares and least absolute deviations, without a numerical library."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Rounds of reweighting; the coefficients of the published sweeps no longer change by then.
_ROUNDS = 12
# Rounds that change the sum by a smaller part change nothing that a meter shows.
_SETTLED = 1e-6
# Below this part of the largest value a deviation counts as this part: its weight would have no bound.
_SMALLEST_PART = 0.02


def least_squares(
    rows: Sequence[Sequence[float]], values: Sequence[float], weights: Sequence[float] | None = None
) -> list[float] | None:
    """Return the coefficients of the smallest sum of squared deviations; ``None`` where they are not determined.

    Args:
        rows: The terms of each point.
        values: The value of each point.
        weights: The weight of each point; equal ones by default.

    Example:
        >>> least_squares([(1.0, 0.0), (1.0, 1.0), (1.0, 2.0)], [1.0, 3.0, 5.0])
        [1.0, 2.0]
    """
    if not rows:
        return None
    count = len(rows[0])
    weights = weights or [1.0] * len(rows)
    # The normal equations, with the right-hand side as the last column.
    matrix = [
        [math.fsum(w * row[a] * row[b] for w, row in zip(weights, rows, strict=True)) for b in range(count)]
        + [math.fsum(w * row[a] * value for w, row, value in zip(weights, rows, values, strict=True))]
        for a in range(count)
    ]
    largest = max(abs(row[column]) for row in matrix for column in range(count))
    for column in range(count):
        pivot = max(range(column, count), key=lambda number: abs(matrix[number][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        if abs(matrix[column][column]) <= 1e-12 * largest:
            return None
        for number in range(count):
            if number != column:
                factor = matrix[number][column] / matrix[column][column]
                for place in range(column, count + 1):
                    matrix[number][place] -= factor * matrix[column][place]
    return [matrix[number][count] / matrix[number][number] for number in range(count)]


def least_deviations(rows: Sequence[Sequence[float]], values: Sequence[float]) -> tuple[list[float], float] | None:
    """Return the coefficients of the smallest sum of absolute deviations, and that sum; ``None`` as above.

    Single points that lie far off hardly move them, as they would by squares. Computed by reweighted least squares.

    Args:
        rows: The terms of each point.
        values: The value of each point.
    """
    if not values:
        return None
    smallest = _SMALLEST_PART * max(map(abs, values)) or 1.0
    weights = [1.0] * len(values)
    best: tuple[list[float], float] | None = None
    for _ in range(_ROUNDS):
        found = least_squares(rows, values, weights)
        if found is None:
            return best
        deviations = [
            abs(value - math.fsum(c * x for c, x in zip(found, row, strict=True)))
            for row, value in zip(rows, values, strict=True)
        ]
        total = math.fsum(deviations)
        settled = best is not None and abs(total - best[1]) <= _SETTLED * total
        best = found, total
        if settled:
            break
        weights = [1.0 / max(deviation, smallest) for deviation in deviations]
    return best
