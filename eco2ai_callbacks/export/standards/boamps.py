"""BoAmps 1.1: a report on the energy of an AI task.

Format: https://github.com/Boavizta/BoAmps (CC BY 4.0), release 1.1.0 of 2025-03-19. Its ``quality`` is left out: each
meter has a band of its own, and no step of its scale states that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eco2ai_callbacks.carbon import places
from eco2ai_callbacks.errors import SettingsError
from eco2ai_callbacks.export.standards.boundary import OPTION, Bounded, asked, document_id, in_json, now, without_none
from eco2ai_callbacks.export.standards.options import Options
from eco2ai_callbacks.report.runs import Run
from eco2ai_callbacks.report.statement import SOFTWARE, per_run, spot_of

FORMAT_VERSION = "1.1.0"
SPECIFICATION = "https://github.com/Boavizta/BoAmps/tree/main/model"
DATA_TYPES = ("tabular", "audio", "boolean", "image", "video", "object", "text", "token", "word", "other")
INFRASTRUCTURES = ("publicCloud", "privateCloud", "onPremise", "other")
CONFIDENTIALITY = ("public", "internal", "confidential", "secret")
_TIME = "%Y-%m-%d %H:%M:%S"

# Options that are texts of the report, by the member of the report that they become.
_ALGORITHM = {
    "training_type": ("trainingType", "supervisedLearning, transferLearning, ..."),
    "algorithm_type": ("algorithmType", "kind of algorithm, such as llm"),
    "algorithm_name": ("algorithmName", "name of the algorithm, such as cnn"),
    "foundation_model": ("foundationModelName", "the foundation model, where one was trained further"),
    "framework": ("framework", "the framework that trained it"),
    "framework_version": ("frameworkVersion", "its version"),
    "quantization": ("quantization", "fp32, b16, int8, ..."),
}
_CLOUD = {
    "cloud_provider": ("cloudProvider", "name of the cloud's provider"),
    "cloud_instance": ("cloudInstance", "name of the cloud's instance"),
}

OPTIONS: dict[str, str] = {
    "task_family": "what the model is for, such as 'text classification' (needed)",
    "data_type": f"what it was trained on: {', '.join(DATA_TYPES)} (needed)",
    "infra_type": f"where it was trained: {', '.join(INFRASTRUCTURES)} (needed)",
    "task_stage": "'training' (default), 'finetuning', 'preprocessing', ...",
    "parameters_billion": "number of parameters, in billions",
    **{name: told for name, (_, told) in (_ALGORITHM | _CLOUD).items()},
    "cpus": "number of processors (needed where the log names no GPU)",
    "cpu_name": "name of the processor",
    "ram_gb": "size of the memory in gigabytes",
    "gpu_memory_gb": "size of the memory of one GPU in gigabytes",
    "publisher": "organization that publishes the report; confidentiality is needed then",
    "confidentiality": f"{', '.join(CONFIDENTIALITY)}",
    "licensing": "licence of the report",
    **OPTION,
}


def write(runs: Sequence[Run], options: Mapping[str, str]) -> str:
    """Return runs as a report in JSON, with one measure for each run.

    Args:
        runs: The runs.
        options: What no log holds, by the names in :data:`OPTIONS`.

    Raises:
        SettingsError: An option is missing or not accepted, or nothing was measured.
    """
    given, told = asked("boamps", runs, options, OPTIONS)
    report = {
        "header": _header(told, given),
        "task": _task(told, given),
        "measures": [_measure(Bounded(each, told.boundary, told.factor)) for each in _measured(told)],
        "infrastructure": _infrastructure(told, given),
        "environment": _environment(told),
    }
    return in_json({name: value for name, value in report.items() if value})


def _measured(told: Bounded) -> list[Any]:
    return [each for each in per_run(told.found) if each.sum.energy_kwh is not None]


def _header(told: Bounded, options: Options) -> dict[str, Any]:
    header: dict[str, Any] = {
        "licensing": options.text("licensing"),
        "formatVersion": FORMAT_VERSION,
        "formatVersionSpecificationUri": SPECIFICATION,
        "reportId": str(document_id(told.found, "boamps")),
        "reportDatetime": now().strftime(_TIME),
    }
    name, secrecy = options.text("publisher"), options.choice("confidentiality", CONFIDENTIALITY)
    if name is not None or secrecy is not None:
        header["publisher"] = _known(name=name, confidentialityLevel=secrecy or options.needed("confidentiality"))
    return _known(**header)


def _task(told: Bounded, options: Options) -> dict[str, Any]:
    algorithm: dict[str, Any] = {member: options.text(name) for name, (member, _) in _ALGORITHM.items()}
    algorithm |= {"parametersNumber": options.number("parameters_billion")}
    if len(told.found.counted) == 1:
        algorithm |= {"epochsNumber": len({epoch.epoch for epoch in told.found.counted[0].epochs}) or None}
    kind = options.choice("data_type", DATA_TYPES) or options.needed("data_type")
    return {
        "taskStage": options.text("task_stage") or "training",
        "taskFamily": options.needed("task_family"),
        "algorithms": [_known(**algorithm)],
        "dataset": [{"dataUsage": "input", "dataType": kind}],
        "taskDescription": " ".join(told.basis),
    }


def _measure(told: Bounded) -> dict[str, Any]:
    found = told.found
    modes: dict[str, list[str]] = {}
    for component, method, _ in found.methods:
        for each in component.split("+"):
            modes.setdefault(each, []).append(method)
    version = next((version for run in found.runs for version in run.versions), None)
    return _known(
        measurementMethod=SOFTWARE if version is None or version[:1].isdigit() else version,
        version=version if version is not None and version[:1].isdigit() else None,
        cpuTrackingMode="+".join(modes.get("cpu", ())) or None,
        gpuTrackingMode="+".join(modes.get("gpu", ())) or None,
        powerConsumption=told.energy_kwh,
        measurementDuration=found.sum.seconds,
        measurementDateTime=None if found.started is None else found.started.strftime(_TIME),
    )


def _infrastructure(told: Bounded, options: Options) -> dict[str, Any]:
    kind = options.choice("infra_type", INFRASTRUCTURES) or options.needed("infra_type")
    memory = options.number("gpu_memory_gb")
    components = [
        _known(componentName=name, componentType="gpu", nbComponent=count, memorySize=memory)
        for name, count in Counter(told.found.gpus).items()
    ]
    cpus, cpu_name, ram = options.whole("cpus"), options.text("cpu_name"), options.number("ram_gb")
    if cpus is not None:
        components.append(_known(componentName=cpu_name, componentType="cpu", nbComponent=cpus))
    elif cpu_name is not None:
        raise SettingsError(f"cpu_name={cpu_name!r} needs the option cpus: {OPTIONS['cpus']}.")
    if ram is not None:
        components.append({"componentType": "ram", "nbComponent": 1, "memorySize": ram})
    if not components:
        options.needed("cpus")
    return _known(
        infraType=kind, **{member: options.text(name) for name, (member, _) in _CLOUD.items()}, components=components
    )


def _environment(told: Bounded) -> dict[str, Any]:
    """Return where the runs were; empty where that is not known, or not one country."""
    around = [places.chain(spot) for factor in told.found.factors if (spot := spot_of(factor)) is not None]
    countries = {spot.name for chain in around for spot in chain if spot.level == "country"}
    if len(countries) != 1:
        return {}
    (country,) = countries
    named = told.found.places
    location = named[0] if len(named) == 1 and named[0] != country else None
    return _known(country=country, location=location, powerSourceCarbonIntensity=told.found.g_per_kwh)


def _known(**members: Any) -> dict[str, Any]:
    return without_none(members)
