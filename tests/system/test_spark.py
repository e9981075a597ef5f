"""A Parquet file of records in Spark's local mode; it needs pyspark and Java, so an environment of its own runs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_logs import folder, hostile
from sessions import Written

from eco2ai_callbacks.export.forms import FORMS
from eco2ai_callbacks.export.write import export
from eco2ai_callbacks.report.load import load
from eco2ai_callbacks.report.select import selected

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
