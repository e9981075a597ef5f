"""The house: which room may import which, and what importing the package costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest
from each_row import each_row

import eco2ai_callbacks

PACKAGE = Path(eco2ai_callbacks.__file__).parent
ADAPTERS = {"lightning", "transformers", "keras", "accelerate"}

# From the top of the house to its ground. A room may import from the floors below its own, never from its neighbours;
# so may a module within its folder.
FLOORS: list[set[str]] = [
    {"__main__"},
    {"cli", "auto"},
    {"comparing", "watching", "export"},
    {"report"},
    ADAPTERS | {"eco2ai"},
    {"integrations", "eco2ai_compat"},
    {"tracker"},
    {"session"},
    {"metrics"},
    {"distributed"},
    {"sinks"},
    {"meters", "carbon", "runlog"},
    {"calibration"},
    {"settings", "guard", "record", "host", "phases"},
    {"parallel"},
    {"usage", "bands", "plain"},
    {"errors"},
]
INSIDE: dict[str, list[set[str]]] = {
    "cli": [
        {"__init__"},
        {
            *("calibrate", "card", "cite", "compare", "doctor", "export", "gate", "merge", "recompute", "regions"),
            *("run", "verify", "watch", "when"),
        },
        {"calibrate_wall", "recount", "report", "which_runs"},
        {"amounts", "child", "calibrate_steps", "basis"},
    ],
    "comparing": [
        {"__init__"},
        {"forms", "gate"},
        {"verdict"},
        {"comparison", "doubts"},
        {"figures", "groups"},
        {"metric", "rank", "spread"},
    ],
    "watching": [{"__init__"}, {"screen"}, {"frame"}, {"neighbours"}, {"follow", "state"}],
    "export": [
        {"__init__"},
        {"write"},
        {"parquet", "prometheus", "otel", "codecarbon", "eco2ai", "standards"},
        {"forms", "counters"},
    ],
    "export.standards": [
        {"__init__"},
        {"boamps", "cyclonedx", "spdx", "ai_act", "sci"},
        {"boundary"},
        {"options"},
    ],
    "report": [
        {"__init__"},
        {"page", "pictures", "merge", "notebook", "card", "cite"},
        {"charts", "paper_forms"},
        {"chart_parts", "statement"},
        {"series"},
        {"counted"},
        {"load", "models", "sci"},
        {"formats"},
        {"count", "groups"},
        {"facts", "sessions", "portions", "beside"},
        {"phase_sums"},
        {"runs"},
        {"epochs", "frames"},
        {"epoch_table", "timeline", "stated"},
        {"sums", "csv_logs", "select"},
        {"of_record"},
        {"fields", "equivalents", "theme"},
    ],
    "integrations": [
        {"__init__"},
        {"hf_last"},
        {
            *("lifecycle", "script", "hf_model_card", "hf_callbacks", "lightning_callbacks", "keras_last", "run_facts"),
            *("hf_logged", "lightning_logged"),
        },
        {"fit_phases", "logged"},
        {"callstack", "unmeasured", "accelerate_processes"},
    ],
    "eco2ai_compat": [
        {"__init__"},
        {"decorator"},
        {"tracker", "summary", "devices"},
        {"run"},
        {"arguments"},
        {"encode"},
        {"params"},
        {"accepted"},
        {"errors"},
    ],
    "session": [
        {"__init__"},
        {"steps", "measured"},
        {"lifetime"},
        {"assembly"},
        {"session"},
        {"journal", "beside", "presence", "metering", "gpu_work", "gpu_health", "worker"},
        {"context", "ledger", "stages", "publishing"},
        {
            "launch",
            "by_hand",
            "identity",
            "arguments",
            "at_exit",
            "baseline",
            "blocks",
            "wrapping",
            "watched",
            "calls",
            "siblings",
        },
        {"division", "place", "of_process"},
    ],
    "phases": [{"__init__"}, {"ledger"}, {"shares"}, {"clock"}, {"times"}],
    "metrics": [
        {"__init__"},
        {"figures"},
        {"outlook", "epoch_report"},
        {"forecast", "budget", "model_card", "run_facts"},
        {"scalars", "front_matter", "sci", "ahead"},
    ],
    "distributed": [
        {"__init__"},
        {"job", "process_group"},
        {"step_looks"},
        {"messages", "ownership", "launcher", "meeting"},
    ],
    "meters": [
        {"__init__"},
        {"discovery"},
        {"sensed"},
        {"openers"},
        {"candidate"},
        {"exclusive", "cpu", "gpu", "ram", "jetson", "apple"},
        {"sensor_meter"},
        {"tally", "hwmon"},
        {"source_sum"},
        {"gaps", "meter"},
    ],
    "meters.cpu": [
        {"__init__"},
        {"sources"},
        {
            "rapl",
            "attribution",
            "part",
            "calibrated",
            "sensor_cpu",
            "perf",
            "amd_energy",
            "grace",
            "pmic",
            "zeusd",
            "emi",
        },
        {"model_check"},
        {"floor"},
        {"model"},
        {"counters", "table", "busy", "guest"},
        {"process_tables"},
        {"steps", "failures", "processes", "designation"},
        {"powercap"},
    ],
    "meters.gpu": [
        {"__init__"},
        {"amdsmi"},
        {"nvml", "cross_check", "unsupported", "torch_cuda", "amd", "intel"},
        {"nvml_division", "nvml_health"},
        {"nvml_board", "nvml_activity", "nvml_domains", "pci_opening", "amd_devices", "amd_selection"},
        {"nvml_driver", "pci_selection"},
        {"nvml_binding"},
        {"nvml_library"},
        {"selection", "sharing", "aside", "amd_metrics", "framework_devices"},
    ],
    "calibration": [
        {"__init__"},
        {"lookup", "wall_steps"},
        {"store", "sweep", "readings"},
        {"ipmi_meter"},
        {"wall", "loads", "http_meter"},
        {"fit"},
        {"solve", "machine", "burner", "json_path", "places"},
    ],
    "carbon": [
        {"__init__"},
        {"grid"},
        {"over_time", "beside"},
        {"live"},
        {"intensity", "location", "price", "pue", "hours_file"},
        {"places", "signals", "window"},
        {"similar", "tables", "zones", "series"},
    ],
    "carbon.live": [
        {"__init__"},
        {"sources"},
        {"feed", "gb", "energinet", "electricitymaps", "energycharts", "eco2mix", "entsoe", "watttime"},
        {"fetch", "cache", "tokens"},
        {"source"},
    ],
    "runlog": [
        {"__init__"},
        {"verify", "write"},
        {"verdict"},
        {"aggregate", "run_check", "line_check", "writable"},
        {"resume", "unfinished", "chain_check"},
        {"prior"},
        {"ends"},
        {"anchors"},
        {"tail"},
        {"read", "sums"},
        {"restore"},
        {"short"},
        {"parse", "attempts", "draft", "tally", "validate", "paths", "hashing", "inferred", "shapes"},
    ],
    "sinks": [
        {"__init__"},
        {"console", "csv", "csv_read", "prometheus", "otel"},
        {"csv_lines", "prometheus_text", "otel_meter"},
        {"csv_append", "csv_cells", "csv_form", "csv_sums", "counters"},
    ],
    "settings": [
        {"__init__"},
        {"sources"},
        {"schema", "files"},
        {"beside"},
        {"entry"},
        {"args", "forms", "ray", "trust"},
    ],
    "host": [
        {"__init__"},
        {"registry"},
        {"machine", "private", "package"},
        {"processor", "limits", "namespace", "procfs", "memory", "gpu_health"},
        {"arm", "smbios"},
    ],
}
# For tests: may import anything, and nothing outside of it imports it.
TESTING = "testing"


def module_of(path: Path) -> str:
    """A file as a dotted name below the package; a folder's own file ends in ``__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


