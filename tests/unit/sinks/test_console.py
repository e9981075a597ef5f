from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eco2ai_callbacks.meters.discovery import Source, Status
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.sinks.console import Console, amount, duration, forecast_line, line

GRID = {"name": "France", "region": "FR", "g_per_kwh": 44.18, "kind": "lifecycle", "year": 2023, "found_by": "setting"}


def used(name: str, methods: dict[str, str], covers: tuple[str, ...], measured: tuple[str, ...] = ()) -> dict[str, Any]:
    source = Source(name, "used", "", methods=methods, covers=covers, measured=measured)
    return source.to_dict()


def unused(name: str, reason: str, status: Status = "unavailable") -> dict[str, Any]:
    return Source(name, status, reason).to_dict()


def early(source: dict[str, Any]) -> dict[str, Any]:
    """As a log holds it that was written before the facts were."""
    return {key: value for key, value in source.items() if key not in ("status", "measured", "devices")}


RAPL = used("RAPL", {"cpu": "rapl"}, ("cpu",), ("rapl",))
MODEL = used("CPU model", {"cpu": "cpu-model:vm"}, ("cpu", "ram"))
RAM = used("RAM model", {"ram": "ram-model"}, ("ram",))
NVML = used(
    "NVML",
    {"gpu:a": "nvml-energy", "gpu:b": "nvml-power", "gpu:c": "nvml-energy"},
    ("gpu",),
    ("nvml-energy", "nvml-power"),
)
AMD = used("ROCm", {"gpu:d": "rocm-energy"}, ("gpu",), ("rocm-energy",))
TOTAL = {
    "energy_kwh": 0.0123456,
    "co2_kg": 0.000545,
    "seconds": 200.0,
    "energy_band_kwh": (0.011, 0.0137),
    "co2_band_kg": (0.0004, 0.0007),
}


def stop(**fields: Any) -> Record:
    values = {"total": TOTAL, "intensity": GRID, "ended": "finished"} | fields
    return Record(run="run", writer="w", event="stop", **values)


def start(*sources: dict[str, Any], **fields: Any) -> Record:
    return Record(run="run", writer="w", event="start", sources=sources, **fields)


HEAD = "eco2ai: 12.3 Wh (11 Wh to 13.7 Wh), 545 mg (400 mg to 700 mg) CO2e, 3 min 20 s, 222 W mean"
FRANCE = "France 44.18 g/kWh (lifecycle, 2023)"


