"""The settings as keyword arguments."""

# Without annotations as strings, each of which ``TypedDict`` would compile.
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, TypedDict


class SettingsArgs(TypedDict, total=False):
    """The settings as keyword arguments, for editors and command lines; see ``Settings`` for their meanings."""

    project: str
    description: str
    log_file: str | os.PathLike[str] | None
    csv_file: str | os.PathLike[str] | None
    prometheus_file: str | os.PathLike[str] | None
    otel: bool
    console: bool
    scalars: Literal["basic", "all"]
    units: Literal["kWh", "Wh"]
    prog_bar: bool
    region: str | None
    g_per_kwh: float | None
    intensity: str | os.PathLike[str] | Callable[[datetime], float | None] | None
    intensity_kind: Literal["best", "lifecycle", "direct"]
    intensity_year: int | None
    pue: float | Literal["provider"]
    price: float | dict[str, float] | None
    scope: Literal["process", "machine"]
    gpus: str | Sequence[int | str]
    cpu_model: Literal["auto", "paper"]
    cpu_tdp_w: float | None
    cpu_threads: int | None
    ram_w_per_gib: float
    powercap_root: str | os.PathLike[str]
    sample_s: float
    heartbeat_s: float
    every_n_steps: int
    forecast_after: int
    max_energy_kwh: float | None
    max_co2_kg: float | None
    sync_gpu: bool
    run_id: str | None
    wue: float | Literal["provider"] | None
    water_intensity: float | None
    embodied_kg: float | None
    lifetime_h: float
    embodied_share: float
    market_intensity: float | None
    market_label: str | None
    baseline_s: float
    sci_unit: Literal["run", "epoch", "sample", "token"] | None
