"""Spark: a Parquet file of records, and trainings by TorchDistributor.

It needs pyspark, torch and Java, so an environment of its own runs it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guides import blocks
from logcheck import rows
from report_logs import folder, hostile
from sessions import Written

from eco2ai_callbacks.export.forms import FORMS
from eco2ai_callbacks.export.write import export
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import selected
from eco2ai_callbacks.runlog.verify import verify

sql = pytest.importorskip("pyspark.sql")
pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java"),
    # Of Spark's own sockets to its Java process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    place = tmp_path_factory.mktemp("spark")
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    session = builder.config("spark.sql.warehouse.dir", str(place)).getOrCreate()
    yield session
    session.stop()


def test_a_sum_over_what_counts_is_the_reports(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder()
    carried: dict[str, float | None] = {"energy_kwh": 1.0, "co2_kg": 0.5, "seconds": 5.0}
    Written(path / "carried.jsonl", "carried", carried=carried).stop()
    hostile(path / "hostile")
    with selected(path) as selection:
        export(selection, FORMS["parquet"], output=tmp_path / "runs.parquet")
    runs = load(path)
    spark.read.parquet(str(tmp_path / "runs.parquet")).createOrReplaceTempView("records")
    (row,) = spark.sql("SELECT SUM(energy_kwh), SUM(co2_kg), COUNT(*) FROM records WHERE counts").collect()
    assert row[0] == pytest.approx(runs.sum.energy_kwh)
    assert row[1] == pytest.approx(runs.sum.co2_kg)
    ((total,),) = spark.sql("SELECT COUNT(*) FROM records").collect()
    assert total == runs.records
    epochs = spark.sql(
        "SELECT run, epoch, start, channels[0].joules FROM records WHERE event = 'epoch' AND run = 'job'"
    )
    assert {(each[1], each[3]) for each in epochs.collect()} == {(0, 36.0), (1, 36.0)}
    types = dict(spark.table("records").dtypes)
    assert (types["start"], types["counts"], types["epoch"]) == ("timestamp", "boolean", "bigint")


# What the reader of the example has already, which counts its own CPU time, and the same training on the driver's
# machine after it. The log states the watts of a busy thread: a loop in this process would count its Java process too.
BURN_S = 1.0
BEFORE = f"""
import json, os, time

shared = os.environ["SHARED"]

def train_one_epoch():
    began = time.process_time()
    while time.process_time() < began + {BURN_S}:
        pass
    with open(f"{{shared}}/{{os.getpid()}}.cpu", "a") as times:
        print(began, time.process_time(), file=times)

"""
AFTER = """

by_driver = TorchDistributor(num_processes=2, local_mode=True, use_gpu=False).run(train)
print("FIGURES", json.dumps([figures, by_driver]))
spark.stop()
"""


def check_cpu_time(log: Path, times: Path) -> None:
    """Hold a run's joules to the CPU time that its processes have counted themselves, from the first epoch on."""
    (run,) = load(log).runs
    watts = re.fullmatch(r"job's process tree, ([\d.]+) W per busy thread", run.attribution["cpu"])
    assert watts is not None, run.attribution
    counted = {row["pid"]: (times / f"{row['pid']}.cpu").read_text().split() for row in rows(log)}
    assert len(counted) == 2
    cpu_s = sum(float(found[-1]) - float(found[0]) for found in counted.values())
    assert cpu_s >= 4 * BURN_S
    # The executors' Java processes are not counted, and no worker is twice.
    assert run.joules["cpu"] / float(watts[1]) == pytest.approx(cpu_s, rel=0.05)


@pytest.mark.slow
def test_the_processes_of_a_distributor_are_one_run_in_a_log_that_the_user_finds(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    page = Path(__file__).parents[2] / "docs" / "engines.md"
    (example,) = [block for block in blocks(page) if "TorchDistributor" in block.text]
    shared, driver = tmp_path / "shared", tmp_path / "driver"
    for folder_ in (shared, driver):
        folder_.mkdir()
    (driver / "job.py").write_text(BEFORE + example.text + AFTER)
    spark = {
        "SHARED": str(shared),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_HOSTNAME": "localhost",
        "ECO2AI_POWERCAP_ROOT": "nowhere",
        # Two executors, which are processes of their own.
        "PYSPARK_SUBMIT_ARGS": "--master local-cluster[2,1,1024] --conf spark.ui.enabled=false "
        "--conf spark.executorEnv.ECO2AI_POWERCAP_ROOT=nowhere pyspark-shell",
    }
    done = subprocess.run(
        [sys.executable, "job.py"], cwd=driver, env=os.environ | spark, capture_output=True, text=True, check=False
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FIGURES")] or [done.stderr]
    figures = json.loads(line.removeprefix("FIGURES"))
    for log, returned in zip((shared / "eco2ai.jsonl", driver / "eco2ai.jsonl"), figures, strict=True):
        assert verify(log).whole
        (run,) = load(log).runs
        assert run.ranks == (0, 1)
        assert run.states == ("finished",)
        assert [epoch.epoch for epoch in run.epochs] == [0, 1]
        check_cpu_time(log, shared)
        assert 0 < returned["eco2ai/total_energy_kwh"] <= run.energy_kwh
