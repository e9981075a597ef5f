"""The test of all rows of a table fails where a single one does, and names those that do."""

from __future__ import annotations

import pytest
from each_row import each_row


def test_each_row_that_fails_is_named_and_the_others_are_checked() -> None:
    checked: list[int] = []

    @each_row([3, 0, 2, -1], lambda row: f"row {row}")
    def is_positive(row: int) -> None:
        checked.append(row)
        assert row
        with pytest.raises(ZeroDivisionError):
            _ = 1 / (row if row < 0 else 0)

    with pytest.raises(AssertionError) as raised:
        is_positive()
    assert checked == [3, 0, 2, -1]
    lines = str(raised.value).splitlines()
    assert lines[0] == "2 of 4 rows:"
    assert [line.rpartition("row ")[2].split(":")[0] for line in lines if line.startswith("row ")] == ["0", "-1"]


def test_a_table_without_rows_fails() -> None:
    @each_row([])
    def nothing(row: object) -> None:
        raise AssertionError

    with pytest.raises(AssertionError, match="there are no rows"):
        nothing()
