"""Signs of a machine's region in the environment variables of platforms, one function per platform.

A variable alone is accepted only where the platform itself sets it, and nothing else does. One that users set as well
(``AWS_REGION`` and its like, on laptops too) needs a second sign of the same provider. One that tools set on laptops,
to run there what is meant for the platform, is a hint: it counts where the firmware names the provider. Only the region
is kept of an ARN or a URL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Environ = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sign:
    """Evidence from one platform of the region that this process runs in.

    Args:
        provider: Provider of the machine, as the table's ids spell it, or the platform's own name.
        region: Id of the place as the platform spells it; ``None`` where it names none.
        found_by: The variables that contain the evidence.
        sure: Confidence where the firmware agrees: ``high``, ``medium`` or ``low``.
        hint: Whether tools set these variables on laptops too, so that they prove nothing alone.
    """

    provider: str
    region: str | None
    found_by: str
    sure: str
    hint: bool = False


def platform_signs(environ: Environ) -> Iterator[Sign]:
    """Return the signs in variables that the platforms themselves set."""
    for read in _PLATFORMS:
        sign = read(environ)
        if sign is not None:
            yield sign


def client_signs(environ: Environ, vendor: str, evidence: str) -> Iterator[Sign]:
    """Return the signs in variables that users set as well, accepted only on a machine of that provider.

    Args:
        environ: The environment.
        vendor: Provider of this machine; empty if unknown.
        evidence: Source of the vendor: ``DMI`` or ``cloud-init``.
    """
    for provider, variable in _CLIENT_VARIABLES:
        if provider == vendor and environ.get(variable):
            yield Sign(provider, f"{provider}:{_plain(environ[variable])}", f"{variable} + {evidence}", "medium")
    if vendor == "azure" and (region := _azureml_region(environ)):
        yield Sign("azure", f"azure:{region}", f"MLFLOW_TRACKING_URI + {evidence}", "medium")


_CLIENT_VARIABLES = (
    ("aws", "AWS_REGION"),
    ("aws", "AWS_DEFAULT_REGION"),
    ("gcp", "GOOGLE_CLOUD_REGION"),
    ("gcp", "CLOUDSDK_COMPUTE_REGION"),
    ("gcp", "CLOUD_ML_REGION"),
    ("nebius", "NEBIUS_REGION"),
)


def _first(environ: Environ, *names: str) -> str | None:
    """Return the name of the first of these variables that is set and not empty."""
    return next((name for name in names if environ.get(name)), None)


def _plain(region: str) -> str:
    """Return a region in the spelling of the providers' tools: ``West Europe`` is ``westeurope``."""
    return region.strip().lower().replace(" ", "")


def _sagemaker(environ: Environ) -> Sign | None:
    """Return the region of a SageMaker job; SageMaker's local mode on a laptop sets the same variables."""
    parts = environ.get("TRAINING_JOB_ARN", "").split(":")
    if len(parts) < 6 or parts[0] != "arn" or not parts[3]:
        return None
    return Sign("aws", f"aws:{parts[3]}", "TRAINING_JOB_ARN", "high", hint=True)


def _aws(environ: Environ) -> Sign | None:
    """Return the region on ECS, Fargate, Lambda, CloudShell and SageMaker, which set it together with a second sign.

    AWS's own tools set most of them on a laptop: SageMaker's local mode, ECS's local endpoints, and Lambda's images
    with the emulator of its interface. SAM, and ECS Anywhere on the customers' own machines, are recognised.
    """
    if environ.get("AWS_SAM_LOCAL"):
        return None
    runtime = environ.get("AWS_EXECUTION_ENV", "")
    evidence, hint = "AWS_EXECUTION_ENV", runtime.startswith("AWS_Lambda_")
    if runtime == "AWS_ECS_EXTERNAL":
        return None
    if not re.match(r"AWS_ECS_|AWS_Lambda_|CloudShell", runtime):
        evidence, hint = _first(environ, *_IMITATED_BY_AWS) or "", True
    if not evidence:
        return None
    variable = _first(environ, "AWS_REGION", "AWS_DEFAULT_REGION")
    if variable is None:
        return Sign("aws", None, evidence, "high", hint)
    return Sign("aws", f"aws:{_plain(environ[variable])}", f"{variable} + {evidence}", "high", hint)