MODULES = {module_of(path) for path in files()}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they lead"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {
            _known(name.removeprefix("eco2ai_callbacks.")) for name in names if name.startswith("eco2ai_callbacks.")
        }
    return found - {""}


def _known(name: str) -> str:
    """The module that a dotted name begins with: what follows it is a name inside."""
    while name and name not in MODULES and f"{name}.__init__" not in MODULES:
        name = name.rpartition(".")[0]
    return name if name in MODULES or not name else f"{name}.__init__"


def is_for_tests(module: str) -> bool:
    return module.split(".")[0] == TESTING


def order(folder: str) -> list[set[str]]:
    return FLOORS if not folder else INSIDE[folder]


def floor(folder: str, name: str) -> int:
    found = [number for number, names in enumerate(order(folder)) if name in names]
    assert len(found) == 1, f"{name} has no floor of its own in {folder or 'the package'}"
    return found[0]


def parted(one: str, other: str) -> tuple[str, str, str]:
    """The folder in which two modules part, and the names that each has there."""
    ones, others = one.split("."), other.split(".")
    common = 0
    while ones[common] == others[common]:
        common += 1
    return ".".join(ones[:common]), ones[common], others[common]


def test_every_module_has_its_floor() -> None:
    for module in (module for module in MODULES if not is_for_tests(module)):
        folder, _, name = module.rpartition(".")
        floor(folder, name)
    names = {name for folder, floors in {"": FLOORS, **INSIDE}.items() for level in floors for name in level}
    assert names <= {part for module in MODULES for part in module.split(".")}, "a floor names what is not there"


