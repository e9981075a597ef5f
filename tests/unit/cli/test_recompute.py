"""The command eco2ai recompute: the same joules with other factors, in a log that verify finds whole."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import golden_run
import jsonschema
import pytest
from click.testing import CliRunner
from report_logs import later
from sessions import GRID, Written

from eco2ai_callbacks import Tracker
from eco2ai_callbacks.carbon.intensity import lookup, user
from eco2ai_callbacks.cli import main
from eco2ai_callbacks.record import Record
from eco2ai_callbacks.runlog.read import records, total
from eco2ai_callbacks.runlog.verify import verify
from eco2ai_callbacks.testing import Clock, FakeMeter, fake_platform

VALID = jsonschema.Draft202012Validator(
    json.loads((files("eco2ai_callbacks") / "runlog" / "schema.json").read_text(encoding="utf-8"))
)
LOG, NEW = Path("eco2ai.jsonl"), Path("new.jsonl")


def recompute(*args: str, log: Path = LOG, output: Path = NEW, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["recompute", str(log), "--output", str(output), *args], env=env)
    return done.exit_code, done.output


def counted(*args: str, log: Path = LOG, output: Path = NEW) -> tuple[list[Record], list[Record]]:
    """The log as it was and as it was counted again; both are whole, and only what may differ differs."""
    content = log.read_bytes()
    code, text = recompute(*args, log=log, output=output)
    assert code == 0, text
    assert log.read_bytes() == content
    assert verify(output).whole
    for line in output.read_text(encoding="utf-8").splitlines():
        VALID.validate(json.loads(line))
    was, now = records(log), records(output)
    changeable = {
        *("run", "writer", "prev", "hmac", "parent", "siblings", "co2_kg", "epoch_co2_kg", "cost", "pue", "intensity"),
        *("total", "epoch_total", "carried", "continues", "metrics", "failures", "beside", "sci", "basis"),
    }
    for old, new in zip(was, now, strict=True):
        kept = [{k: v for k, v in record.to_dict().items() if k not in changeable} for record in (old, new)]
        assert kept[0] == kept[1]
        for sums in ("total", "epoch_total"):
            for name in ("energy_kwh", "seconds", "joules", "energy_band_kwh"):
                assert (getattr(old, sums) or {}).get(name) == (getattr(new, sums) or {}).get(name)
    return was, now


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two epochs of 3,600 s at 1 kW in France, counted with 50 g/kWh and a PUE of 1.25; and 1,800 s more."""
    clock = Clock()
    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 1000.0}), registry=tmp_path / "registry")
    args: dict[str, Any] = {"region": "FR", "g_per_kwh": 50.0, "pue": 1.25, "price": 0.2, "console": False}
    with Tracker(platform=platform, heartbeat_s=0.0, **args) as run:
        for epoch in range(2):
            clock.advance(3600.0)
            run.end_epoch(epoch, planned=4)
        clock.advance(1800.0)
    return LOG


def test_a_place_is_counted_again_by_hand(log: Path) -> None:
    was, now = counted("--region", "SE")
    sweden = lookup("SE", run_year=datetime.now().year)
    marks = [record for record in now if record.adds]
    assert [record.energy_kwh for record in marks] == [1.0, 1.0, 0.5]
    assert [record.co2_kg for record in marks] == pytest.approx(
        [kwh * sweden.g_per_kwh * 1.25 / 1000 for kwh in (1.0, 1.0, 0.5)]
    )
    stop = now[-1]
    assert (stop.total or {})["co2_kg"] == pytest.approx(2.5 * sweden.g_per_kwh * 1.25 / 1000)
    assert (stop.intensity or {})["region"] == "SE"
    assert (stop.intensity or {})["g_per_kwh"] == sweden.g_per_kwh
    before = (stop.intensity or {})["before"]
    assert before == {
        "co2_kg": 0.5 * 50.0 * 1.25 / 1000, "cost": 0.5 * 0.2 * 1.25, "pue": 1.25, "g_per_kwh": 50.0,
        "total_co2_kg": was[-1].total and was[-1].total["co2_kg"],
    }  # fmt: skip
    first = (now[0].intensity or {})["before"]
    assert (first["run"], first["writer"]) == (was[0].run, was[0].writer)
    assert first["intensity"] == was[0].intensity
    assert stop.cost == was[-1].cost  # neither price nor PUE is new


def test_the_pue_alone_scales_co2_and_cost_and_keeps_the_factor(log: Path) -> None:
    was, now = counted("--pue", "1.5")
    for old, new in zip(was, now, strict=True):
        assert new.pue == 1.5
        for name in ("co2_kg", "cost"):
            if getattr(old, name) is not None:
                assert getattr(new, name) == pytest.approx(getattr(old, name) * 1.5 / 1.25)
        kept = {k: v for k, v in (new.intensity or {}).items() if k not in ("before", "pue_source")}
        assert kept == {k: v for k, v in (old.intensity or {}).items() if k != "pue_source"}
        assert (new.intensity or {})["pue_source"] == "setting (argument)"


