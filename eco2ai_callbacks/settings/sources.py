"""The sources of the settings: arguments, variables, ``pyproject.toml``, the site file, defaults."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eco2ai_callbacks.errors import SettingsError, refusal
from eco2ai_callbacks.settings import files
from eco2ai_callbacks.settings.forms import ControlCharacter, Form
from eco2ai_callbacks.settings.ray import results_folder
from eco2ai_callbacks.settings.schema import LOG_NAME, NAMES, Settings, form_of

PREFIX = "ECO2AI_"
# Variables that begin like settings and are none.
OTHER_VARIABLES = frozenset({"ECO2AI_AUTO", "ECO2AI_ENCODE_KEY", "ECO2AI_LOG_KEY", "ECO2AI_METER_USER"})
_VARIABLES = {f"{PREFIX}{name.upper()}": name for name in NAMES}

logger: logging.Logger = logging.getLogger("eco2ai_callbacks")

# The variables that this process has named in a warning.
_named: set[str] = set()


def resolve(
    args: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    site_files: Sequence[Path] | None = None,
) -> Settings:
    """Return the settings in force: arguments over variables over pyproject.toml over the site file over the defaults.

    In a worker of Ray the log is by default where Ray keeps the results.

    A file that others may have written is passed over; a warning names it. So does one name each variable that looks
    like a setting and is none.

    Args:
        args: What the user passed, by name.
        environ: The environment; this process's by default.
        folder: Where the search for a pyproject.toml begins, upwards; the working folder by default.
        site_files: Candidates for the site file; the first that exists is read.

    Raises:
        SettingsError: A name or a value is not accepted.
    """
    environ = os.environ if environ is None else environ
    _name_strays(environ)
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for where, found in _sources(args or {}, environ, folder or _working_folder(), site_files):
        for name, raw in found.items():
            form = form_of(name)
            if form is None:
                raise SettingsError(_unknown(name, where))
            if name not in values:
                values[name] = _checked(name, raw, where, form)
                origin[name] = where
    return Settings(**values, origin={name: origin.get(name, "default") for name in NAMES})


def resolved(call: str, settings: object, args: Mapping[str, Any]) -> Settings:
    """Return settings that were resolved before, else those in force.

    Args:
        call: What was called.
        settings: What was passed to it by position.
        args: What was passed to it by name.

    Raises:
        SettingsError: A name or a value is not accepted, or a setting was passed by position.
    """
    if settings is None:
        return resolve(args)
    if not isinstance(settings, Settings):
        raise by_name(call, settings)
    return settings


def spelled(text: str) -> str:
    """Return a value as a command line spells it; :func:`resolve` parses it like the text of a variable.

    Args:
        text: The value's text.

    Example:
        >>> resolve({"gpus": spelled("0,1")}, environ={}, site_files=()).gpus
        (0, 1)
    """
    return _Text(text)


def stray_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look like settings and name none, for ``doctor``.

    Args:
        environ: The environment.

    Example:
        >>> stray_variables({"ECO2AI_REGOIN": "FR", "ECO2AI_REGION": "FR"})
        ['ECO2AI_REGOIN']
    """
    known = OTHER_VARIABLES | _VARIABLES.keys()
    return sorted(key for key in environ if key.upper().startswith(PREFIX) and key not in known)


def by_name(call: str, value: object) -> SettingsError:
    """Return the error for a setting that was passed by its position.

    Args:
        call: What was called.
        value: What was passed.

    Example:
        >>> str(by_name("track", "demo"))
        "track takes settings by name, such as track(project='demo'); it was given 'demo' without one."
    """
    example = value if isinstance(value, str) and value.strip() and len(value) < 100 else "demo"
    return SettingsError(
        f"{call} takes settings by name, such as {call}(project={example!r}); it was given {value!r:.200} without one."
    )


def _name_strays(environ: Mapping[str, str]) -> None:
    """Name the variables that look like settings and are none, each once in a process."""
    for variable in stray_variables(environ):
        if variable in _named:
            continue
        _named.add(variable)
        import difflib  # for names that are not known

        near = difflib.get_close_matches(variable.upper(), [*_VARIABLES, *sorted(OTHER_VARIABLES)], n=1, cutoff=0.75)
        hint = f"; did you mean {near[0]}?" if near else ""
        with contextlib.suppress(Exception):  # a log handler of the user's
            logger.warning("the variable %s is no setting, and is ignored%s", variable, hint)


def _sources(
    args: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None, site_files: Sequence[Path] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all sources, the strongest first. Values from variables are :class:`_Text`."""
    yield "argument", dict(args)
    for variable, name in _VARIABLES.items():
        if (text := environ.get(variable)) is not None:
            yield variable, {name: _Text(text)}
    for pyproject in () if folder is None else (each / "pyproject.toml" for each in files.search_folders(folder)):
        if (text := files.trusted_text(pyproject, files.pyproject_holds_settings)) is not None:
            tools = _toml(pyproject, text, needed="tool.eco2ai").get("tool", {})
            table = tools.get("eco2ai", {}) if isinstance(tools, Mapping) else {}
            yield str(pyproject), _tomlised(table, f"{pyproject} [tool.eco2ai]")
            break
    for site in site_files if site_files is not None else _default_site_files():
        if (text := files.trusted_text(site, files.site_holds_settings)) is not None:
            table = dict(_toml(site, text))
            clusters = _table(table.pop("cluster", {}), f"{site} [cluster]")
            cluster = environ.get("SLURM_CLUSTER_NAME", "")
            where = f"{site} [cluster.{cluster}]"
            yield where, _tomlised(clusters.get(cluster, {}), where)
            yield str(site), _tomlised(table, str(site))
            break
    if (results := results_folder()) is not None:
        yield "Ray's storage path", {"log_file": results / LOG_NAME}


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


def _default_site_files() -> tuple[Path, ...]:
    machine, home = Path("/etc/eco2ai/site.toml"), files.home_folder()
    return (machine,) if home is None else (home / ".config/eco2ai/site.toml", machine)


class _Text(str):
    """A value as a variable spells it, not parsed yet."""

    __slots__ = ()


def _toml(path: Path, text: str, needed: str = "") -> Mapping[str, Any]:
    try:
        import tomllib  # not needed without such a file

        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of too many digits and arrays of too many levels too
        if needed not in text:
            return {}  # someone else's broken file
        raise SettingsError(f"{path} is not valid TOML, so its eco2ai settings cannot be read: {error}") from None


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where} must be a table of settings, not {value!r:.200}.")
    return value


def _tomlised(value: Any, where: str) -> dict[str, Any]:
    """Return a table by names of settings. TOML has no null: the text ``none`` means it."""
    named = {key.replace("-", "_"): item for key, item in _table(value, where).items()}
    return {
        name: None if (form := form_of(name)) is not None and form.is_none(item) else item
        for name, item in named.items()
    }


def _unknown(name: str, where: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"the settings are {', '.join(NAMES)}."
    return f"{name!r} (from {where}) is not a setting; {hint}"


def _checked(name: str, raw: Any, where: str, form: Form) -> Any:
    try:
        return form.read(raw) if isinstance(raw, _Text) else form.value(raw)
    # What numbers and paths of any kind may raise.
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        accepted = form.accepted + (f"; {error}" if isinstance(error, ControlCharacter) else "")
        raise SettingsError(refusal(f"{name}={raw!r:.200}", accepted, where)) from None
