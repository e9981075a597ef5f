"""The form of a CSV of eco2AI: its columns, separator, line ends and decimal sign, in each of eco2AI's versions."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

# The columns of eco2ai 0.3.12, in its order. Its energy includes the data centre's overhead (PUE).
COLUMNS = (
    "id",
    "project_name",
    "experiment_description",
    "epoch",
    "start_time",
    "duration(s)",
    "power_consumption(kWh)",
    "CO2_emissions(kg)",
    "CPU_name",
    "GPU_name",
    "OS",
    "region/country",
    "cost",
)
# How eco2ai 0.1.0 to 0.2.7 call three of them. They have neither id nor epoch nor cost; 0.1 separates by tabs.
_FORMER = {
    "experiment_description(model type etc.)": "experiment_description",
    "power_consumption(kWTh)": "power_consumption(kWh)",
    "country": "region/country",
}
# Without these, a file is none of eco2AI's.
_NEEDED = frozenset({"project_name", "duration(s)", "power_consumption(kWh)", "CO2_emissions(kg)"})
# eco2AI's own, and what spreadsheets make of it: they separate by semicolons where numbers have a decimal comma.
_DELIMITERS = (",", "\t", ";")
# Characters of a number of fixed width: more than any float needs (-1.7976931348623157e+308).
_WIDTH = 25
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a CSV of eco2AI.

    Args:
        columns: Its columns by the names of :data:`COLUMNS`, in its order.
        delimiter: What separates them.
        newline: What ends a line.
        decimal: The decimal sign of its numbers.
        marked: Whether it begins with a byte order mark, as spreadsheets put one first.

    Example:
        >>> Form(("duration(s)", "cost"), delimiter=";", decimal=",").row({"cost": 0.5, "duration(s)": 2.0, "id": "a"})
        b'2,0;0,5\\n'
    """

    columns: tuple[str, ...] = COLUMNS
    delimiter: str = ","
    newline: str = "\n"
    decimal: str = "."
    marked: bool = False

    @property
    def is_original(self) -> bool:
        """Whether a version of eco2AI writes and reads this form; what a spreadsheet has made of it none does."""
        return self.delimiter != ";" and self.decimal == "." and not self.marked

    def header(self) -> bytes:
        """Return the line of the columns' names."""
        return self._line(self.columns)

    def row(self, values: Mapping[str, object], *, fixed: bool = False) -> bytes:
        """Return a row.

        Args:
            values: The values by column; those of columns that the file lacks are left out.
            fixed: Whether all numbers have the same width.
        """
        return self._line(tuple(self._shown(values[name], fixed) for name in self.columns))

    def _shown(self, value: object, fixed: bool) -> object:
        if not isinstance(value, float):
            return value
        return (_fixed(value) if fixed else repr(value)).replace(".", self.decimal)

    def _line(self, fields: tuple[object, ...]) -> bytes:
        text = io.StringIO()
        # A writer puts into quotation marks only those line ends that it writes itself.
        csv.writer(text, delimiter=self.delimiter, lineterminator="\r\n").writerow(fields)
        return (text.getvalue().removesuffix("\r\n") + self.newline).encode("utf-8", "backslashreplace")


class Row:
    """A row for files of eco2AI, each of which is continued in its own form.

    Args:
        values: The values by column.
        fixed: Whether all numbers have the same width, so that another row can take its place.
    """

    kind = "CSV of eco2AI"

    def __init__(self, values: Mapping[str, object], *, fixed: bool = False) -> None:
        self._values = values
        self._is_fixed = fixed

    @property
    def first(self) -> bytes:
        """The header of a new file."""
        return Form().header()

    def alone(self) -> bytes:
        """Return the row as it follows that header."""
        return Form().row(self._values, fixed=self._is_fixed)

    def below(self, head: bytes, *, torn: bool, quoted: bool) -> bytes | None:
        """Return the row in the form of a file, below the end of a torn line; ``None`` where it is none of eco2AI's.

        Args:
            head: The beginning of the file.
            torn: Whether the file ends inside a line.
            quoted: Whether it ends inside quotation marks.
        """
        form = form_of(head)
        if form is None or not form.is_original:
            return None
        return b'"' * quoted + form.newline.encode() * torn + form.row(self._values, fixed=self._is_fixed)


def form_of(head: bytes) -> Form | None:
    """Return the form of a file; ``None`` where it is none of eco2AI's.

    Args:
        head: The beginning of the file, with its first row where it has one.
    """
    text = head.removeprefix(_MARK).decode("utf-8", "replace")
    line = re.match(r"[^\r\n]*", text)
    for delimiter in _DELIMITERS:
        names = _fields(line[0] if line else "", delimiter)
        columns = tuple(_FORMER.get(name.strip(), name.strip()) for name in names)
        if _NEEDED <= set(columns) <= set(COLUMNS) and len(set(columns)) == len(columns):
            newline = "\r\n" if re.match(r"[^\r\n]*\r\n", text) else "\n"
            return Form(columns, delimiter, newline, _decimal(text, delimiter, columns), head.startswith(_MARK))
    return None


def _fixed(value: float) -> str:
    """Return a number with zeros that do not change it, in a fixed width: ``4.6000000000000000000e-07``."""
    digits, exponent, power = repr(value).partition("e")
    point = "" if "." in digits else "."
    return digits + point + "0" * (_WIDTH - len(digits) - len(point) - len(exponent) - len(power)) + exponent + power


def _decimal(text: str, delimiter: str, columns: tuple[str, ...]) -> str:
    """Return the decimal sign of the first row; a point where there is none."""
    _, _, rows = text.partition("\n")
    values = dict(zip(columns, _fields(rows, delimiter), strict=False))
    return "," if re.fullmatch(r"-?\d+,\d+(?:[eE]-?\d+)?", values.get("duration(s)", "")) else "."


def _fields(text: str, delimiter: str) -> list[str]:
    """Return the fields of the first row of a text; none where it holds none."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:  # a field of more than 128 KiB, or a lone carriage return
        return []