def test_a_price_that_the_run_had_not_is_counted(log: Path) -> None:
    _, now = counted("--price", "0.4")
    assert [record.cost for record in now if record.adds] == pytest.approx([0.5, 0.5, 0.25])
    assert (now[-1].total or {})["cost"] == pytest.approx(1.25)


def test_hours_that_nobody_knew_when_the_run_was_made_are_counted(tmp_path: Path) -> None:
    path, hours = tmp_path / "log.jsonl", tmp_path / "hours.csv"
    # Marks of 2 s and 36 J that begin at 2, 4 and 6 s.
    session = Written(path, intensity=user(50.0, region="FR").to_dict())
    session.mark(epoch=0)
    session.mark(epoch=1)
    session.stop()
    seconds = [f"2026-01-01T00:00:0{second}Z" for second in range(8)]
    hours.write_text(
        f"start,end,g_per_kwh,kind\n{seconds[1]},{seconds[3]},10,average\n{seconds[3]},{seconds[7]},30,average\n"
    )
    _, now = counted("--intensity", str(hours), log=path)
    marks = [record for record in now if record.adds]
    # The last second has no figure; the user's own 50 g/kWh stays the static one.
    for mark, g_per_kwh in zip(marks, (20.0, 30.0, 40.0), strict=True):
        facts = mark.intensity or {}
        assert facts["g_per_kwh"] == pytest.approx(g_per_kwh)
        assert mark.co2_kg == pytest.approx(36 / 3.6e6 * g_per_kwh * 1.2 / 1000)
        assert (facts["kind"], facts["static_g_per_kwh"], facts["static_kind"]) == ("average", 50.0, "user")
        assert (facts["region"], facts["found_by"]) == ("FR", "setting")
    assert (marks[2].intensity or {})["static_share"] == pytest.approx(0.5)
    assert "has no figure at" in marks[2].failures[-1]
    assert not marks[1].failures


def test_a_forecast_changes_as_the_run_so_far_does(log: Path) -> None:
    was, now = counted("--g-per-kwh", "100")
    old, new = (next(record.metrics or {} for record in found if record.event == "forecast") for found in (was, now))
    assert new["co2_kg"] == pytest.approx(2 * old["co2_kg"])
    assert new["co2_band_kg"] == pytest.approx([2 * edge for edge in old["co2_band_kg"]])
    assert new["energy_kwh"] == old["energy_kwh"]


def test_the_same_factors_give_the_same_figures(log: Path) -> None:
    was, now = counted("--g-per-kwh", "50", "--pue", "1.25", "--price", "0.2")
    for old, new in zip(was, now, strict=True):
        for name in ("co2_kg", "epoch_co2_kg", "cost"):
            assert getattr(new, name) == pytest.approx(getattr(old, name))
        for sums in ("total", "epoch_total"):
            one, other = getattr(old, sums), getattr(new, sums)
            assert (one is None) == (other is None)
            for name, figure in (one or {}).items():
                assert (other or {})[name] == (figure if name == "joules" else pytest.approx(figure))


def test_the_same_command_writes_the_same_log_and_both_may_be_read_together(log: Path, tmp_path: Path) -> None:
    counted("--region", "SE")
    counted("--region", "SE", output=Path("again.jsonl"))
    counted("--region", "PL", output=Path("poland.jsonl"))
    assert NEW.read_bytes() == Path("again.jsonl").read_bytes()
    verdict = verify([log, NEW, Path("poland.jsonl")])
    assert verdict.whole
    assert len({run.id for run in verdict.runs}) == 3


def test_a_log_that_was_counted_again_can_be_counted_again(log: Path) -> None:
    counted("--region", "SE")
    _, back = counted("--g-per-kwh", "50", log=NEW, output=Path("back.jsonl"))
    assert total(back).grams == pytest.approx(total(records(log)).grams)
    assert (back[0].intensity or {})["before"]["intensity"]["before"]["g_per_kwh"] == 50.0


