"""The fields of BoAmps 1.1, written down from its published list, as a JSON schema that accepts no other.

Source: https://github.com/Boavizta/BoAmps, folder model, release 1.1.0 (CC BY 4.0), read 2026-11-28.
"""

from __future__ import annotations

from typing import Any

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"}


def fields(*needed: str, **known: Any) -> dict[str, Any]:
    return {"type": "object", "properties": known, "required": list(needed), "additionalProperties": False}


def texts(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), TEXT)


def numbers(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), NUMBER)


def one_of(names: str) -> dict[str, Any]:
    return {"enum": names.split()}


def some(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


ALGORITHM = fields(
    **texts("trainingType algorithmType algorithmName algorithmUri foundationModelName foundationModelUri"),
    **texts("framework frameworkVersion classPath optimizer quantization"),
    **numbers("parametersNumber layersNumber epochsNumber"),
)
DATASET = fields(
    *("dataUsage", "dataType"),
    dataUsage=one_of("input output"),
    dataType=one_of("tabular audio boolean image video object text token word other"),
    **texts("shape sourceUri owner"),
    **numbers("dataSize dataQuantity"),
    source=one_of("public private other"),
)
COMPONENT = fields(
    *("componentType", "nbComponent"),
    **texts("componentName componentType manufacturer family series"),
    nbComponent=WHOLE,
    memorySize=NUMBER,
    share=SHARE,
)
MEASURE = fields(
    *("measurementMethod", "powerConsumption"),
    **texts("measurementMethod manufacturer version cpuTrackingMode gpuTrackingMode"),
    **numbers("powerConsumption measurementDuration powerCalibrationMeasurement durationCalibrationMeasurement"),
    averageUtilizationCpu=SHARE,
    averageUtilizationGpu=SHARE,
    measurementDateTime=TIME,
)
REPORT = fields(
    *("task", "measures", "infrastructure"),
    header=fields(
        "reportDatetime",
        **texts("licensing formatVersion formatVersionSpecificationUri reportId"),
        reportDatetime=TIME,
        reportStatus=one_of("draft final corrective other"),
        publisher=fields(
            "confidentialityLevel",
            **texts("name division projectName publicKey"),
            confidentialityLevel=one_of("public internal confidential secret"),
        ),
    ),
    task=fields(
        *("taskStage", "taskFamily", "algorithms", "dataset"),
        **texts("taskStage taskFamily taskDescription"),
        nbRequest=NUMBER,
        measuredAccuracy=SHARE,
        algorithms=some(ALGORITHM),
        dataset=some(DATASET),
    ),
    measures=some(MEASURE),
    infrastructure=fields(
        *("infraType", "components"),
        infraType=one_of("publicCloud privateCloud onPremise other"),
        **texts("cloudProvider cloudInstance cloudService"),
        components=some(COMPONENT),
    ),
    environment=fields(
        "country",
        **texts("country location"),
        **numbers("latitude longitude powerSourceCarbonIntensity"),
    ),
    quality=one_of("high medium low"),
)