_IMITATED_BY_AWS = (
    "ECS_CONTAINER_METADATA_URI_V4",
    "ECS_CONTAINER_METADATA_URI",
    "SM_CURRENT_HOST",
    "SM_HOSTS",
    "TRAINING_JOB_NAME",
)


def _vertex(environ: Environ) -> Sign | None:
    """Return the region of a Vertex AI job; its local runs and many a client's settings have the same variables."""
    evidence = _first(environ, "CLOUD_ML_JOB", "CLOUD_ML_PROJECT_ID") or next(
        (name for name in sorted(environ) if name.startswith("AIP_") and environ[name]), None
    )
    if evidence is None:
        return None
    if not environ.get("CLOUD_ML_REGION"):
        return Sign("gcp", None, evidence, "medium", hint=True)
    return Sign(
        "gcp", f"gcp:{_plain(environ['CLOUD_ML_REGION'])}", f"CLOUD_ML_REGION + {evidence}", "medium", hint=True
    )


def _cloud_run(environ: Environ) -> Sign | None:
    """Return the region on Cloud Run, which the user sets; any Knative has ``K_SERVICE``, also on a laptop."""
    evidence = _first(environ, "CLOUD_RUN_JOB", "K_SERVICE")
    if evidence is None:
        return None
    hint = evidence == "K_SERVICE"
    variable = _first(environ, "GOOGLE_CLOUD_REGION", "CLOUDSDK_COMPUTE_REGION")
    if variable is None:
        return Sign("gcp", None, evidence, "medium", hint)
    return Sign("gcp", f"gcp:{_plain(environ[variable])}", f"{variable} + {evidence}", "medium", hint)


def _azure_batch(environ: Environ) -> Sign | None:
    """Return the region on a node of Azure Batch; a client may have the account's address alone."""
    found = re.match(r"https://[^./]+\.([a-z0-9]+)\.batch\.", environ.get("AZ_BATCH_ACCOUNT_URL", ""), re.IGNORECASE)
    if found is None:
        return None
    node = _first(environ, "AZ_BATCH_NODE_ID", "AZ_BATCH_TASK_ID", "AZ_BATCH_POOL_ID")
    evidence = f"AZ_BATCH_ACCOUNT_URL + {node}" if node else "AZ_BATCH_ACCOUNT_URL"
    return Sign("azure", f"azure:{_plain(found[1])}", evidence, "high", hint=node is None)


def _azureml_region(environ: Environ) -> str | None:
    found = re.match(r"azureml://([a-z0-9]+)\.api\.", environ.get("MLFLOW_TRACKING_URI", ""), re.IGNORECASE)
    return _plain(found[1]) if found else None


def _azure_ml(environ: Environ) -> Sign | None:
    """Return the region of an Azure ML job; a run on the local target has the same variables."""
    if not environ.get("AZUREML_RUN_ID"):
        return None
    region = _azureml_region(environ)
    if region is None:
        return Sign("azure", None, "AZUREML_RUN_ID", "medium", hint=True)
    return Sign("azure", f"azure:{region}", "MLFLOW_TRACKING_URI + AZUREML_RUN_ID", "medium", hint=True)


def _azure_app(environ: Environ) -> Sign | None:
    """Return the region of an app of Azure; its settings, which users download to run it, hold the site's name."""
    if not (environ.get("REGION_NAME") and environ.get("WEBSITE_SITE_NAME")):
        return None
    return Sign(
        "azure", f"azure:{_plain(environ['REGION_NAME'])}", "REGION_NAME + WEBSITE_SITE_NAME", "medium", hint=True
    )


def _runpod(environ: Environ) -> Sign | None:
    if not environ.get("RUNPOD_POD_ID"):
        return None
    if not environ.get("RUNPOD_DC_ID"):
        return Sign("runpod", None, "RUNPOD_POD_ID", "high")
    return Sign("runpod", f"runpod:{environ['RUNPOD_DC_ID'].strip().upper()}", "RUNPOD_DC_ID + RUNPOD_POD_ID", "high")


def _modal(environ: Environ) -> Sign | None:
    if not environ.get("MODAL_TASK_ID"):
        return None
    cloud = environ.get("MODAL_CLOUD_PROVIDER", "").removeprefix("CLOUD_PROVIDER_").lower()
    if cloud not in _CLOUDS.values() or not environ.get("MODAL_REGION"):
        return Sign("modal", None, "MODAL_TASK_ID", "high")
    return Sign("modal", f"{cloud}:{_plain(environ['MODAL_REGION'])}", "MODAL_CLOUD_PROVIDER + MODAL_REGION", "high")