class TestLine:
    @pytest.mark.parametrize(
        ("record", "begun", "expected"),
        [
            pytest.param(stop(), start(RAPL), f"{HEAD} | measured: cpu by rapl | {FRANCE}", id="measured"),
            pytest.param(
                stop(),
                start(
                    MODEL,
                    unused("RAPL", "absent: virtual machine"),
                    unused("RAM model", "not needed: CPU model covers it", "displaced"),
                ),
                f"{HEAD} | estimated: cpu+ram by cpu-model:vm | not read: RAPL (absent: virtual machine) | {FRANCE}",
                id="estimated",
            ),
            pytest.param(
                stop(),
                start(NVML, RAPL, RAM),
                f"{HEAD} | measured: gpu by nvml-energy, gpu by nvml-power, cpu by rapl | estimated: ram by ram-model"
                f" | {FRANCE}",
                id="both",
            ),
            pytest.param(
                stop(),
                start(RAPL, AMD, unused("NVML", "not supported"), unused("Other", "broken (OSError)", "failed")),
                f"{HEAD} | measured: cpu by rapl, gpu by rocm-energy"
                f" | not read: NVML (not supported), Other (broken (OSError)) | {FRANCE}",
                id="by facts, not by names and sentences",
            ),
            pytest.param(
                stop(),
                start(*map(early, (NVML, RAPL, RAM, unused("RAM model", "not needed: RAPL covers it", "displaced")))),
                f"{HEAD} | measured: gpu by nvml-energy, gpu by nvml-power, cpu by rapl | estimated: ram by ram-model"
                f" | not read: RAM model (not needed: RAPL covers it) | {FRANCE}",
                id="early log",
            ),
            pytest.param(
                stop(failures=("NVML: GPU is lost", "log file: disk full")),
                start(RAPL),
                f"{HEAD} | measured: cpu by rapl | {FRANCE} | failed: NVML: GPU is lost; log file: disk full",
                id="failed",
            ),
            pytest.param(
                stop(ended="interrupted"),
                start(RAPL),
                f"{HEAD} | measured: cpu by rapl | {FRANCE} | interrupted",
                id="interrupted",
            ),
            pytest.param(
                stop(ended="budget of 1 kWh used"), start(), f"{HEAD} | {FRANCE} | budget of 1 kWh used", id="stopped"
            ),
            pytest.param(
                stop(total={"energy_kwh": None, "co2_kg": None, "seconds": 8.25}),
                start(unused("RAPL", "insufficient permissions")),
                f"eco2ai: nothing could be measured in 8.25 s | not read: RAPL (insufficient permissions) | {FRANCE}",
                id="nothing",
            ),
            pytest.param(
                stop(total=None, intensity=None, ended=None),
                None,
                "eco2ai: nothing could be measured in 0 s",
                id="bare",
            ),
            pytest.param(
                stop(),
                start(RAPL, total={"energy_kwh": 0.005, "co2_kg": 0.0002, "seconds": 80.0}),
                f"{HEAD} | measured: cpu by rapl | {FRANCE} | resumed: 5 Wh of it before",
                id="resumed",
            ),
            pytest.param(stop(pue=1.25), start(RAPL), f"{HEAD} | measured: cpu by rapl | {FRANCE}, PUE 1.25", id="pue"),
            pytest.param(
                stop(total=TOTAL | {"cost": 0.0024691}),
                start(RAPL),
                f"{HEAD.replace(', 3 min', ', cost 0.00247, 3 min')} | measured: cpu by rapl | {FRANCE}",
                id="price",
            ),
            pytest.param(
                stop(not_covered=("TPU", "Apple GPU")),
                start(RAPL),
                f"{HEAD} | measured: cpu by rapl | {FRANCE} | not covered: TPU, Apple GPU",
                id="not covered",
            ),
            pytest.param(
                stop(intensity=GRID | {"name": "World", "g_per_kwh": 473.0, "year": None, "found_by": "unknown"}),
                start(RAPL),
                f"{HEAD} | measured: cpu by rapl | World 473 g/kWh (lifecycle; place unknown, set region=)",
                id="place unknown",
            ),
            pytest.param(
                stop(total={"energy_kwh": 1.5, "co2_kg": None, "seconds": 0.0}),
                start(RAPL),
                f"eco2ai: 1.5 kWh, 0 s | measured: cpu by rapl | {FRANCE}",
                id="no band, no CO2 and no time",
            ),
        ],
    )
    def test_it_says_what_was_used_how_that_is_known_and_how_sure_it_is(
        self, record: Record, begun: Record | None, expected: str
    ):
        assert line(record, begun) == expected

    @pytest.mark.parametrize(
        ("world_size", "ranks", "said"),
        [
            (1, None, ""),
            (4, 4, ", 4 ranks"),
            (4, 3, ", 3 of 4 ranks"),
            (4, None, ", rank 0 of 4 alone"),
        ],
    )
    def test_it_says_whose_figures_these_are(self, world_size: int, ranks: int | None, said: str):
        total = TOTAL if ranks is None else TOTAL | {"ranks": ranks}
        assert line(stop(total=total, world_size=world_size)) == f"{HEAD}{said} | {FRANCE}"


