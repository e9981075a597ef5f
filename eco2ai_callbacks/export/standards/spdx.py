"""SPDX 3.0.1: a document with a model's energy, by the AI profile.

Format: https://spdx.github.io/spdx-spec/v3.0.1/ (ISO/IEC 5962 describes version 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eco2ai_callbacks.export.standards.boundary import OPTION, asked, document_id, in_json, name_of, now, without_none
from eco2ai_callbacks.metrics.front_matter import plain
from eco2ai_callbacks.report.runs import Run

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
VERSION = "3.0.1"
TRAININGS = {"training": "ai_trainingEnergyConsumption", "fine-tuning": "ai_finetuningEnergyConsumption"}
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_CREATION = "_:creation"
# What the AI profile asks of a package beside its name (SPDX 3.0.1, AI/AIPackage).
_PROFILE = ("version", "download_location", "release_time", "supplier")

OPTIONS: dict[str, str] = {
    "name": "name of the model (needed where the runs have not one project)",
    "activity": "what the runs were: 'training' (default) or 'fine-tuning'",
    "version": "version of the model",
    "download_location": "address from which it can be downloaded",
    "release_time": "when it was released, such as 2026-11-28T12:00:00+00:00",
    "supplier": "organization that supplies it; with version, download_location and release_time the document is "
    "said to conform to the AI profile",
    **OPTION,
}


def write(runs: Sequence[Run], options: Mapping[str, str]) -> str:
    """Return runs as a document in JSON-LD.

    Args:
        runs: The runs.
        options: What no log holds, by the names in :data:`OPTIONS`.

    Raises:
        SettingsError: An option is missing or not accepted, or nothing was measured.
    """
    given, told = asked("spdx", runs, options, OPTIONS)
    urn = document_id(told.found, "spdx").urn
    member = TRAININGS[given.choice("activity", tuple(TRAININGS)) or "training"]
    tool, supplier = f"{urn}#tool", given.text("supplier")
    agent: dict[str, Any] = {
        "type": "Organization",
        "spdxId": f"{urn}#supplier",
        "creationInfo": _CREATION,
        "name": supplier,
    }
    released = given.moment("release_time")
    package: dict[str, Any] = {
        "type": "ai_AIPackage",
        "spdxId": f"{urn}#model",
        "creationInfo": _CREATION,
        "name": name_of(told.found, given),
        "comment": " ".join(told.basis),
        "software_primaryPurpose": "model",
        "software_packageVersion": given.text("version"),
        "software_downloadLocation": given.text("download_location"),
        "releaseTime": None if released is None else released.strftime(_TIME),
        "suppliedBy": None if supplier is None else agent["spdxId"],
        "ai_energyConsumption": {
            "type": "ai_EnergyConsumption",
            member: [
                {
                    "type": "ai_EnergyConsumptionDescription",
                    # A decimal of XML Schema has no exponent.
                    "ai_energyQuantity": plain(told.energy_kwh),
                    "ai_energyUnit": "kilowattHour",
                }
            ],
        },
    }
    elements: list[dict[str, Any]] = [
        {"type": "SoftwareAgent", "spdxId": tool, "creationInfo": _CREATION, "name": ", ".join(told.found.software)},
        *([] if supplier is None else [agent]),
        without_none(package),
    ]
    complete = all(given.text(name) for name in _PROFILE)
    document = {
        "type": "SpdxDocument",
        "spdxId": f"{urn}#document",
        "creationInfo": _CREATION,
        "profileConformance": ["core", "software", *(["ai"] if complete else [])],
        "rootElement": [package["spdxId"]],
        "element": [each["spdxId"] for each in elements],
    }
    creation: dict[str, Any] = {"type": "CreationInfo", "@id": _CREATION, "specVersion": VERSION}
    creation |= {"created": now().strftime(_TIME), "createdBy": [tool]}
    whole = {"@context": CONTEXT, "@graph": [creation, document, *elements]}
    return in_json(whole)
