"""What platforms leave in the environment; whole machines are in ``test_location.py``."""

from __future__ import annotations

import pytest

from eco2ai_callbacks.carbon.signals import Sign, client_signs, platform_signs


@pytest.mark.parametrize(
    ("environ", "signs"),
    [
        ({}, []),
        ({"AWS_REGION": "us-east-1", "GOOGLE_CLOUD_REGION": "us-west1", "FLY_REGION": "ams"}, []),
        (
            {"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE", "AWS_REGION": "US-East-1"},
            [Sign("aws", "aws:us-east-1", "AWS_REGION + AWS_EXECUTION_ENV", "high")],
        ),
        ({"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, [Sign("aws", None, "AWS_EXECUTION_ENV", "high")]),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, [Sign("Kaggle", None, "KAGGLE_KERNEL_RUN_TYPE", "high", hint=True)]),
        ({"CLOUDFLARE_COUNTRY_A2": " nl "}, [Sign("cloudflare", "NL", "CLOUDFLARE_COUNTRY_A2", "high")]),
        (
            {"REGION_NAME": "West Europe", "WEBSITE_SITE_NAME": "x"},
            [Sign("azure", "azure:westeurope", "REGION_NAME + WEBSITE_SITE_NAME", "medium", hint=True)],
        ),
    ],
    ids=["nothing", "users' own variables", "Fargate", "no region", "Kaggle", "country", "spelling"],
)
def test_a_platform_is_believed_by_what_it_alone_sets(environ: dict[str, str], signs: list[Sign]) -> None:
    assert list(platform_signs(environ)) == signs


def test_all_platforms_that_have_left_signs_are_heard() -> None:
    environ = {"RUNPOD_POD_ID": "x", "RUNPOD_DC_ID": "eu-ro-1", "K_SERVICE": "x"}
    assert {sign.provider: sign.region for sign in platform_signs(environ)} == {"runpod": "runpod:EU-RO-1", "gcp": None}


@pytest.mark.parametrize("arn", ["", "arn", "arn:aws:sagemaker::123:training-job/x", "no:aws:sagemaker:eu-west-1:1:x"])
def test_an_arn_without_a_region_is_no_sign(arn: str) -> None:
    assert list(platform_signs({"TRAINING_JOB_ARN": arn})) == []


def test_users_own_variables_count_on_that_providers_machine() -> None:
    environ = {"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "us-east-1", "NEBIUS_REGION": "eu-north1"}
    assert list(client_signs(environ, "aws", "DMI")) == [
        Sign("aws", "aws:eu-west-3", "AWS_REGION + DMI", "medium"),
        Sign("aws", "aws:us-east-1", "AWS_DEFAULT_REGION + DMI", "medium"),
    ]
    assert [sign.found_by for sign in client_signs(environ, "nebius", "cloud-init")] == ["NEBIUS_REGION + cloud-init"]
    for vendor in ("", "gcp", "hetzner"):
        assert list(client_signs(environ, vendor, "DMI")) == []


def test_the_address_of_an_azure_workspace_holds_its_region_and_nothing_else_is_kept() -> None:
    environ = {"MLFLOW_TRACKING_URI": "azureml://EastUS.api.azureml.ms/mlflow/v1.0/subscriptions/secret"}
    (sign,) = client_signs(environ, "azure", "DMI")
    assert sign == Sign("azure", "azure:eastus", "MLFLOW_TRACKING_URI + DMI", "medium")
    assert "secret" not in repr(sign)
    assert list(client_signs({"MLFLOW_TRACKING_URI": "http://localhost:5000"}, "azure", "DMI")) == []