@each_row(list(files()), lambda path: path.relative_to(PACKAGE))
def test_imports_lead_downwards(path: Path) -> None:
    here = module_of(path)
    for other in imported_modules(path) - {here}:
        if is_for_tests(here):
            continue
        assert not is_for_tests(other), f"{path.name} imports the fakes"
        folder, mine, its = parted(here, other)
        assert floor(folder, its) > floor(folder, mine), f"{here} imports {other}, which is not below it"


def imports_of(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"], capture_output=True, text=True, check=True
    )
    return {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}


HEAVY = ("numpy", "pandas", "torch", "lightning", "pytorch_lightning", "transformers", "keras", "jax", "tensorflow")
# What is needed only on some machines, or by the command line.
LAZY = ("pynvml", "psutil", "click")
# Of the standard library, what no setting, file or counter has asked for.
UNUSED = (
    *("tomllib", "secrets", "hmac", "difflib", "pickle", "csv", "platform", "decimal"),
    *("ctypes", "importlib.util"),
)
ON_DEMAND = (
    *("calibration.store", "calibration.fit", "meters.cpu.calibrated", "meters.cpu.rapl", "meters.cpu.counters"),
    *("carbon.over_time", "carbon.price", "carbon.similar", "sinks.csv", "sinks.console"),
    *("carbon.location", "carbon.pue", "carbon.signals", "carbon.zones"),
    *("meters.gpu.nvml", "meters.gpu.nvml_driver", "meters.gpu.nvml_board", "meters.gpu.aside", "meters.cpu.pmic"),
    *("meters.exclusive", "distributed.step_looks", "session.launch", "session.baseline"),
    *("metrics.front_matter", "metrics.sci"),
    *("runlog.ends", "runlog.read", "runlog.restore", "runlog.resume", "runlog.unfinished"),
)


def test_the_root_pulls_in_next_to_nothing() -> None:
    found = imports_of("eco2ai_callbacks")
    assert not [name for name in found if name.split(".")[0] in (*HEAVY, "pynvml", "psutil", "click")]
    assert [name for name in found if name.startswith("eco2ai_callbacks")] == ["eco2ai_callbacks"]
    assert "typing" not in found


