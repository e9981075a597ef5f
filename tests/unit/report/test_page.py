"""The page of a report."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import pytest
from report_logs import HOSTILE, folder, hostile, training

pytest.importorskip("altair")
pytest.importorskip("jinja2")
pytest.importorskip("vl_convert")

from eco2ai_callbacks.host.gpu_health import GpuHealth
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.page import page
from eco2ai_callbacks.report.runs import Run, Runs, Writer


class Parsed(html.parser.HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        (self.scripts if self._in_script else self.texts).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(load(folder(tmp_path_factory.mktemp("page") / "logs")))


def test_it_asks_for_nothing_from_outside(good: str) -> None:
    found = Parsed(good)
    assert not [attrs for tag, attrs in found.tags if tag in ("link", "img", "iframe", "object", "video", "base")][1:]
    assert found.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert not any("src" in attrs for _, attrs in found.tags)
    assert "default-src 'none'" in str(found.all("meta"))
    style = good[good.index("<style>") : good.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_each_chart_has_a_table_and_a_description(good: str) -> None:
    found = Parsed(good)
    ids = {str(attrs["id"]) for _, attrs in found.tags if attrs.get("id")}
    specs = json.loads(found.scripts[1])
    assert specs
    for name in specs:
        assert {f"chart-{name}", f"title-{name}", f"text-{name}"} <= ids
    drawn = [attrs for attrs in found.all("div") if attrs.get("class") == "chart"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in drawn)
    assert good.count("<details><summary>Table of") == len(specs)
    for attrs in found.all("a"):
        target = str(attrs["href"])
        assert target.startswith("https://") or target[1:] in ids, target
    assert all(
        attrs.get("tabindex") == "0" and attrs.get("aria-label")
        for attrs in found.all("div")
        if "scroll" in str(attrs.get("class"))
    )


def test_it_states_what_limits_its_figures(good: str) -> None:
    text = " ".join(Parsed(good).texts)
    assert "not covered: a switch" in text
    assert "differ in kind or year" in text
    assert "Germany" in text
    assert "US EPA" in text
    assert "finished, inside outer" in text


def test_hostile_logs_do_no_harm() -> None:
    runs = load(hostile())
    text = page(runs)
    found = Parsed(text)
    assert not found.all("img")
    assert len(found.all("script")) == 3
    assert "alert(1)" not in "".join(found.scripts[2:])
    assert json.loads(found.scripts[1])
    assert "{{ 7 * 7 }}" in " ".join(found.texts)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e]", text[: text.index("<script>")])
    assert len(HOSTILE) < len(runs)


def test_ten_thousand_runs_make_a_page_of_bounded_size() -> None:
    training(Path("eco2ai.jsonl"))
    (run,) = load("eco2ai.jsonl").runs
    fields = {"portions": run.portions, "epochs": run.epochs, "writers": run.writers}
    many = Runs(tuple(Run(f"{number:016x}", **fields, place=number) for number in range(10_000)))
    text = page(many)
    assert len(text) < 3_000_000
    assert "And 9,500 more" in text


def test_a_run_without_energy_has_a_page() -> None:
    text = page(Runs((Run("r", writers=(Writer("w", 0, "h", None, None, None, False, 1),)),)))
    assert "unfinished" in text
    assert "As much as" not in text
    assert page(Runs())


def test_a_run_s_gpus_are_listed_and_what_is_not_known_is_no_0() -> None:
    health = {
        "GPU-a": GpuHealth(
            **{"index": 0, "seconds": 60.0, "busy": 0.59, "memory_busy": 0.2, "clock_mhz": 1410.4, "hottest_c": 71.0},
            **{"max_clock_mhz": 1980.0, "temperature_c": 66.2, "power_limit_w": 700.0, "throttled": 0.62},
            **{"throttle": {"power cap": 0.62, "<b>": 0.01}, "idle": 0.41, "idle_j": 43200.0},
        ),
        "GPU-b": GpuHealth(index=1, seconds=60.0),
    }
    fields = {"writers": (Writer("w", 0, "h", None, None, None, False, 1),), "devices": {"GPU-a": "NVIDIA H100"}}
    text = page(Runs((Run("r", gpu_health=health, **fields),)))
    rows = re.findall(r'<tr><th scope="row" title="(.*?)">(GPU \d)</th>(.*?)</tr>', text)
    cells = [re.findall(r'<td class="number">(.*?)</td>', row[2]) for row in rows]
    assert [row[:2] for row in rows] == [("NVIDIA H100 GPU-a", "GPU 0"), ("GPU-b", "GPU 1")]
    assert cells[0] == [
        *("59%", "20%", "1410 of 1980 MHz", "66 °C", "71 °C", "700 W"),
        *("62% (power cap 62%, &lt;b&gt; 1%)", "41%, 12 Wh"),
    ]
    assert cells[1] == ["–"] * 8
    assert "GPUs of" not in page(Runs((Run("r", **fields),)))
