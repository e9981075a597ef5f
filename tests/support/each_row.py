"""One test for all rows of a table: a test for each costs more than what it checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def each_row(
    rows: Iterable[T], name: Callable[[T], object] = str
) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Return a decorator that makes a check of one row a test of all rows, which names each row that fails.

    Args:
        rows: The rows; there is at least one.
        name: Returns what a failure calls a row.
    """

    def decorate(check: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            failed: list[str] = []
            count = 0
            for row in rows:
                count += 1
                try:
                    check(row)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the other rows are checked too
                    failed.append(f"{name(row)}: {type(error).__name__}: {error}")
            assert count, "there are no rows"
            assert not failed, "\n".join([f"{len(failed)} of {count} rows:", *failed])

        named: Any = test
        named.__name__, named.__doc__, named.__module__ = check.__name__, check.__doc__, check.__module__
        return test

    return decorate