class TestConsole:
    def test_one_line_is_printed_when_the_run_ends(self):
        stream = io.StringIO()
        console = Console(stream)
        for record in (start(RAPL), Record(run="run", writer="w", event="epoch"), stop()):
            console.write(record)
        assert stream.getvalue() == f"{HEAD} | measured: cpu by rapl | {FRANCE}\n"

    def test_it_goes_to_standard_error_and_leaves_a_scripts_own_output_alone(self, capsys: pytest.CaptureFixture[str]):
        Console().write(stop())
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == f"{HEAD} | {FRANCE}\n"


FORECAST = {
    "energy_kwh": 0.5,
    "energy_band_kwh": (0.25, 1.0),
    "co2_kg": 0.2,
    "seconds": 7510.0,
    "seconds_band": (7200.0, 8000.0),
    "epochs": 2,
    "done": 2.0,
    "planned": 8.0,
}


class TestForecast:
    def record(self, **fields: Any) -> Record:
        return Record(run="run", writer="w", event="forecast", metrics=FORECAST | fields)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            (
                {},
                "after 2 epochs (25% of it): 500 Wh (250 Wh to 1 kWh), 200 g CO2e, "
                "2 h 05 min (2 h 00 min to 2 h 13 min)",
            ),
            (
                {"epochs": 0},
                "after 25% of it: 500 Wh (250 Wh to 1 kWh), 200 g CO2e, 2 h 05 min (2 h 00 min to 2 h 13 min)",
            ),
            (
                {"epochs": 1, "done": 9.0, "co2_kg": None, "energy_kwh": None},
                "after 1 epoch (100% of it): 2 h 05 min (2 h 00 min to 2 h 13 min)",
            ),
        ],
    )
    def test_it_says_how_much_of_the_run_it_rests_on(self, fields: dict[str, Any], said: str):
        assert forecast_line(self.record(**fields)) == f"eco2ai: forecast of the whole run {said}"

    def test_the_first_is_printed_once(self):
        stream = io.StringIO()
        console = Console(stream)
        for epochs in (2, 3, 4):
            console.write(self.record(epochs=epochs))
        assert stream.getvalue() == f"{forecast_line(self.record())}\n"

    def test_on_a_terminal_it_does_not_stand_behind_a_progress_bar(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("TERM", "xterm")
        stream = Terminal()
        Console(stream).write(self.record())
        assert stream.getvalue().startswith("\r\033[Keco2ai: forecast")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgressBars:
    """What stands on the line at which a run's line is printed."""

    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delitem(sys.modules, "tqdm.std", raising=False)

    def test_a_bar_that_is_left_on_a_terminal_is_erased(self):
        stream = Terminal()
        stream.write("50%|####")
        Console(stream).write(stop())
        assert stream.getvalue() == f"50%|####\r\033[K{HEAD} | {FRANCE}\n"

    def test_a_file_gets_the_line_alone(self):
        stream = io.StringIO()
        Console(stream).write(stop())
        assert stream.getvalue() == f"{HEAD} | {FRANCE}\n"

    def test_a_terminal_that_cannot_erase_gets_the_line_alone(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("TERM", "dumb")
        stream = Terminal()
        Console(stream).write(stop())
        assert stream.getvalue() == f"{HEAD} | {FRANCE}\n"

    @pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "file"])
    def test_tqdm_clears_its_bars_itself_and_draws_them_again(self, stream: Any, monkeypatch: pytest.MonkeyPatch):
        class Bars:
            _instances = ("a bar",)

            @staticmethod
            @contextmanager
            def external_write_mode(file: Any) -> Iterator[None]:
                file.write("(cleared)")
                yield
                file.write("(drawn)")

        monkeypatch.setitem(sys.modules, "tqdm.std", SimpleNamespace(tqdm=Bars))
        Console(stream).write(stop())
        assert stream.getvalue() == f"(cleared){HEAD} | {FRANCE}\n(drawn)"

    def test_tqdm_without_a_bar_is_left_alone(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "tqdm.std", SimpleNamespace(tqdm=SimpleNamespace(_instances=())))
        stream = io.StringIO()
        Console(stream).write(stop())
        assert stream.getvalue() == f"{HEAD} | {FRANCE}\n"

    def test_the_real_tqdm_leaves_the_line_on_its_own(self, monkeypatch: pytest.MonkeyPatch):
        tqdm = pytest.importorskip("tqdm.std")
        monkeypatch.setitem(sys.modules, "tqdm.std", tqdm)
        stream = Terminal()
        with tqdm.tqdm(total=2, file=stream, ascii=True) as bar:
            bar.update()
            Console(stream).write(stop())
        printed = [part.strip() for part in re.split(r"[\r\n]", stream.getvalue())]
        assert f"{HEAD} | {FRANCE}" in printed


