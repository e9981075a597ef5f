"""One file tree and environment per platform: the place that it is, or an honest unknown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eco2ai_callbacks.carbon import intensity
from eco2ai_callbacks.carbon.location import Place, locate
from eco2ai_callbacks.testing import BARE_METAL, CLOUD_VM

AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
LAPTOP = {"sys_vendor": "LENOVO", "product_name": "21CBCTO1WW", "chassis_asset_tag": "No Asset Information"}
EC2 = {"sys_vendor": "Amazon EC2", "product_name": "g5.xlarge", "bios_version": "1.0"}
XEN_EC2 = {"sys_vendor": "Xen", "product_name": "HVM domU", "bios_version": "4.11.amazon"}
GCE = {"sys_vendor": "Google", "product_name": "Google Compute Engine"}
AZURE = {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "chassis_asset_tag": AZURE_TAG}
HYPER_V = {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "chassis_asset_tag": "0000-0001"}
CHROMEBOOK = {"sys_vendor": "Google", "product_name": "Eve"}
QEMU = {"sys_vendor": "QEMU", "product_name": "Standard PC (i440FX + PIIX, 1996)"}


def init(**facts: str) -> str:
    """cloud-init's file, with things that are none of ours beside what is."""
    secret = {"local_hostname": "secret-host", "instance_id": "i-0123", "public_ssh_keys": ["ssh-rsa AAAA"]}
    return json.dumps({"ds": {"meta_data": {"public-ipv4": "203.0.113.9"}}, "v1": {**secret, **facts}})