def _skypilot(environ: Environ) -> Sign | None:
    try:
        cluster = json.loads(environ.get("SKYPILOT_CLUSTER_INFO", ""))
    except ValueError:
        return None
    if not isinstance(cluster, dict):
        return None
    cloud, region = _CLOUDS.get(str(cluster.get("cloud")).lower()), cluster.get("region")
    if cloud is None or not isinstance(region, str) or not region:
        return None
    return Sign(cloud, f"{cloud}:{region}", "SKYPILOT_CLUSTER_INFO", "high")


_CLOUDS = {
    "aws": "aws",
    "azure": "azure",
    "do": "digitalocean",
    "gcp": "gcp",
    "hetzner": "hetzner",
    "ibm": "ibm",
    "lambda": "lambda",
    "nebius": "nebius",
    "oci": "oci",
    "runpod": "runpod",
    "scaleway": "scaleway",
}


def _cloudflare(environ: Environ) -> Sign | None:
    country = environ.get("CLOUDFLARE_COUNTRY_A2", "").strip().upper()
    return Sign("cloudflare", country, "CLOUDFLARE_COUNTRY_A2", "high") if country else None


def _fly(environ: Environ) -> Sign | None:
    """Return the region of a machine of Fly.io; its client has app and region as settings, but no machine's id."""
    evidence = _first(environ, "FLY_MACHINE_ID", "FLY_ALLOC_ID", "FLY_APP_NAME")
    if not (evidence and environ.get("FLY_REGION")):
        return None
    hint = evidence == "FLY_APP_NAME"
    return Sign("fly", f"fly:{_plain(environ['FLY_REGION'])}", f"FLY_REGION + {evidence}", "high", hint)


def _vercel(environ: Environ) -> Sign | None:
    """Return the region of a function of Vercel; ``vercel dev`` and ``vercel env pull`` set the variables elsewhere."""
    if not (environ.get("VERCEL") == "1" and environ.get("VERCEL_REGION")):
        return None
    return Sign("vercel", f"vercel:{_plain(environ['VERCEL_REGION'])}", "VERCEL_REGION + VERCEL", "high", hint=True)


def _railway(environ: Environ) -> Sign | None:
    """Return the region of a service of Railway; ``railway run`` hands its variables to a command on a laptop."""
    if not (environ.get("RAILWAY_PROJECT_ID") and environ.get("RAILWAY_REPLICA_REGION")):
        return None
    region = _plain(environ["RAILWAY_REPLICA_REGION"])
    return Sign("railway", f"railway:{region}", "RAILWAY_REPLICA_REGION + RAILWAY_PROJECT_ID", "high", hint=True)


def _render(environ: Environ) -> Sign | None:
    if not (environ.get("RENDER") == "true" and environ.get("RENDER_REGION")):
        return None
    return Sign("render", f"render:{_plain(environ['RENDER_REGION'])}", "RENDER_REGION + RENDER", "low", hint=True)


def _colab(environ: Environ) -> Sign | None:
    """Return a sign of Colab; its image for local runtimes has the same variables."""
    evidence = _first(environ, "COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION", "COLAB_GPU")
    return Sign("Google Colab", None, evidence, "high", hint=True) if evidence else None


def _kaggle(environ: Environ) -> Sign | None:
    """Return a sign of Kaggle; its image is public, and notebooks are run in it elsewhere."""
    evidence = _first(environ, "KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_CONTAINER_NAME")
    return Sign("Kaggle", None, evidence, "high", hint=True) if evidence else None


def _vast(environ: Environ) -> Sign | None:
    # Only the presence of the second variable is a sign; its value, an IP address, is not read.
    if "CONTAINER_ID" in environ and "PUBLIC_IPADDR" in environ:
        return Sign("Vast.ai", None, "CONTAINER_ID", "medium", hint=True)
    return None


_PLATFORMS = (
    _sagemaker,
    _aws,
    _vertex,
    _cloud_run,
    _azure_batch,
    _azure_ml,
    _azure_app,
    _runpod,
    _modal,
    _skypilot,
    _cloudflare,
    _fly,
    _vercel,
    _railway,
    _render,
    _colab,
    _kaggle,
    _vast,
)