class TestLogFile:
    @pytest.mark.parametrize("started", ["PWD", "cwd"])
    def test_a_log_in_the_launch_folder_is_not_named(self, tmp_path: Path, started: str, monkeypatch: Any):
        monkeypatch.chdir(tmp_path)
        stream = io.StringIO()
        Console(stream, tmp_path / "eco2ai.jsonl", {"PWD": str(tmp_path)} if started == "PWD" else {}).write(stop())
        assert stream.getvalue() == f"{HEAD} | {FRANCE}\n"

    @pytest.mark.parametrize("log", ["runs/eco2ai.jsonl", "../eco2ai.jsonl"], ids=["below", "above"])
    def test_another_is(self, tmp_path: Path, log: str):
        stream = io.StringIO()
        Console(stream, tmp_path / log, {"PWD": str(tmp_path)}).write(stop())
        assert stream.getvalue() == f"{HEAD} | {FRANCE} | log: {tmp_path / log}\n"

    def test_a_program_that_has_left_its_folder_finds_it_by_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "outputs").mkdir()
        monkeypatch.chdir(tmp_path / "outputs")
        stream = io.StringIO()
        Console(stream, Path("eco2ai.jsonl").absolute(), {"PWD": str(tmp_path)}).write(stop())
        assert stream.getvalue().endswith(f"| log: {tmp_path / 'outputs' / 'eco2ai.jsonl'}\n")

    def test_a_link_to_the_launch_folder_is_that_folder(self, tmp_path: Path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        stream = io.StringIO()
        Console(stream, tmp_path / "real" / "eco2ai.jsonl", {"PWD": str(tmp_path / "link")}).write(stop())
        assert "log:" not in stream.getvalue()


class TestFigures:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (0.0, "0 Wh"),
            (3e-9, "0.003 µWh"),
            (4.56e-6, "4.56 µWh"),
            (0.0123, "12.3 mWh"),
            (0.9996, "1 Wh"),
            (1.0, "1 Wh"),
            (12.345, "12.3 Wh"),
            (999.4, "999 Wh"),
            (999.6, "1 kWh"),
            (1234.0, "1.23 kWh"),
            (5.5e6, "5.5 MWh"),
            (7e9, "7 GWh"),
            (-12.345, "-12.3 Wh"),
        ],
    )
    def test_three_digits_and_a_prefix(self, value: float, shown: str):
        assert amount(value, "Wh") == shown

    @pytest.mark.parametrize(("value", "shown"), [(1500.0, "1.5 kg"), (2.5e6, "2.5 t"), (3e9, "3 kt"), (0.5, "500 mg")])
    def test_a_million_grams_are_a_tonne(self, value: float, shown: str):
        assert amount(value, "g") == shown

    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [
            (0.0, "0 s"),
            (0.1234, "0.123 s"),
            (8.24, "8.24 s"),
            (99.9, "99.9 s"),
            (100.0, "1 min 40 s"),
            (200.4, "3 min 20 s"),
            (3599.6, "1 h 00 min"),
            (7510.0, "2 h 05 min"),
            (200_000.0, "55 h 33 min"),
        ],
    )
    def test_durations(self, seconds: float, shown: str):
        assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        (
            {"data": (62.0, 12.0), "train": (138.0, 88.0)},
            "31% of the time and 12% of the energy while waiting for data: more workers?",
        ),
        ({"data": (62.0, 0.0), "train": (138.0, 0.0)}, "31% of the time while waiting for data: more workers?"),
        ({"data": (19.0, 12.0), "train": (181.0, 88.0)}, ""),
        ({"data": (0.9, 12.0), "train": (0.1, 88.0)}, ""),
        ({"train": (200.0, 88.0)}, ""),
        (None, ""),
    ],
    ids=["long", "unmeasured", "small share", "short", "none", "no phases"],
)
def test_waiting_for_data_is_named_where_it_matters(phases: Any, said: str) -> None:
    parts = line(stop(phases=phases), start(RAPL)).split(" | ")
    assert [part for part in parts if "waiting" in part] == ([said] if said else [])


