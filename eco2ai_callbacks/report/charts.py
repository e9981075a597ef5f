"""The charts of a page and of pictures, as Vega-Lite specifications with the table behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from eco2ai_callbacks.report import series
from eco2ai_callbacks.report.chart_parts import (
    MOST_ROWS,
    alone,
    banded_cells,
    by_name,
    colour_by,
    epoch_axis,
    height_of,
    in_unit,
    legend_of,
    legend_of_runs,
    one_colour,
    table_of,
    time_axis,
    tooltip_of,
)
from eco2ai_callbacks.report.formats import shown
from eco2ai_callbacks.report.runs import Run, Runs
from eco2ai_callbacks.report.series import Row
from eco2ai_callbacks.sinks.console import amount


@dataclass(frozen=True, slots=True)
class Drawn:
    """One chart.

    Args:
        id: Its name within a page.
        section: The section of a page that it belongs to.
        title: What it shows.
        text: What a reader must know to read it.
        chart: The chart, without sizes and colours of a page.
        head: The names of the columns of its table.
        rows: The table.
        height: Its height in pixels.
        legend: What is drawn in which colour; empty where there is one colour.
    """

    id: str
    section: str
    title: str
    text: str
    chart: Any
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    height: int
    legend: tuple[tuple[str, str], ...] = ()


def charts(runs: Runs) -> list[Drawn]:
    """Return the charts that the runs have figures for."""
    lines, bars = series.largest(runs, series.MOST_LINES), series.largest(runs, series.MOST_BARS)
    names = series.labels(runs)
    return [
        *_runs(bars, names, len(runs)),
        *_epochs(lines, names),
        *_power(lines, names),
        *_parts(bars, names),
        *_metrics(lines, names),
        *_forecasts(lines, names),
        *_ranks(bars, names),
    ]


# --- each chart ------------------------------------------------------------------------------------------------------


def _runs(runs: Sequence[Run], names: Mapping[str, str], count: int) -> Iterator[Drawn]:
    if count < 2:
        return
    rows = [row for run in runs if (row := series.total_row(names[run.id], run.sum)) is not None]
    most = "" if count <= len(runs) else f" The {len(runs)} largest of {count} runs."
    for name, title, unit in (("energy", "Energy", "Wh"), ("co2", "CO₂e", "g")):
        found = [row for row in rows if name in row]
        if found:
            data, by = in_unit(found, unit, name, f"{name}_low", f"{name}_high")
            axis = f"{title} ({by})"
            base = alt.Chart(alt.Data(values=data)).encode(y=by_name("run", data))
            bar = base.mark_bar(cornerRadiusEnd=3, height={"band": 0.6}).encode(
                x=alt.X(f"{name}:Q", title=axis), color=one_colour(), tooltip=tooltip_of(run="run", **{axis: name})
            )
            error = base.mark_rule(strokeWidth=2).encode(x=f"{name}_low:Q", x2=f"{name}_high:Q", color=alt.value("ink"))
            table = [(row["run"], *banded_cells(row, name, unit)) for row in found]
            text = f"Each bar is a run; the line across its end is the band.{most}"
            head = ("run", title, "lowest", "highest")
            yield Drawn(
                f"runs-{name}", "runs", f"{title} by run", text, bar + error, head, table_of(table), height_of(found)
            )


def _epochs(runs: Sequence[Run], names: Mapping[str, str]) -> Iterator[Drawn]:
    legend = legend_of_runs(runs, names)
    rows = [row for run in runs for row in series.epoch_rows(run, names[run.id])]
    steps = [series.sampled(run.epochs)[1] for run in runs if len(run.epochs)]
    every = f" Every {max(steps)}th epoch is shown of the longest run." if steps and max(steps) > 1 else ""
    for name, title, unit in (("energy", "Energy", "Wh"), ("co2", "CO₂e", "g")):
        found = [row for row in rows if name in row]
        if found:
            data, by = in_unit(found, unit, name, f"{name}_low", f"{name}_high")
            axis = f"{title} per epoch ({by})"
            x, colour = alt.X("epoch:Q", title="epoch", axis=epoch_axis(data)), colour_by("run", legend)
            base = alt.Chart(alt.Data(values=data)).encode(x=x, color=colour, detail="attempt:N")
            ends = {"y": alt.Y(f"{name}_low:Q", title=axis), "y2": f"{name}_high:Q"}
            band = _band(base.mark_area(opacity=0.18).encode(**ends), alone(data, "run", "attempt"), x, colour, ends)
            line = base.mark_line(point=len(found) <= 80, strokeWidth=2).encode(
                y=alt.Y(f"{name}:Q", title=axis),
                tooltip=tooltip_of(run="run", epoch="epoch", attempt="attempt", **{axis: name}),
            )
            table = [
                (row["run"], str(row["epoch"]), str(row["attempt"]), *banded_cells(row, name, unit)) for row in found
            ]
            head = ("run", "epoch", "attempt", title, "lowest", "highest")
            text = f"The line is the figure of each epoch, evaluations included; the area is its band.{every}"
            yield Drawn(
                f"epochs-{name}",
                "epochs",
                f"{title} over epochs",
                text,
                band + line,
                head,
                table_of(table),
                280,
                legend,
            )


def _band(area: alt.Chart, rows: Sequence[Row], x: alt.X, colour: Any, ends: Mapping[str, Any]) -> Any:
    """Return an area with the bands of single points, which an area does not show."""
    if not rows:  # Vega warns of a layer without data
        return area
    bars = alt.Chart(alt.Data(values=[*rows])).mark_rule(strokeWidth=7, opacity=0.3)
    return area + bars.encode(x=x, color=colour, **ends)


def _power(runs: Sequence[Run], names: Mapping[str, str]) -> Iterator[Drawn]:
    rows = series.power_rows(runs, names)
    if not rows:
        return
    legend = legend_of_runs(runs, names) or legend_of(row["series"] for row in rows)
    data, by = in_unit(rows, "W", "power", "low", "high")
    axis_of_time = time_axis(min(row["begins"] for row in rows), max(row["ends"] for row in rows))
    x = alt.X("begins:T", title="time", axis=axis_of_time), alt.X2("ends:T")
    base = alt.Chart(alt.Data(values=data)).encode(x=x[0], color=colour_by("series", legend))
    axis = alt.Y("low:Q" if len(runs) == 1 else "power:Q", title=f"mean power ({by})", scale=alt.Scale(zero=True))
    tip = tooltip_of(part="series", **{f"power ({by})": "power"})
    if len(runs) == 1:
        chart = base.mark_rect(strokeWidth=0).encode(x2=x[1], y=axis, y2="high:Q", tooltip=tip)
        text = "Mean power in equal intervals of time, one component above the other."
    else:
        chart = base.mark_rule(strokeWidth=4).encode(x2=x[1], y=axis, tooltip=tip)
        text = "Mean power of each run in equal intervals of time."
    head = ("from", "to", "run" if len(runs) > 1 else "component", "mean power")
    table = [(row["begins"], row["ends"], row["series"], amount(row["power"], "W")) for row in rows]
    yield Drawn("power", "power", "Power over time", text, chart, head, table_of(table), 260, legend)


def _parts(runs: Sequence[Run], names: Mapping[str, str]) -> Iterator[Drawn]:
    certainty = "What hardware counters or sensors measured, and what a model estimated where nothing measures it."
    phases = "What the training did meanwhile, processors by their time, all else by the time that passed."
    kinds: tuple[tuple[str, str, str, str, Callable[[Run], Mapping[str, float]]], ...] = (
        ("certainty", "certainty", "Measured and estimated energy", certainty, series.certainty_of),
        ("component", "parts", "Energy by component", "What used the energy.", lambda run: run.sum.components),
        ("stage", "parts", "Energy by stage", "What the energy was used for.", series.stages_of),
        ("phase", "parts", "Energy by phase", phases, series.phases_of),
    )
    for name, section, title, text, parts in kinds:
        rows = [row for run in runs for row in series.part_rows(names[run.id], parts(run))]
        if not rows:
            continue
        legend = legend_of(row["part"] for row in rows)
        data, by = in_unit(rows, "Wh", "energy", of="run")
        chart = (
            alt.Chart(alt.Data(values=data))
            .mark_bar(height={"band": 0.6})
            .encode(
                x=alt.X("sum(energy):Q", title=f"energy ({by})"),
                y=by_name("run", data),
                color=colour_by("part", legend),
                tooltip=tooltip_of(run="run", part="part", **{f"energy ({by})": "energy"}),
            )
        )
        table = [(row["run"], row["part"], amount(row["energy"], "Wh"), f"{row['share']:.1%}") for row in rows]
        head = ("run", "part", "energy", "share")
        yield Drawn(name, section, title, text, chart, head, table_of(table), height_of(rows), legend)


def _metrics(runs: Sequence[Run], names: Mapping[str, str]) -> Iterator[Drawn]:
    legend = legend_of_runs(runs, names)
    for number, metric in enumerate(series.quality_metrics(runs)):
        rows = [row for run in runs for row in series.metric_rows(run, names[run.id], metric)]
        if len(rows) < 2:
            continue
        name = shown(metric, 40)
        data, by = in_unit(rows, "Wh", "energy")
        base = alt.Chart(alt.Data(values=data)).encode(
            x=alt.X("energy:Q", title=f"energy used by then ({by})"),
            y=alt.Y("value:Q", title=name, scale=alt.Scale(zero=False)),
            color=colour_by("run", legend),
            order="energy:Q",
            tooltip=tooltip_of(run="run", epoch="epoch", metric="value", **{f"energy ({by})": "energy"}),
        )
        table = [(row["run"], str(row["epoch"]), amount(row["energy"], "Wh"), f"{row['value']:.5g}") for row in rows]
        chart = base.mark_line(point=len(rows) <= 80, strokeWidth=2)
        text = "What the training reached, and the energy that it had used by then."
        head = ("run", "epoch", "energy by then", name)
        yield Drawn(
            f"metric-{number}", "metrics", f"{name} against energy", text, chart, head, table_of(table), 260, legend
        )


def _forecasts(runs: Sequence[Run], names: Mapping[str, str]) -> Iterator[Drawn]:
    for number, run in enumerate(run for run in runs if run.forecasts):
        rows = series.forecast_rows(run, names[run.id])
        if not rows or number >= 4:
            continue
        data, by = in_unit(rows, "Wh", "energy", "low", "high", "used")
        whole = all(0 <= row["done"] <= 1 for row in rows)
        axis = alt.Axis(format="%") if whole else alt.Axis()
        x = alt.X("done:Q", title="progress of the run", axis=axis)
        base = alt.Chart(alt.Data(values=data)).encode(x=x, color=one_colour())
        y = f"energy of the whole run ({by})"
        ends = {"y": alt.Y("low:Q", title=y), "y2": "high:Q"}
        band = _band(base.mark_area(opacity=0.18).encode(**ends), alone(data), x, one_colour(), ends)
        line = base.mark_line(point=True, strokeWidth=2).encode(
            y=alt.Y("energy:Q", title=y), tooltip=tooltip_of(progress="done", **{f"forecast ({by})": "energy"})
        )
        outcome = (
            alt.Chart(alt.Data(values=data[:1]))
            .mark_rule(strokeWidth=2, strokeDash=[6, 4])
            .encode(y=alt.Y("used:Q", title=y), color=alt.value("ink"), tooltip=tooltip_of(**{f"used ({by})": "used"}))
        )
        table = [
            (
                f"{row['done']:.0%}" if whole else f"{row['done']:g}",
                *(amount(row[key], "Wh") for key in ("energy", "low", "high", "used")),
            )
            for row in rows
        ]
        ended = "The dashed line is what the run used in the end."
        if run.states != ("finished",):
            ended = "The run has not reached its planned end: the dashed line is what it has used so far."
        head = ("progress", "forecast", "lowest", "highest", "used")
        title = f"Forecast and outcome: {names[run.id]}" if len(runs) > 1 else "Forecast and outcome"
        text = f"The energy of the whole run, as it was forecast on the way, with its band. {ended}"
        yield Drawn(f"forecast-{number}", "forecast", title, text, band + line + outcome, head, table_of(table), 240)


def _ranks(runs: Sequence[Run], names: Mapping[str, str]) -> Iterator[Drawn]:
    rows = [row for run in runs if len(run.ranks) > 1 for row in series.rank_rows(run, names[run.id])][:MOST_ROWS]
    if not rows:
        return
    legend = legend_of(row["host"] for row in rows)
    many = len({row["run"] for row in rows}) > 1
    data, by = in_unit(
        [row | {"name": f"{row['run']}, " * many + f"rank {row['rank']}"} for row in rows], "Wh", "energy"
    )
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_bar(height={"band": 0.7}, cornerRadiusEnd=3)
        .encode(
            x=alt.X("sum(energy):Q", title=f"energy ({by})"),
            y=by_name("name", data),
            color=colour_by("host", legend),
            tooltip=tooltip_of(rank="name", host="host", **{f"energy ({by})": "energy"}),
        )
    )
    table = [(row["run"], str(row["rank"]), row["host"], amount(row["energy"], "Wh")) for row in rows]
    head = ("run", "rank", "host", "energy")
    text = "Each bar is a rank, in the colour of its host. Hosts are named by a hash of their boot id."
    height = max(90, 60 + 20 * len({row["name"] for row in data}))
    yield Drawn("ranks", "ranks", "Ranks and hosts", text, chart, head, table_of(table), height, legend)