@pytest.mark.parametrize("options", [("--region", "PL"), ("--pue", "1.1", "--price", "0.3")], ids=["place", "pue"])
@pytest.mark.parametrize(
    "script",
    [
        *(golden_run.fit, golden_run.resumed, golden_run.failing, golden_run.budget, golden_run.nested),
        *(golden_run.heartbeat, golden_run.two_ranks, golden_run.unmeasured),
    ],
    ids=lambda script: script.__name__,
)
def test_whole_runs_of_each_sort_are_counted_again(
    script: Callable[[golden_run.Told], None], options: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script(golden_run.Told())
    monkeypatch.setenv("ECO2AI_LOG_KEY", golden_run.KEY)
    (found,) = Path().glob("*.jsonl")
    was, now = counted(*options, log=found)
    assert verify(NEW, golden_run.KEY).whole
    assert total(now).joules == total(was).joules
    if script is golden_run.unmeasured:
        assert total(now).grams is None
    elif options[0] == "--region":
        assert total(now).grams == pytest.approx(
            math.fsum(total(was).joules.values()) / 3.6e6 * _factor(now) * was[0].pue
        )
    else:
        assert total(now).grams == pytest.approx((total(was).grams or 0.0) * 1.1 / was[0].pue)


def _factor(now: Sequence[Record]) -> float:
    (factor,) = {(record.intensity or {})["g_per_kwh"] for record in now}
    return float(factor)


def test_sessions_that_were_killed_and_resumed_stay_linked(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for ended in (False, True):
        session = Written(path, carried=None if ended else {"energy_kwh": 1.0, "co2_kg": 0.48, "seconds": 60.0})
        session.mark(epoch=0)
        session.heartbeat()
        if ended:
            session.stop()
    was, now = counted("--g-per-kwh", "100", log=path)
    begun = [record for record in now if record.event == "start"]
    assert (begun[0].carried or {})["co2_kg"] == pytest.approx(1.0 * 100 * 1.2 / 1000)
    assert begun[1].continues is not None
    assert (begun[1].continues or {})["writer"] == begun[0].writer
    assert total(now).grams == pytest.approx((total(was).grams or 0.0) * 100 / GRID.intensity.g_per_kwh, rel=1e-6)


def test_the_end_of_a_run_whose_first_session_is_elsewhere_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Written(path).mark(epoch=0)
    earlier = path.read_text()
    Written(path).stop()
    rest = tmp_path / "rest.jsonl"
    rest.write_text(path.read_text().removeprefix(earlier))
    code, text = recompute("--g-per-kwh", "200", log=rest)
    assert code == 0, text
    was, now = records(rest), records(NEW)
    # 400 g/kWh became 200: the part that is elsewhere is halved too.
    for old, new in zip(was, now, strict=True):
        assert (new.total or {})["co2_kg"] == pytest.approx((old.total or {})["co2_kg"] / 2)


def test_lines_whose_factors_stand_elsewhere_are_refused(tmp_path: Path) -> None:
    path, rest = tmp_path / "log.jsonl", tmp_path / "rest.jsonl"
    session = Written(path, intensity=user(400.0, region="FR").to_dict())
    session.mark(epoch=0)
    earlier = path.read_text()
    session.mark(epoch=1)
    rest.write_text(path.read_text().removeprefix(earlier))
    code, text = recompute("--g-per-kwh", "480", log=rest)
    assert code == 1
    assert "the first lines of session" in text
    assert "intensity" in text
    assert not NEW.exists()


@pytest.mark.parametrize(
    ("options", "ratio"), [(("--g-per-kwh", "200"), 0.5), (("--pue", "2.4"), 2.0)], ids=["g", "pue"]
)
def test_a_log_that_was_renamed_in_the_middle_of_a_session_is_counted(
    options: Sequence[str], ratio: float, tmp_path: Path
) -> None:
    rest = tmp_path / "log.jsonl"
    session = Written(rest, intensity=user(400.0, region="FR").to_dict())
    session.mark(epoch=0)
    rest.rename(tmp_path / "earlier.jsonl")
    session.heartbeat()
    session.mark(epoch=1)
    session.stop()
    code, text = recompute(*options, log=rest)
    assert code == 0, text
    verdict = verify(NEW)
    assert not verdict.faults
    assert verdict.elsewhere
    for old, new in zip(records(rest), records(NEW), strict=True):
        assert (new.total or {})["co2_kg"] == pytest.approx((old.total or {})["co2_kg"] * ratio)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "nothing to count with was given; accepted are --region"),
        (("--region", "Atlantis"), "region='Atlantis' is no place of the table"),
        (("--pue", "0.5"), "pue='0.5' (from argument) is not accepted"),
        (("--intensity-kind", "direct", "--region", "FR"), "intensity_kind='direct' is not in the table"),
        (("--intensity", "gone.csv"), "intensity='gone.csv' cannot be used"),
    ],
    ids=["nothing", "no place", "no pue", "no such kind", "no file"],
)
def test_what_cannot_be_counted_is_refused_and_nothing_is_left(log: Path, args: Sequence[str], why: str) -> None:
    code, text = recompute(*args)
    assert code == 2
    assert why in text
    assert not [path for path in Path().iterdir() if path.name.startswith("new")]


