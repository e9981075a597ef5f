"""The benchmark of fits: real fits of each framework, few and short."""

from __future__ import annotations

import pytest
from benchmark_package import ROOT

from benchmarks.fits import FITS, Cost, cost, loop_ratio, main, table


@pytest.mark.filterwarnings("ignore")  # what the frameworks think of so small a training
@pytest.mark.parametrize("name", FITS)
def test_fits_with_and_without_the_callback_take_turns(name: str) -> None:
    module, fit = FITS[name]
    pytest.importorskip(module)
    turns: list[bool] = []

    def noted(epochs: int, on: bool) -> None:
        turns.append(on)
        fit(epochs, on)

    found = cost(noted, epochs=3, rounds=2)
    assert turns == [True, False, False, True, True, False]
    assert len(found.on) == len(found.off) == 2
    assert min(found.on + found.off) > 0
    assert f"| {name} | 3 |" in table({name: found})


def test_figures_are_of_the_medians() -> None:
    found = Cost(100, on=(1.2, 1.3, 9.0), off=(1.0, 1.0, 0.1))
    assert found.more_s == pytest.approx(0.003)
    assert found.ratio == pytest.approx(1.3)


def test_a_loop_s_process_uses_what_its_thread_does_and_the_tracker_s() -> None:
    assert loop_ratio(0.2) > 0.99


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["torch"], "fits: torch is not one of lightning, transformers, keras"),
        (["--epochs", "0"], "--epochs: 0 is not accepted; accepted: a number above 0"),
        (["--loop-s", "-1"], "--loop-s: -1.0 is not accepted; accepted: a number above 0"),
    ],
)
def test_an_argument_that_is_not_accepted_is_named(
    args: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_page_has_its_table() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert table({}) in page
