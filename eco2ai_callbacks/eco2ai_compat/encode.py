"""The encrypted copy of a CSV, line by line, and the way back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eco2ai_callbacks.eco2ai_compat.errors import FileDoesNotExistsError
from eco2ai_callbacks.eco2ai_compat.params import folder
from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.guard import logger
from eco2ai_callbacks.host.private import read_own
from eco2ai_callbacks.sinks.csv_form import Form

VARIABLE = "ECO2AI_ENCODE_KEY"
EXTRA = 'pip install "eco2ai_callbacks[eco2ai]"'
# All tokens of Fernet begin with its version, 0x80, and the first bytes of a time before the year 2106.
_BEGINNING = b"gAAAA"
_MOST_KEY = 4096


class Token:
    """A row for an encrypted copy: one token of Fernet, which stands for one row.

    Args:
        values: The row's values by column.
        fernet: Encrypts it.
    """

    kind = "encoded copy of this package"
    first = b""

    def __init__(self, values: Mapping[str, object], fernet: Any) -> None:
        self._token: bytes = fernet.encrypt(Form().row(values)) + b"\n"

    def alone(self) -> bytes:
        """Return the line."""
        return self._token

    def below(self, head: bytes, *, torn: bool, quoted: bool) -> bytes | None:  # noqa: ARG002 - nothing is quoted
        """Return the line, behind a newline where the last one is torn; ``None`` where a file holds something else.

        Args:
            head: The beginning of the file.
            torn: Whether the file ends inside a line.
            quoted: Whether it ends inside quotation marks.
        """
        return b"\n" * torn + self._token if head.startswith(_BEGINNING) else None


def copy_of(file_name: str, encode_file: str | bool) -> str:
    """Return the name of the encrypted copy: the given one, else ``encoded_`` before the CSV's own.

    Args:
        file_name: The CSV.
        encode_file: The parameter.

    Example:
        >>> copy_of("emission.csv", True)
        'encoded_emission.csv'
    """
    if isinstance(encode_file, str):
        return encode_file
    path = Path(file_name)
    return str(path.with_name(f"encoded_{path.name}"))


def cipher(key: str | bytes | None = None, *, create: bool = False) -> Any:
    """Return what encrypts and decrypts, with the user's key.

    Args:
        key: The key; by default that of ``ECO2AI_ENCODE_KEY``, else that of ``~/.config/eco2ai/encode.key``.
        create: Whether to create that file where it is missing.

    Raises:
        ImportError: cryptography is not installed.
        SettingsError: There is no key, or it is none.
    """
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        raise ImportError(f"encode_file needs the package cryptography: {EXTRA}") from None
    where = "argument"
    if key is None:
        key, where = os.environ.get(VARIABLE), VARIABLE
    if not key:
        path = _key_file()
        if create and not path.exists():
            _create(path, Fernet.generate_key())
        key, where = read_own(path, _MOST_KEY).strip(), str(path)
    if not key:
        raise SettingsError(f"there is no key for encoded files: neither {VARIABLE} nor {where} holds one.")
    try:
        return Fernet(key)
    except (ValueError, TypeError):
        raise SettingsError(
            refusal(
                "the key for encoded files",
                "32 bytes in URL-safe base64, as cryptography.fernet.Fernet.generate_key() makes them",
                where,
            )
        ) from None


def decode(filename: str | os.PathLike[str], key: str | bytes | None = None) -> str:
    """Return the CSV, with its header, that an encrypted copy was made of.

    A line that cannot be decrypted is left out, and that is logged.

    Args:
        filename: The encrypted copy.
        key: The key; by default that of ``ECO2AI_ENCODE_KEY``, else that of ``~/.config/eco2ai/encode.key``.

    Raises:
        FileDoesNotExistsError: There is no such file.
        ImportError: cryptography is not installed.
        SettingsError: There is no key, or nothing can be decrypted with it.

    Example:
        >>> print(decode("encoded_emission.csv"))  # doctest: +SKIP
    """
    path = Path(filename)
    if not path.exists():
        raise FileDoesNotExistsError(f"filename={str(filename)!r} is not there.")
    fernet, rows, refused = cipher(key), [Form().header()], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        row = _decrypted(line.strip(), fernet)
        if row is None:
            refused.append(number)
        else:
            rows.append(row)
    if refused and len(rows) == 1:
        raise SettingsError(f"{str(path)!r} cannot be decrypted: another key encrypted it, or it is no encoded copy.")
    if refused:
        with contextlib.suppress(Exception):  # a log handler of the user's
            lines = ", ".join(map(str, refused))
            logger.warning("what cannot be decrypted of %s is left out: line %s", path, lines)
    return b"".join(rows).decode("utf-8", "replace")


def _decrypted(line: bytes, fernet: Any) -> bytes | None:
    """Return the row of a line; ``None`` where it is torn, was altered or has another key."""
    from cryptography.fernet import InvalidToken

    try:
        row: bytes = fernet.decrypt(line)
    except InvalidToken:
        return None
    return row


def _key_file() -> Path:
    place = folder()
    if place is None:
        raise SettingsError(f"there is no key for encoded files: set {VARIABLE}, for this user has no home folder.")
    return place / "encode.key"


def _create(path: Path, key: bytes) -> None:
    """Create the file of the key in one step; that of another process, which was first, stays."""
    whole = path.with_name(f".key-{os.urandom(8).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            file = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "wb") as opened:
                opened.write(key + b"\n")
            path.hardlink_to(whole)
        finally:
            whole.unlink(missing_ok=True)
    except FileExistsError:
        return
    except (OSError, NotImplementedError) as error:
        raise SettingsError(f"no key for encoded files can be kept in {path} ({error}); set {VARIABLE}.") from None
    with contextlib.suppress(Exception):  # a log handler of the user's
        logger.warning("a key for encoded files was made, %s; keep a copy: without it nobody can read them", path)
