"""Readers of what loggers have stored: each uses the logger's own reader, and checks that there is only one run."""

from __future__ import annotations

import csv
import json
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# The values of each metric, in the order in which they were logged.
Series = dict[str, list[float]]


def csv_table(file: Path | str) -> Series:
    """Return a table with one column per metric, whose cells may be empty."""
    with Path(file).open(newline="") as lines:
        return _series(csv.DictReader(lines))


def tensorboard(folder: Path | str = ".") -> Series:
    """Return the event file in a folder, as TensorBoard itself reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(_only(Path(folder).rglob("events.out.tfevents.*")).parent))
    events.Reload()
    found = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    for tag in events.Tags()["tensors"]:  # as tensorflow writes scalars
        values = [make_ndarray(event.tensor_proto) for event in events.Tensors(tag)]
        if all(value.dtype.kind == "f" and value.ndim == 0 for value in values):
            found[tag] = [float(value) for value in values]
    return found


def wandb_offline() -> Series:
    """Finish and return the offline run below the working folder."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.finish()
    wandb.teardown()  # its process writes the file, up to its own end
    rows = []
    for data in _wandb_records(_only(Path().rglob("*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            rows.append(dict(_wandb_item(item) for item in record.history.item))
    return _series(rows)


def mlflow_run(uri: str) -> Series:
    """Return the run in a store, through MLflow's client."""
    import mlflow

    mlflow.flush_async_logging()
    client = mlflow.MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    run = _only(client.search_runs(experiments))
    found = {}
    for name in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, name)
        found[name] = [each.value for each in sorted(history, key=lambda each: (each.step, each.timestamp, each.value))]
    return found


def wandb_config() -> dict[str, Any]:
    """Return the configuration of the offline run below the working folder, which has ended."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, Any] = {}
    for data in _wandb_records(_only(Path().rglob("*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        items = record.run.config.update if kind == "run" else record.config.update if kind == "config" else ()
        found |= dict(_wandb_item(item) for item in items)
    return found


def mlflow_params(uri: str) -> dict[str, str]:
    """Return the parameters of the run in a store."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    params: dict[str, str] = _only(client.search_runs(experiments)).data.params
    return params


def tensorboard_texts(folder: Path | str = ".") -> dict[str, list[str]]:
    """Return the texts in the event file in a folder, as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    files = sorted(Path(folder).rglob("events.out.tfevents.*"))
    found: dict[str, list[str]] = defaultdict(list)
    events = EventAccumulator(str(_only({file.parent for file in files})))
    events.Reload()
    for tag in events.Tags()["tensors"]:
        for event in events.Tensors(tag):
            found[tag] += [
                each.decode() for each in make_ndarray(event.tensor_proto).ravel() if isinstance(each, bytes)
            ]
    return dict(found)


def tensorboard_facts(folder: Path | str = ".") -> dict[str, str]:
    """Return the table of facts that was written once."""
    texts = tensorboard_texts(folder)
    # The writer of PyTorch adds a suffix, that of TensorFlow none.
    ((table,),) = [found for tag, found in texts.items() if tag in ("eco2ai/run", "eco2ai/run/text_summary")]
    cells = (line.strip("| ").split(" | ", 1) for line in table.splitlines()[2:])
    return dict(cells)


def trackio_run() -> Series:
    """Return the run in the only project of Trackio's local database."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    project = _only(SQLiteStorage.get_projects())
    run = _only(trackio.Api().runs(project))
    return _series(SQLiteStorage.get_logs(project, run.name))


def _series(rows: Iterable[Mapping[str, Any]]) -> Series:
    found: Series = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            try:
                found[name].append(float(value))
            except (TypeError, ValueError):  # a text, or an empty cell
                continue
    return dict(found)


def _only(found: Iterable[Any]) -> Any:
    (one,) = found
    return one


def _wandb_item(item: Any) -> tuple[str, Any]:
    return item.key or "/".join(item.nested_key), json.loads(item.value_json)


def _wandb_records(data: bytes) -> Iterable[bytes]:
    """Return the records of W&B's file, LevelDB's log format after seven bytes; their package has no reader."""
    assert data.startswith(b":W&B")
    block, header, position, record = 32768, 7, 7, b""
    while position + header <= len(data):
        left = block - position % block
        if left < header:  # padding: the next part is in the next block
            position += left
            continue
        _, size, part = struct.unpack_from("<IHB", data, position)  # checksum, size, 1: whole, 2: first, 3, 4: last
        position += header + size
        record = (b"" if part in (1, 2) else record) + data[position - size : position]
        if part in (1, 4):
            yield record