@dataclass
class Machine:
    """A machine, and what is to be found out about it."""

    name: str
    region: str | None
    found_by: str
    sure: str
    environ: Mapping[str, str] = field(default_factory=dict)
    dmi: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    localtime: str = ""

    def build(self, root: Path) -> Path:
        for name, text in {**{f"sys/class/dmi/id/{n}": f"{v}\n" for n, v in self.dmi.items()}, **self.files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if self.localtime:
            (root / "etc").mkdir(parents=True, exist_ok=True)
            (root / "etc/localtime").symlink_to(self.localtime)
        return root


def unknown(name: str, **parts: object) -> Machine:
    return Machine(name, None, "unknown", "none", **parts)  # type: ignore[arg-type]


CLOUD_INIT = "run/cloud-init/instance-data.json"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/secret-job"
MLFLOW = "azureml://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/secret/workspaces/secret"
SKY = '{"cluster_name": "secret", "cloud": "GCP", "region": "us-west1", "zone": "us-west1-a"}'

MACHINES = [
    # AWS
    Machine(
        "fargate", "aws:us-east-1", "environment: AWS_REGION + AWS_EXECUTION_ENV", "medium",
        {"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE", "AWS_REGION": "us-east-1"},
    ),
    Machine(
        "lambda", "aws:eu-west-3", "environment: AWS_REGION + AWS_EXECUTION_ENV", "low",
        {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "AWS_REGION": "eu-west-3", "TZ": ":UTC"},
    ),
    Machine(
        "cloudshell", "aws:ap-south-1", "environment: AWS_DEFAULT_REGION + AWS_EXECUTION_ENV", "high",
        {"AWS_EXECUTION_ENV": "CloudShell", "AWS_DEFAULT_REGION": "ap-south-1"}, EC2,
    ),
    Machine(
        "ecs on ec2", "aws:eu-central-1", "environment: AWS_REGION + ECS_CONTAINER_METADATA_URI_V4", "high",
        {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/secret", "AWS_REGION": "eu-central-1"}, EC2,
    ),
    Machine("sagemaker", "aws:eu-west-1", "environment: TRAINING_JOB_ARN", "high", {"TRAINING_JOB_ARN": ARN}, EC2),
    Machine(
        "sagemaker toolkit", "aws:us-west-2", "environment: AWS_REGION + SM_CURRENT_HOST", "high",
        {"SM_CURRENT_HOST": "algo-1", "SM_HOSTS": '["algo-1"]', "AWS_REGION": "us-west-2"}, XEN_EC2,
    ),
    Machine(
        "sagemaker by job's name", "aws:us-west-2", "environment: AWS_REGION + TRAINING_JOB_NAME", "high",
        {"TRAINING_JOB_NAME": "secret", "AWS_REGION": "us-west-2"}, EC2,
    ),
    Machine(
        "sagemaker whose provider is known by cloud-init", "aws:us-west-2",
        "environment: AWS_REGION + SM_HOSTS", "high",
        {"SM_HOSTS": '["algo-1"]', "AWS_REGION": "us-west-2", "TZ": "Europe/Paris"}, {},
        {"run/cloud-init/cloud-id": "aws\n"},
    ),
    *(
        Machine(
            f"laptop whose firmware says nothing, {name}", "RU", "time zone", "low",
            {**environ, "AWS_REGION": "us-west-2"}, files={"etc/timezone": "Europe/Moscow"},
        )
        for name, environ in {
            "sagemaker's local mode": {"TRAINING_JOB_NAME": "secret", "SM_CURRENT_HOST": "algo-1-x"},
            "sagemaker's hosts": {"SM_HOSTS": '["algo-1"]'},
            "sagemaker's arn": {"TRAINING_JOB_ARN": ARN},
            "ecs' local endpoints": {"ECS_CONTAINER_METADATA_URI": "http://169.254.170.2/v3"},
            "ecs' local endpoints, v4": {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/secret"},
            "lambda's emulator": {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"},
        }.items()
    ),
    Machine(
        "container in UTC whose firmware says nothing", "aws:us-west-2",
        "environment: AWS_REGION + TRAINING_JOB_NAME", "low",
        {"TRAINING_JOB_NAME": "secret", "AWS_REGION": "us-west-2", "TZ": "UTC"},
    ),
    Machine("ec2", "aws:eu-north-1", "environment: AWS_REGION + DMI", "medium", {"AWS_REGION": "eu-north-1"}, EC2),
    Machine(
        "ec2, default region", "aws:eu-north-1", "environment: AWS_DEFAULT_REGION + DMI", "medium",
        {"AWS_DEFAULT_REGION": "eu-north-1"}, XEN_EC2,
    ),
    Machine(
        "ec2 whose cloud-init knows better than the client's setting", "aws:eu-west-1", "cloud-init", "high",
        {"AWS_REGION": "us-east-1"}, EC2, {CLOUD_INIT: init(cloud_name="aws", region="eu-west-1")},
    ),
    unknown("fargate without any region", environ={"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}),
    unknown("ec2 without any region", dmi=EC2, localtime="/usr/share/zoneinfo/Europe/Paris"),
    unknown("ec2 in a region that is not in the table", environ={"AWS_REGION": "eu-nowhere-9"}, dmi=EC2),
    unknown("laptop with a stray AWS_REGION", environ={"AWS_REGION": "us-east-1"}, dmi=LAPTOP),
    Machine(
        "laptop with a stray AWS_REGION in Moscow", "RU", "time zone", "low",
        {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}, LAPTOP, {"etc/timezone": "Europe/Moscow\n"},
    ),
    Machine(
        "laptop that imitates Lambda", "FR", "time zone", "low",
        {"AWS_SAM_LOCAL": "true", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "AWS_REGION": "us-east-1"},
        files={"etc/timezone": "Europe/Paris"},
    ),
    unknown(
        "laptop that imitates SageMaker", dmi=LAPTOP,
        environ={"SM_CURRENT_HOST": "algo-1-x", "AWS_REGION": "us-east-1", "TRAINING_JOB_ARN": ARN},
    ),
    Machine(
        "ECS Anywhere on own hardware", "DE", "time zone", "low",
        {"AWS_EXECUTION_ENV": "AWS_ECS_EXTERNAL", "AWS_REGION": "us-east-1", "ECS_CONTAINER_METADATA_URI_V4": "http://x"},
        files={"etc/timezone": "Europe/Berlin"},
    ),
    unknown(
        "AWS toolkit in an editor",
        environ={"AWS_EXECUTION_ENV": "AWS-Toolkit-For-VSCode/3.0", "AWS_REGION": "us-east-1"},
    ),
    # Google
    Machine(
        "vertex", "gcp:us-central1", "environment: CLOUD_ML_REGION + CLOUD_ML_JOB", "medium",
        {"CLOUD_ML_REGION": "us-central1", "CLOUD_ML_JOB": "{}", "CLOUD_ML_PROJECT_ID": "123456"}, GCE,
    ),
    Machine(
        "vertex custom container", "gcp:europe-west9", "environment: CLOUD_ML_REGION + AIP_MODEL_DIR", "medium",
        {"CLOUD_ML_REGION": "europe-west9", "AIP_MODEL_DIR": "gs://secret"}, GCE,
    ),
    *(
        Machine(
            f"laptop whose firmware says nothing, {name}", "RU", "time zone", "low", environ,
            files={"etc/timezone": "Europe/Moscow"},
        )
        for name, environ in {
            "vertex' local run": {"CLOUD_ML_REGION": "europe-west9", "AIP_STORAGE_URI": "gs://secret"},
            "vertex' project": {"CLOUD_ML_REGION": "europe-west9", "CLOUD_ML_PROJECT_ID": "123456"},
            "vertex' job": {"CLOUD_ML_REGION": "us-central1", "CLOUD_ML_JOB": "{}"},
            "vertex without a region": {"AIP_MODEL_DIR": "gs://secret"},
            "knative": {"K_SERVICE": "secret", "GOOGLE_CLOUD_REGION": "europe-west4"},
            "colab's local runtime": {"COLAB_RELEASE_TAG": "release-colab_20261101"},
            "kaggle's image": {"KAGGLE_CONTAINER_NAME": "secret"},
            "azure ml's local target": {"MLFLOW_TRACKING_URI": MLFLOW, "AZUREML_RUN_ID": "secret"},
            "azure batch's client": {"AZ_BATCH_ACCOUNT_URL": "https://secret.westeurope.batch.azure.com"},
            "azure functions' settings": {"REGION_NAME": "West Europe", "WEBSITE_SITE_NAME": "secret"},
            "vercel dev": {"VERCEL": "1", "VERCEL_REGION": "dev1"},
            "vercel env pull": {"VERCEL": "1", "VERCEL_REGION": "iad1"},
            "railway run": {"RAILWAY_REPLICA_REGION": "europe-west4-drams3a", "RAILWAY_PROJECT_ID": "secret"},
            "render's settings": {"RENDER": "true", "RENDER_REGION": "frankfurt"},
            "fly's client": {"FLY_REGION": "ams", "FLY_APP_NAME": "x"},
            "vast's two names": {"CONTAINER_ID": "1234", "PUBLIC_IPADDR": "203.0.113.9"},
        }.items()
    ),
    Machine(
        "a laptop of Microsoft's is not Azure", "FR", "time zone", "low",
        {"MLFLOW_TRACKING_URI": MLFLOW, "AZUREML_RUN_ID": "secret"}, HYPER_V, {"etc/timezone": "Europe/Paris"},
    ),
    Machine(
        "a laptop of Google's is not Google Cloud", "FR", "time zone", "low",
        {"K_SERVICE": "x", "GOOGLE_CLOUD_REGION": "us-central1"}, CHROMEBOOK, {"etc/timezone": "Europe/Paris"},
    ),
    unknown("vertex without a region", environ={"AIP_MODEL_DIR": "gs://secret"}),
    unknown("laptop whose client asks Vertex", environ={"CLOUD_ML_REGION": "us-east5"}, dmi=LAPTOP),
    Machine(
        "cloud run", "gcp:europe-west4", "environment: GOOGLE_CLOUD_REGION + K_SERVICE", "low",
        {"K_SERVICE": "secret", "GOOGLE_CLOUD_REGION": "europe-west4"},
    ),
    Machine(
        "cloud run job", "gcp:europe-west4", "environment: GOOGLE_CLOUD_REGION + CLOUD_RUN_JOB", "medium",
        {"CLOUD_RUN_JOB": "secret", "GOOGLE_CLOUD_REGION": "europe-west4"},
    ),
    unknown("cloud run job without a region", environ={"CLOUD_RUN_JOB": "secret", "TZ": "Europe/Paris"}),
    Machine(
        "gce", "gcp:asia-east1", "environment: CLOUDSDK_COMPUTE_REGION + DMI", "medium",
        {"CLOUDSDK_COMPUTE_REGION": "asia-east1"}, GCE,
    ),
    Machine(
        "gce with cloud-init", "gcp:us-west4", "cloud-init", "high", {}, GCE,
        {CLOUD_INIT: init(cloud_name="gce", region="us-west4", availability_zone="us-west4-b")},
    ),
    unknown("chromebook", environ={"GOOGLE_CLOUD_REGION": "us-central1"}, dmi=CHROMEBOOK),
    unknown("colab", environ={"COLAB_RELEASE_TAG": "release-colab_20261101", "TZ": "Europe/Paris"}, dmi=GCE),
    unknown("kaggle", environ={"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "TZ": "Europe/Paris"}, dmi=GCE),
    unknown("colab in UTC", environ={"COLAB_GPU": "1", "TZ": "UTC"}),
    # Azure
    Machine(
        "azure batch", "azure:westeurope", "environment: AZ_BATCH_ACCOUNT_URL", "high",
        {"AZ_BATCH_ACCOUNT_URL": "https://secret.westeurope.batch.azure.com"}, AZURE,
    ),
    Machine(
        "azure batch's node", "azure:westeurope", "environment: AZ_BATCH_ACCOUNT_URL + AZ_BATCH_NODE_ID", "medium",
        {"AZ_BATCH_ACCOUNT_URL": "https://secret.westeurope.batch.azure.com", "AZ_BATCH_NODE_ID": "secret"},
    ),
    Machine(
        "azure ml", "azure:eastus", "environment: MLFLOW_TRACKING_URI + AZUREML_RUN_ID", "medium",
        {"MLFLOW_TRACKING_URI": MLFLOW, "AZUREML_RUN_ID": "secret"}, AZURE,
    ),
    Machine(
        "azure vm", "azure:eastus", "environment: MLFLOW_TRACKING_URI + DMI", "medium",
        {"MLFLOW_TRACKING_URI": MLFLOW}, AZURE,
    ),
    unknown("azure ml without an address", environ={"AZUREML_RUN_ID": "secret"}),
    unknown("laptop that logs to Azure ML", environ={"MLFLOW_TRACKING_URI": MLFLOW}, dmi=LAPTOP),
    Machine(
        "azure app service", "azure:westeurope", "environment: REGION_NAME + WEBSITE_SITE_NAME", "medium",
        {"REGION_NAME": "West Europe", "WEBSITE_SITE_NAME": "secret"}, AZURE,
    ),
    Machine(
        "azure vm with cloud-init", "azure:francecentral", "cloud-init", "high", {}, AZURE,
        {CLOUD_INIT: init(cloud_name="azure", region="francecentral", availability_zone="")},
    ),
    unknown("azure vm", dmi=AZURE, files={"etc/timezone": "Europe/Paris"}),
    Machine("hyper-v on a desk", "FR", "time zone", "low", {}, HYPER_V, {"etc/timezone": "Europe/Paris"}),
    # Others
    Machine(
        "runpod", "runpod:EU-RO-1", "environment: RUNPOD_DC_ID + RUNPOD_POD_ID", "high",
        {"RUNPOD_DC_ID": "EU-RO-1", "RUNPOD_POD_ID": "secret"}, {"sys_vendor": "Supermicro"},
    ),
    Machine(
        "runpod by ssh", "runpod:US-TX-3", "environment: RUNPOD_DC_ID + RUNPOD_POD_ID", "high",
        files={"proc/1/environ": "PATH=/bin\0RUNPOD_DC_ID=US-TX-3\0RUNPOD_POD_ID=secret\0"},
    ),
    unknown("runpod without its data centre", environ={"RUNPOD_POD_ID": "secret"}),
    unknown("runpod's variable alone", environ={"RUNPOD_DC_ID": "EU-RO-1"}),
    Machine(
        "modal", "aws:us-east-1", "environment: MODAL_CLOUD_PROVIDER + MODAL_REGION", "high",
        {"MODAL_TASK_ID": "ta-x", "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_AWS", "MODAL_REGION": "us-east-1"},
    ),
    unknown("modal in a broad region", environ={
        "MODAL_TASK_ID": "ta-x", "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_GCP", "MODAL_REGION": "us-east"
    }),
    unknown("modal without a region", environ={"MODAL_TASK_ID": "ta-x"}),
    Machine(
        "skypilot", "gcp:us-west1", "environment: SKYPILOT_CLUSTER_INFO", "high", {"SKYPILOT_CLUSTER_INFO": SKY}, GCE
    ),
    Machine(
        "skypilot whose firmware says nothing", "gcp:us-west1", "environment: SKYPILOT_CLUSTER_INFO", "medium",
        {"SKYPILOT_CLUSTER_INFO": SKY, "TZ": "Europe/Paris"},
    ),
    unknown("skypilot on kubernetes", environ={"SKYPILOT_CLUSTER_INFO": '{"cloud": "Kubernetes", "region": "mine"}'}),
    unknown("skypilot, broken", environ={"SKYPILOT_CLUSTER_INFO": "{"}),
    unknown("skypilot, a list", environ={"SKYPILOT_CLUSTER_INFO": "[]"}),
    unknown("skypilot, no region", environ={"SKYPILOT_CLUSTER_INFO": '{"cloud": "AWS", "region": null}'}),
    Machine(
        "cloudflare", "NL", "environment: CLOUDFLARE_COUNTRY_A2", "high",
        {"CLOUDFLARE_COUNTRY_A2": "NL", "CLOUDFLARE_LOCATION": "ams07", "CLOUDFLARE_REGION": "WEUR"},
    ),
    Machine(
        "fly", "fly:ams", "environment: FLY_REGION + FLY_MACHINE_ID", "high",
        {"FLY_REGION": "ams", "FLY_APP_NAME": "x", "FLY_MACHINE_ID": "secret", "TZ": "Europe/Paris"},
    ),
    unknown("fly's variable alone", environ={"FLY_REGION": "ams"}),
    Machine(
        "vercel", "vercel:iad1", "environment: VERCEL_REGION + VERCEL", "low",
        {"VERCEL": "1", "VERCEL_REGION": "iad1"},
    ),
    Machine(
        "vercel on a cloud's machine", "vercel:iad1", "environment: VERCEL_REGION + VERCEL", "high",
        {"VERCEL": "1", "VERCEL_REGION": "iad1", "TZ": "Europe/Paris"}, EC2,
    ),
    unknown("vercel on a laptop", environ={"VERCEL": "1", "VERCEL_REGION": "dev1"}),
    Machine(
        "railway", "railway:europe-west4-drams3a", "environment: RAILWAY_REPLICA_REGION + RAILWAY_PROJECT_ID", "high",
        {"RAILWAY_REPLICA_REGION": "europe-west4-drams3a", "RAILWAY_PROJECT_ID": "secret"}, GCE,
    ),
    Machine(
        "render", "render:frankfurt", "environment: RENDER_REGION + RENDER", "low",
        {"RENDER": "true", "RENDER_REGION": "frankfurt"},
    ),
    Machine(
        "nebius", "nebius:eu-north1", "environment: NEBIUS_REGION + DMI", "medium",
        {"NEBIUS_REGION": "eu-north1"}, {"sys_vendor": "Nebius"},
    ),
    unknown("nebius' variable alone", environ={"NEBIUS_REGION": "eu-north1"}),
    unknown("vast.ai", environ={"CONTAINER_ID": "1234", "PUBLIC_IPADDR": "203.0.113.9", "TZ": "UTC"}),
    Machine("a container's id alone", "FR", "time zone", "low", {"CONTAINER_ID": "1234", "TZ": "Europe/Paris"}),
    unknown("slurm", environ={"SLURM_CLUSTER_NAME": "jean-zay", "SLURMD_NODENAME": "r1i0n0"}),
    unknown("kubernetes", environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}),
    unknown("container with nothing in it"),
    unknown("paperspace, lambda, coreweave", environ={"PAPERSPACE_FQDN": "x.paperspacegradient.com"}),
    # cloud-init at other providers
    Machine("hetzner", "hetzner:hel1", "cloud-init", "high", {}, {"sys_vendor": "Hetzner", "product_name": "vServer"}, {
        CLOUD_INIT: init(cloud_name="hetzner", region="eu-central", availability_zone="hel1-dc2")
    }),
    Machine("digitalocean", "digitalocean:nyc3", "cloud-init", "high", {}, {"sys_vendor": "DigitalOcean"}, {
        CLOUD_INIT: init(cloud_name="digitalocean", region="nyc3")
    }),
    Machine("scaleway", "scaleway:fr-par", "cloud-init", "high", {}, {"sys_vendor": "Scaleway"}, {
        CLOUD_INIT: init(cloud_name="scaleway", availability_zone="fr-par-2")
    }),
    Machine("oracle", "oci:eu-frankfurt-1", "cloud-init", "high", {}, {"chassis_asset_tag": "OracleCloud.com"}, {
        CLOUD_INIT: init(cloud_name="oracle", region="eu-frankfurt-1", availability_zone="xyz:EU-FRANKFURT-1-AD-1")
    }),
    Machine("alibaba", "alibaba:cn-beijing", "cloud-init", "high", {}, {"sys_vendor": "Alibaba Cloud"}, {
        CLOUD_INIT: init(cloud_name="aliyun", region="cn-beijing", availability_zone="cn-beijing-h")
    }),
    Machine(
        "cloud-init's provider is a second sign", "aws:eu-west-2", "environment: AWS_REGION + cloud-init", "medium",
        {"AWS_REGION": "eu-west-2"}, {}, {"run/cloud-init/cloud-id": "aws\n"},
    ),
    unknown("cloud-init of an unknown region", dmi={"sys_vendor": "Hetzner"}, files={
        CLOUD_INIT: init(cloud_name="hetzner", region="moon", availability_zone="moon1-dc1"),
        "etc/timezone": "Europe/Paris",
    }),
    unknown("cloud-init says only the provider", files={
        "run/cloud-init/cloud-id": "azure", "etc/timezone": "Europe/Paris"
    }),
    Machine("cloud-init on own hardware", "DE", "time zone", "low", {}, QEMU, {
        CLOUD_INIT: init(cloud_name="nocloud"), "run/cloud-init/cloud-id": "nocloud", "etc/timezone": "Europe/Berlin"
    }),
    Machine("cloud-init's file is broken", "DE", "time zone", "low", files={
        CLOUD_INIT: "{", "run/cloud-init/cloud-id": "none", "etc/timezone": "Europe/Berlin"
    }),
    Machine("cloud-init's file is odd", "DE", "time zone", "low", files={
        CLOUD_INIT: "[1]", "etc/timezone": "Europe/Berlin"
    }),
    unknown("openstack", dmi={"sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"}, files={
        "etc/timezone": "Europe/Paris"
    }),
    # Time zones
    Machine("laptop in Paris", "FR", "time zone", "low", dmi=LAPTOP, localtime="/usr/share/zoneinfo/Europe/Paris"),
    Machine("mac", "JP", "time zone", "low", localtime="/var/db/timezone/zoneinfo/Asia/Tokyo"),
    Machine("an old link", "IN", "time zone", "low", localtime="../usr/share/zoneinfo/posix/Asia/Calcutta"),
    Machine("TZ", "GB", "time zone", "low", {"TZ": ":Europe/London"}),
    Machine("TZ as a file", "GB", "time zone", "low", {"TZ": "/usr/share/zoneinfo/Europe/London"}),
    Machine(
        "TZ says UTC, the machine says where", "DE", "time zone", "low", {"TZ": "UTC"},
        localtime="/usr/share/zoneinfo/Europe/Berlin",
    ),
    Machine("Namibia", "NA", "time zone", "low", files={"etc/timezone": "Africa/Windhoek"}),
    Machine(
        "two zones of one country", "US", "time zone", "low", {"TZ": "America/New_York"},
        files={"etc/timezone": "America/Los_Angeles"},
    ),
    unknown("zones of two countries", environ={"TZ": "Europe/Paris"}, files={"etc/timezone": "Europe/Berlin"}),
    unknown("UTC server", dmi=QEMU, files={"etc/timezone": "Etc/UTC"}, localtime="/usr/share/zoneinfo/Etc/UTC"),
    unknown("a zone of no country", environ={"TZ": "CET"}),
    unknown("a POSIX rule", environ={"TZ": "MSK-3"}),
    unknown("locale says nothing", environ={"LANG": "de_DE.UTF-8", "LC_ALL": "fr_FR.UTF-8", "HOSTNAME": "paris-01"}),
    unknown("localtime is a copy", files={"etc/localtime": "TZif2"}),
]  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_each_platform_is_the_place_that_it_is(machine: Machine, tmp_path: Path) -> None:
    place = locate(environ=machine.environ, root=machine.build(tmp_path))
    assert (place.region, place.found_by, place.sure) == (machine.region, machine.found_by, machine.sure)
    if place.region is not None:
        assert intensity.lookup(place.region).region == place.region
    else:
        assert place.note


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_nothing_but_the_region_is_kept(machine: Machine, tmp_path: Path) -> None:
    text = repr(locate(environ=machine.environ, root=machine.build(tmp_path)))
    assert not [word for word in ("secret", "123456789012", "203.0.113.9", "169.254", "paris-01") if word in text]


def test_every_signal_of_the_list_has_a_machine() -> None:
    variables = {name for machine in MACHINES for name in machine.environ}
    files = {name for machine in MACHINES for name in (*machine.files, *(f"dmi/{n}" for n in machine.dmi))}
    assert variables >= {
        "AWS_EXECUTION_ENV", "AWS_REGION", "AWS_DEFAULT_REGION", "TRAINING_JOB_ARN", "SM_CURRENT_HOST",
        "TRAINING_JOB_NAME", "ECS_CONTAINER_METADATA_URI_V4", "K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_ML_PROJECT_ID",
        "AIP_MODEL_DIR", "CLOUD_ML_REGION", "GOOGLE_CLOUD_REGION", "CLOUDSDK_COMPUTE_REGION", "AZ_BATCH_ACCOUNT_URL",
        "MLFLOW_TRACKING_URI", "AZUREML_RUN_ID", "REGION_NAME", "RUNPOD_DC_ID", "MODAL_REGION", "SKYPILOT_CLUSTER_INFO",
        "CLOUDFLARE_COUNTRY_A2", "FLY_REGION", "VERCEL_REGION", "RAILWAY_REPLICA_REGION", "RENDER_REGION",
        "NEBIUS_REGION", "COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "CONTAINER_ID", "SLURM_CLUSTER_NAME",
        "KUBERNETES_SERVICE_HOST", "TZ", "LANG",
    }  # fmt: skip
    assert files >= {CLOUD_INIT, "run/cloud-init/cloud-id", "dmi/sys_vendor", "dmi/chassis_asset_tag", "etc/timezone"}


def test_a_host_that_is_known_is_not_read_again(tmp_path: Path) -> None:
    aws = locate(environ={"AWS_REGION": "eu-west-3"}, root=tmp_path, host=CLOUD_VM)
    assert aws == Place("aws:eu-west-3", "environment: AWS_REGION + DMI", "medium")
    assert locate(environ={"AWS_REGION": "eu-west-3"}, root=tmp_path, host=BARE_METAL).region is None
    laptop = dataclasses.replace(BARE_METAL, vendor="LENOVO 21CB")
    assert locate(environ={"TZ": "Europe/Paris"}, root=tmp_path, host=laptop).region == "FR"


def test_a_zone_that_lies_in_one_part_of_a_country_is_a_hint_only(tmp_path: Path) -> None:
    place = locate(environ={"TZ": "Australia/Hobart"}, root=tmp_path)
    assert place.region == "AU"
    assert "AU-TAS" in place.note


def test_a_hint_is_a_remark_where_the_time_zone_speaks_and_a_doubt_where_it_does_not(tmp_path: Path) -> None:
    environ = {"TRAINING_JOB_NAME": "x", "AWS_REGION": "us-west-2"}
    place = locate(environ={**environ, "TZ": "Europe/Moscow"}, root=tmp_path)
    assert place.note == 'Europe/Moscow; AWS_REGION + TRAINING_JOB_NAME would be region="aws:us-west-2"'
    assert place.doubt == ""
    place = locate(environ=environ, root=tmp_path)
    assert "AWS_REGION + TRAINING_JOB_NAME, which tools set on laptops too" in place.doubt


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_no_hint_is_sure_and_no_firmware_confirms_nothing(machine: Machine, tmp_path: Path) -> None:
    place = locate(environ=machine.environ, root=machine.build(tmp_path))
    provider = (place.region or "").partition(":")[0]
    # Modal runs on several clouds in a sandbox without firmware, and nothing else sets its variables.
    agreed = (
        "MODAL_TASK_ID" in machine.environ
        or machine.dmi
        or any(name.startswith("run/cloud-init") for name in machine.files)
    )
    assert place.sure != "high" or provider not in ("aws", "gcp", "azure") or agreed


def test_what_is_known_about_an_unknown_place_is_said(tmp_path: Path) -> None:
    assert "Google Colab" in locate(environ={"COLAB_GPU": "1"}, root=tmp_path).note
    machine = unknown("ec2", environ={"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE", "AWS_REGION": "eu-nowhere-9"})
    assert "aws:eu-nowhere-9" in locate(environ=machine.environ, root=tmp_path).note


def test_this_machine_can_be_asked() -> None:
    place = locate()
    assert place.region is None or intensity.lookup(place.region)