def test_a_kind_that_the_places_of_the_log_lack_is_refused_and_nothing_is_left(log: Path) -> None:
    code, text = recompute("--intensity-kind", "direct")
    assert (code, "is not in the table for region='FR'" in text) == (2, True)
    assert not [path for path in Path().iterdir() if path.name.startswith("new")]


def test_a_log_is_never_written_over_and_an_altered_one_never_counted(log: Path) -> None:
    NEW.write_text("mine")
    assert recompute("--region", "SE")[0] == 2
    assert NEW.read_text() == "mine"
    code, text = recompute("--region", "SE", output=log)
    assert (code, "exists; a log is never written over" in text) == (2, True)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines[1]["joules"]["cpu"] += 1
    log.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    code, text = recompute("--region", "SE", output=Path("other.jsonl"))
    assert (code, "was altered, so it is not counted again" in text) == (1, True)
    assert not Path("other.jsonl").exists()


def test_a_log_that_is_not_there_is_named() -> None:
    code, text = recompute("--region", "SE")
    assert (code, "LOG='eco2ai.jsonl' is not there, or no line of it is a record" in text) == (2, True)


def test_the_year_is_that_of_the_run_where_none_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Written(path, intensity=lookup("FR", year=2020).to_dict()).stop()
    old = path.read_text().replace("2026-01-01T", "2021-06-01T")
    assert "2021-06-01T" in old
    _, now = counted("--intensity-kind", "lifecycle", log=path)
    assert (now[-1].intensity or {})["year"] == lookup("FR", run_year=2026).year
    _, now = counted("--intensity-year", "2019", log=path, output=Path("of2019.jsonl"))
    assert (now[-1].intensity or {})["g_per_kwh"] == lookup("FR", year=2019).g_per_kwh
    assert datetime.fromisoformat(now[-1].start).astimezone(UTC).year == 2026


def test_figures_beside_follow_the_pue_and_the_score_the_co2e() -> None:
    clock = Clock()
    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 1000.0}))
    given: dict[str, Any] = {"wue": 1.8, "water_intensity": 3.0, "embodied_kg": 3504, "sci_unit": "epoch", "pue": 1.2}
    given |= {"market_intensity": 50, "market_label": "wind", "g_per_kwh": 100}
    with Tracker(platform=platform, log_file=LOG, console=False, **given) as run:
        clock.advance(3600.0)
        run.end_epoch()
    was, now = counted("--pue", "1.8")
    one, other = (next(record for record in found if record.event == "epoch").beside for found in (was, now))
    assert other == {
        "water_on_site_l": one["water_on_site_l"],
        "water_off_site_l": pytest.approx(1.5 * one["water_off_site_l"]),
        "market_co2_kg": pytest.approx(1.5 * one["market_co2_kg"]),
        "embodied_co2_kg": one["embodied_co2_kg"],
    }
    assert [(found[-1].sci or {})["g_per_unit"] for found in (was, now)] == pytest.approx([220.0, 280.0])


def test_water_and_a_contract_that_the_run_had_not_are_counted(log: Path) -> None:
    was, now = counted("--wue", "1.8", "--market-intensity", "0", "--market-label", "wind", "--pue", "2")
    for old, new in zip(was, now, strict=True):
        assert old.beside == {}
        energy = old.energy_kwh
        water = {} if energy is None else {"water_on_site_l": pytest.approx(1.8 * energy), "market_co2_kg": 0.0}
        assert new.beside == water
        assert (new.basis or {})["market_label"] == "wind"
    assert any(new.beside for new in now)


def test_a_new_factor_replaces_its_own_figure_alone(tmp_path: Path) -> None:
    clock = Clock()
    platform = fake_platform(clock, FakeMeter(clock, {"cpu": 1000.0}))
    given: dict[str, Any] = {"wue": 1.8, "water_intensity": 3.0, "embodied_kg": 3504}
    with Tracker(platform=platform, log_file=LOG, console=False, region="FR", **given) as run:
        clock.advance(3600.0)
        run.mark()
    was, now = counted("--wue", "provider", "--region", "aws:us-east-1")
    one, other = was[1].beside, now[1].beside
    assert other == one | {"water_on_site_l": pytest.approx(0.12)}
    assert (now[1].basis or {})["embodied_kg"] == 3504.0


def test_a_contract_without_a_name_is_refused(log: Path) -> None:
    code, text = recompute("--market-intensity", "0")
    assert code == 2
    assert "needs the name of its contract or certificate" in " ".join(text.split())
    assert not NEW.exists()


def test_what_a_later_version_has_written_is_left_out_and_named() -> None:
    Written(LOG).stop()
    later(LOG)
    code, text = recompute("--region", "SE")
    assert code == 0
    assert "line 3 has schema 9, which this version does not know (it reads 1 to 2): it and 5 more are left out" in text
    assert verify(NEW).whole
