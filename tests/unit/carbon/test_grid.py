"""From the settings to what a kilowatt-hour causes and costs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from eco2ai_callbacks.carbon.grid import Grid, check, grid_for
from eco2ai_callbacks.carbon.intensity import lookup, user, world
from eco2ai_callbacks.carbon.price import Price
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.guard import Guard
from eco2ai_callbacks.settings import Settings, resolve, spelled
from eco2ai_callbacks.usage import Usage

FARGATE = {"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}


def grid(tmp_path: Path, environ: dict[str, str] | None = None, year: int | None = None, **args: Any) -> Grid:
    """The grid on a machine where nothing but these variables says where it is."""
    return grid_for(resolve(args), environ or {}, tmp_path, year)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"region": "Atlantis"}, "region='Atlantis' is no place"),
        ({"region": "FR", "intensity_kind": "direct"}, "intensity_kind='direct' is not in the table for region='FR'"),
        ({"intensity_year": 1990}, "intensity_year=1990"),
        ({"price": {"8:00-20:00": 0.2}}, "price"),
    ],
)
def test_what_is_no_place_year_or_price_is_refused_before_any_training(args: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check(resolve(args))


@pytest.mark.parametrize(
    "args",
    [{}, {"region": "FR"}, {"intensity_year": 2020}, {"intensity_year": 1990, "g_per_kwh": 50.0}, {"price": 0.2}],
)
def test_what_can_be_counted_with_passes(args: dict[str, Any]) -> None:
    check(resolve(args))


def test_the_place_that_is_set_counts_whatever_the_machine_says(tmp_path: Path) -> None:
    found = grid(tmp_path, {**FARGATE, "AWS_REGION": "eu-west-3"}, region="DE")
    assert found.intensity == lookup("DE", found_by="setting")
    assert found.warning == ""


def test_the_origin_of_the_place_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECO2AI_REGION", "FR")
    assert grid(tmp_path).intensity.found_by == "setting (ECO2AI_REGION)"


def test_else_the_place_is_what_the_platform_says(tmp_path: Path) -> None:
    found = grid(tmp_path, {**FARGATE, "AWS_REGION": "us-east-1"})
    assert found.intensity.region == "aws:us-east-1"
    assert found.intensity.found_by == "environment: AWS_REGION + AWS_EXECUTION_ENV"
    assert found.warning == ""


@pytest.mark.parametrize(
    ("name", "value", "toml", "text"),
    [
        ("region", "Frnace", "'Frnace'", "region='Frnace' is no place of the table"),
        ("region", "Georgia", "'Georgia'", "region='Georgia' names several places"),
        ("intensity_year", "1990", "1990", "intensity_year=1990 is not in the table"),
        ("price", '{"8:00-20:00": 0.2}', '{"8:00-20:00" = 0.2}', "no span covers"),
    ],
    ids=["no place", "several", "no year", "no price"],
)
def test_a_refusal_names_where_the_value_came_from(name: str, value: str, toml: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.eco2ai]\n{name} = {toml}\n")
    variable = f"ECO2AI_{name.upper()}"
    for settings, origin in (
        (resolve({}, environ={variable: value}, site_files=()), variable),
        (resolve({name: spelled(value)}, environ={}, site_files=()), "argument"),
        (resolve({}, environ={}, folder=tmp_path, site_files=()), str(tmp_path / "pyproject.toml")),
    ):
        with pytest.raises(SettingsError) as error:
            check(settings)
        message = str(error.value)
        assert text in message
        assert f"{name} is from {origin}" in message
        assert "\n" not in message
        assert "default" not in message


def test_a_place_that_is_only_hinted_at_is_warned_of(tmp_path: Path) -> None:
    hints = {"SM_HOSTS": "[]", "AWS_REGION": "eu-west-3"}
    found = grid(tmp_path, hints)
    assert found.intensity.region == "aws:eu-west-3"
    assert "which tools set on laptops too; set region=" in found.warning
    assert grid(tmp_path, hints, g_per_kwh=12.0).warning == ""
    both = grid(tmp_path, hints, intensity_kind="direct").warning
    assert "set region=" in both
    assert both.endswith("; the best known figure is used")


def test_an_unknown_place_is_the_world_and_says_so(tmp_path: Path) -> None:
    found = grid(tmp_path)
    assert found.intensity == world()
    assert "the place of this machine is not known" in found.warning


def test_the_users_own_figure_counts_at_the_place_that_is_known(tmp_path: Path) -> None:
    assert grid(tmp_path, region="FR", g_per_kwh=12.0).intensity == user(12.0, region="FR", found_by="setting")
    unplaced = grid(tmp_path, g_per_kwh=12.0)
    assert (unplaced.intensity.g_per_kwh, unplaced.intensity.region, unplaced.warning) == (12.0, "", "")


def test_the_figure_is_not_newer_than_the_run(tmp_path: Path) -> None:
    assert grid(tmp_path, year=2018, region="FR").intensity.year == 2018


def test_a_place_that_nobody_named_stops_no_training_where_it_lacks_the_kind(tmp_path: Path) -> None:
    found = grid(tmp_path, {**FARGATE, "AWS_REGION": "eu-west-3"}, intensity_kind="direct")
    assert found.intensity.g_per_kwh == lookup("aws:eu-west-3").g_per_kwh
    assert found.warning.endswith("; the best known figure is used")
    with pytest.raises(SettingsError):
        grid(tmp_path, region="aws:eu-west-3", intensity_kind="direct")


def test_a_look_for_the_place_that_fails_is_named_and_the_place_unknown(tmp_path: Path) -> None:
    class Broken(dict[str, str]):
        def get(self, *_: Any) -> str:
            raise RuntimeError("no environment")

    guard = Guard()
    assert grid_for(Settings(), Broken(), tmp_path, guard=guard).intensity == world()
    assert guard.failures == ("place: no environment (RuntimeError)",)


def test_the_overhead_is_none_a_number_or_the_providers(tmp_path: Path) -> None:
    def overhead(**args: Any) -> tuple[float, str]:
        found = grid(tmp_path, **args)
        return found.pue, found.pue_source

    assert overhead(region="FR") == (1.0, "default: no overhead counted")
    assert overhead(region="FR", pue=1.3) == (1.3, "setting (argument)")
    pue, source = overhead(region="aws:us-east-1", pue="provider")
    assert pue == 1.15
    assert source
    nobody = "no provider's figure is known for {}: no overhead counted"
    assert overhead(region="FR", pue="provider") == (1.0, nobody.format("FR"))
    assert overhead(pue="provider") == (1.0, nobody.format("an unknown place"))


def test_the_cost_is_that_of_the_it_energy_with_the_overhead() -> None:
    found = Grid(lookup("FR"), 1.5, "", Price(0.2))
    assert found.cost(2.0, datetime(2026, 1, 1), 60.0) == pytest.approx(0.6)


def test_without_a_price_or_an_energy_nothing_is_made_up() -> None:
    start = datetime(2026, 1, 1)
    assert Grid(lookup("FR"), 1.5, "", None).cost(2.0, start, 60.0) is None
    assert Grid(lookup("FR"), 1.5, "", Price(0.2)).cost(None, start, 60.0) is None


def hours_file(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "hours.csv"
    path.write_text("start,g_per_kwh,kind\n" + "".join(f"{row},average\n" for row in rows))
    return path


def test_energy_is_counted_with_the_factors_of_its_hours(tmp_path: Path) -> None:
    path = hours_file(tmp_path, "2026-01-01T00:00Z,100", "2026-01-01T01:00Z,40")
    found = grid(tmp_path, region="FR", intensity=path, pue=1.5)
    start = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    # 3 kWh from half past midnight to half past one: half of it at 100, half at 40.
    assert found.emissions(3 * 3.6e6, start, 3600.0) == pytest.approx((1.5 * 100 + 1.5 * 40) * 1.5)
    assert found.spread == (1.0, 1.0)
    usage = Usage(3600.0, {"cpu": 3 * 3.6e6}, 315.0)
    facts = found.facts(start, usage)
    assert (facts["g_per_kwh"], facts["static_g_per_kwh"], facts["kind"]) == (70.0, lookup("FR").g_per_kwh, "average")
    assert (facts["region"], facts["pue_source"]) == ("FR", "setting (argument)")


def test_a_record_without_factors_over_time_holds_the_static_figure(tmp_path: Path) -> None:
    found = grid(tmp_path, region="FR")
    usage = Usage(3600.0, {"cpu": 3.6e6}, 50.0)
    assert (
        found.facts(datetime(2026, 1, 1), usage)
        == found.facts()
        == lookup("FR").to_dict() | {"pue_source": "default: no overhead counted"}
    )
    assert found.of_run(found.facts(), usage) == found.facts()


def test_a_constant_factor_over_time_counts_like_the_static_one(tmp_path: Path) -> None:
    path = hours_file(tmp_path, *(f"2026-01-01T{hour:02d}:00Z,41.5" for hour in range(24)))
    static, over_time = grid(tmp_path, g_per_kwh=41.5), grid(tmp_path, intensity=path, region="FR")
    start = datetime(2026, 1, 1, 7, 13, tzinfo=UTC)
    assert over_time.emissions(1e7, start, 40_000.0) == pytest.approx(static.emissions(1e7, start, 40_000.0))


@pytest.mark.parametrize("name", ["gone.csv", "hours.csv"])
def test_a_file_over_time_that_cannot_be_used_is_refused_before_any_training(name: str, tmp_path: Path) -> None:
    (tmp_path / "hours.csv").write_text("a,b\n")
    with pytest.raises(SettingsError, match=r"intensity='.*' cannot be used: .*\(intensity is from ECO2AI_INTENSITY\)"):
        check(resolve({}, environ={"ECO2AI_INTENSITY": str(tmp_path / name)}, site_files=()))