def gpu(index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"index": index, "seconds": 100.0, **fields}


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (
            {"a": gpu(throttled=0.62, throttle={"power cap": 0.62, "sync boost": 0.05})},
            ["GPU 0: throttled 62% of the time (power cap)"],
        ),
        (
            {"a": gpu(throttled=0.3, throttle={"power cap": 0.12, "thermal limit": 0.3})},
            ["GPU 0: throttled 30% of the time (thermal limit, power cap)"],
        ),
        ({"a": gpu(throttled=0.12, throttle={"power cap": 0.06})}, ["GPU 0: throttled 12% of the time"]),
        ({"a": gpu(3, idle=0.41, idle_j=43200.0)}, ["GPU 3: idle 41% of the time, 12 Wh"]),
        ({"a": gpu(idle=0.41)}, ["GPU 0: idle 41% of the time"]),
        (
            {"b": gpu(1, idle=0.5, idle_j=3600.0), "a": gpu(0, idle=0.3, idle_j=7200.0), "c": gpu(2, idle=0.1)},
            ["GPUs 0 and 1: idle 40% of the time, 3 Wh"],
        ),
        (
            {"a": gpu(0, throttled=0.5), "b": gpu(1, throttled=0.5), "c": gpu(2, throttled=0.5, idle=0.25)},
            ["GPUs 0, 1 and 2: throttled 50% of the time", "GPU 2: idle 25% of the time"],
        ),
        ({"a": gpu(throttled=0.09, idle=0.19, busy=0.8, clock_mhz=1000.0)}, []),
        ({"a": gpu(throttled=0.9, idle=0.9) | {"seconds": 9.0}}, []),
        ({"a": gpu()}, []),
        (None, []),
    ],
    ids=[
        *("power", "heat and power", "no reason for long", "idle", "no energy", "two idle"),
        *("three slow", "little", "short", "nothing known", "no GPU"),
    ],
)
def test_gpus_are_named_where_they_were_slowed_down_or_idle_for_long(health: Any, said: list[str]) -> None:
    parts = line(stop(gpu_health=health), start(RAPL)).split(" | ")
    assert [part for part in parts if part.startswith("GPU")] == said


@pytest.mark.parametrize(
    ("fields", "before", "said"),
    [
        ({}, None, "8.5 Wh of it above idle (60 W)"),
        ({"rank": 1, "world_size": 4}, None, "8.5 Wh of it above idle (60 W) in rank 1"),
        ({}, {"energy_kwh": 1.0}, "8.5 Wh of it above idle (60 W) since it was resumed"),
        ({"beside": {}}, None, None),
        ({"basis": None}, None, None),
    ],
    ids=["alone", "rank", "resumed", "not known", "no baseline"],
)
def test_energy_above_idle_is_named_beside_the_whole(fields: Any, before: Any, said: str | None) -> None:
    values = {
        "beside": {"above_idle_kwh": 0.0085},
        "basis": {"baseline": {"seconds": 5.0, "watts": {"cpu": 10.0, "gpu:a": 50.0}}},
    }
    parts = line(stop(**{**values, **fields}), start(RAPL, total=before)).split(" | ")
    assert [part for part in parts if "idle" in part] == ([said] if said else [])
