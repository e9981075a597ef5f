"""A Raspberry Pi's power by its firmware, with watts worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from eco2ai_callbacks.meters.cpu.pmic import CPU_RAILS, RAM_RAILS, exists, rails_w, source

PRINTED = """ 3V7_WL_SW_A current(0)=0.08784600A
  DDR_VDD2_A current(4)=0.10000000A
  DDR_VDDQ_A current(5)=0.05000000A
  VDD_CORE_A current(7)=2.50000000A
  3V7_WL_SW_V volt(8)=3.70000000V
  DDR_VDD2_V volt(12)=1.10000000V
  DDR_VDDQ_V volt(13)=0.60000000V
  VDD_CORE_V volt(15)=0.80000000V
     EXT5V_V volt(24)=5.15000000V
"""


def test_a_supply_s_power_is_its_current_times_its_voltage() -> None:
    """2.5 A x 0.8 V = 2 W; 0.1 A x 1.1 V + 0.05 A x 0.6 V = 0.14 W."""
    assert source(CPU_RAILS, lambda: PRINTED).value() == 2.0
    assert source(RAM_RAILS, lambda: PRINTED).value() == pytest.approx(0.14)
    assert "EXT5V" not in rails_w(PRINTED)


@pytest.mark.parametrize("printed", ["", "Command not registered", PRINTED.replace("VDD_CORE_V", "X")], ids=range(3))
def test_what_names_no_core_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match="vcgencmd prints no power of VDD_CORE"):
        source(CPU_RAILS, lambda: printed).value()


def test_the_machine_is_known_by_its_model(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    model = tmp_path / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    for name, there in (("Raspberry Pi 5 Model B Rev 1.0\0", True), ("Raspberry Pi 4 Model B\0", False)):
        model.write_text(name)
        assert exists(tmp_path) is there