@pytest.mark.parametrize("module", ["tracker", "eco2ai"])
def test_the_tracker_pulls_in_no_framework(module: str) -> None:
    found = imports_of(f"eco2ai_callbacks.{module}")
    assert not [name for name in found if name.split(".")[0] in (*HEAVY, *LAZY, "httpx", "cryptography")]
    assert not [name for name in found if name.startswith("eco2ai_callbacks.carbon.live")]


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("gpus", ["auto", ()])
def test_a_start_without_a_card_pulls_in_no_third_party_module(tmp_path: Path, gpus: str | tuple[()]) -> None:
    if gpus and find_library("nvidia-ml"):
        pytest.skip("this machine has a driver")
    code = f"""
import sys
from eco2ai_callbacks import Tracker
with Tracker(region="FR", log_file="eco2ai.jsonl", console=False, gpus={gpus!r}, powercap_root="none") as run:
    run.mark()
loaded = {{part for name in sys.modules for part in (name, name.partition(".")[0])}}
assert not loaded & {{*{(*HEAVY, *LAZY, *UNUSED)!r}}}, loaded
ours = {{*sys.modules}} & {{"eco2ai_callbacks." + name for name in {ON_DEMAND!r}}}
assert not ours, ours
"""
    subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
    )


def test_three_modules_open_sockets() -> None:
    opening = (
        *("httpx", "socket", "ssl", "http", "urllib", "opentelemetry", "requests", "aiohttp", "asyncio"),
        *("ftplib", "smtplib"),
    )
    found = {
        str(path.relative_to(PACKAGE))
        for path in files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] in opening for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in opening)
    }
    assert found == {
        *("calibration/http_meter.py", "carbon/live/fetch.py", "meters/cpu/zeusd.py", "sinks/otel_meter.py"),
    }


@pytest.mark.parametrize(
    ("meter", "folder"),
    [
        *(("ram", "ram"), ("cpu.rapl", "cpu"), ("cpu.model", "cpu"), ("cpu.perf", "cpu"), ("cpu.pmic", "cpu")),
        *(("gpu.nvml", "gpu"), ("gpu.amd", "gpu"), ("gpu.intel", "gpu"), ("jetson", "jetson")),
    ],
)
def test_importing_one_meter_loads_no_other(meter: str, folder: str) -> None:
    prefix = "eco2ai_callbacks.meters."
    loaded = {name.removeprefix(prefix) for name in imports_of(prefix + meter) if name.startswith(prefix)}
    assert meter in loaded
    # `meter` is the protocol; the others are what sensors of any device have in common.
    shared = {"meter", "gaps", "source_sum", "tally", "hwmon", "sensor_meter"}
    assert {name.partition(".")[0] for name in loaded} <= {folder} | shared


def test_the_root_names_the_three_imports_of_the_callback() -> None:
    with pytest.raises(ImportError, match=r"eco2ai_callbacks\.lightning, .*\.transformers or .*\.keras\.$"):
        from eco2ai_callbacks import Eco2AICallback  # noqa: F401 - it raises
    assert not hasattr(eco2ai_callbacks, "Eco2AICallback")
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = eco2ai_callbacks.Nonsense


def test_the_root_offers_the_tracker() -> None:
    from eco2ai_callbacks import Tracker, Usage, load, track

    assert Tracker.__module__ == "eco2ai_callbacks.tracker"
    assert callable(track)
    assert load.__module__ == "eco2ai_callbacks.report.load"
    assert Usage().joules == {}
    assert set(dir(eco2ai_callbacks)) == {"Tracker", "Usage", "load", "track"}


def test_only_one_place_catches_everything() -> None:
    catching = [
        path.name
        for path in files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    ]
    assert set(catching) == {"guard.py"}


def test_a_look_up_reads_one_file_and_imports_nothing_heavy() -> None:
    code = """
import sys
from eco2ai_callbacks.meters.cpu import table as cpu_table
opened, before = [], set(sys.modules)
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
assert cpu_table.lookup("AMD EPYC 7763 64-Core Processor").tdp_w == 280
assert [str(path) for path in opened] == [str(cpu_table.TABLE)], opened
assert not {"pandas", "numpy", "csv"} & (set(sys.modules) - before)
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
