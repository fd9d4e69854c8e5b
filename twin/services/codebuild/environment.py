"""The variables of a build: what CodeBuild sets, what project and buildspec declare, how AWS is reached."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from twin import glue
from twin.config import TwinConfig
from twin.services.codebuild import tools
from twin.services.codebuild.buildspec import Buildspec

# How the host reaches registries is the machine's business, as a build image's network is AWS's.
_NETWORK = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
)  # fmt: skip
_REGISTRIES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "JSII_RUNTIME_PACKAGE_CACHE")
# uv's settings about one environment of the host are not about the build's.
_NOT_INHERITED = (
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "PIP_TARGET",
    "PIP_PREFIX",
    "npm_config_prefix",
    "NPM_CONFIG_PREFIX",
)


class VariableError(Exception):
    """A declared variable cannot be resolved; the message names it and the reason."""


def of_the_machine(settings: TwinConfig, temporary: Path) -> dict[str, str]:
    """Return what the build's image would bring: PATH, HOME, temporary folder, network and package caches.

    HOME is the same for all builds of a twin: tools keep caches there (jsii's saves 5 s a synth).
    """
    host = os.environ
    inherited = {
        name: value
        for name, value in host.items()
        if (name in _NETWORK or name.startswith(_REGISTRIES)) and name not in _NOT_INHERITED
    }
    caches = Path(host.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shared = {
        "UV_CACHE_DIR": caches / "uv",
        "PIP_CACHE_DIR": caches / "pip",
        "npm_config_cache": Path.home() / ".npm",
    }
    if links := host.get("PIP_FIND_LINKS"):  # uv does not read pip's variable
        inherited.setdefault("UV_FIND_LINKS", links)
    home = settings.folder("codebuild", "home")
    return {
        **{name: str(path) for name, path in shared.items()},
        "NODE_COMPILE_CACHE": str(home / ".cache" / "node"),  # 0.1 s for each start of a CDK tool
        **inherited,
        "PATH": tools.search_path(settings),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "npm_config_prefix": str(tools.npm_prefix(settings)),
    }


def of_aws(settings: TwinConfig, region: str, credentials: Mapping[str, str]) -> dict[str, str]:
    """Return how the build's tools reach AWS: endpoint, region, the service role's session, deployed APIs."""
    from twin import proxy  # needs the server's own environment

    return {
        **credentials,
        **proxy.variables(),
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def of_codebuild(build: Mapping[str, Any], source: Path, secondary: Mapping[str, Path]) -> dict[str, str]:
    """Return the variables that CodeBuild sets in every build."""
    return {
        "CI": "true",
        "CODEBUILD_CI": "true",
        "CODEBUILD_BUILD_ARN": build["arn"],
        "CODEBUILD_BUILD_ID": build["id"],
        "CODEBUILD_BUILD_IMAGE": build["environment"]["image"],
        "CODEBUILD_BUILD_NUMBER": str(build["buildNumber"]),
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_INITIATOR": build["initiator"],
        "CODEBUILD_KMS_KEY_ID": build["encryptionKey"],
        "CODEBUILD_LOG_PATH": build["logs"].get("streamName", ""),
        "CODEBUILD_PROJECT_ARN": build["arn"].split(":build/")[0] + f":project/{build['projectName']}",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": build.get("resolvedSourceVersion", ""),
        "CODEBUILD_SOURCE_VERSION": build.get("sourceVersion", ""),
        "CODEBUILD_START_TIME": str(int(build["startTime"] * 1000)),
        "CODEBUILD_SRC_DIR": str(source),
        **{f"CODEBUILD_SRC_DIR_{name}": str(path) for name, path in secondary.items()},
    }


def declared(
    buildspec: Buildspec, variables: Iterable[Mapping[str, str]], credentials: Mapping[str, str], region: str
) -> dict[str, str]:
    """Return the variables of buildspec and project; those of the project and of the caller win.

    Parameters and secrets are read with the service role's credentials. Raises `VariableError`.
    """
    lookup = _Lookup(credentials, region)
    values = dict(buildspec.variables)
    values |= {name: lookup.parameter(name, ref) for name, ref in buildspec.parameter_store.items()}
    values |= {name: lookup.secret(name, ref) for name, ref in buildspec.secrets_manager.items()}
    for variable in variables:
        name, value, kind = variable["name"], variable["value"], variable.get("type", "PLAINTEXT")
        if kind == "PARAMETER_STORE":
            value = lookup.parameter(name, value)
        elif kind == "SECRETS_MANAGER":
            value = lookup.secret(name, value)
        values[name] = value
    return values


class _Lookup:
    """Reads parameters and secrets for variables."""

    def __init__(self, credentials: Mapping[str, str], region: str) -> None:
        self._credentials, self._region = credentials, region

    def parameter(self, name: str, reference: str) -> str:
        client = glue.client("ssm", self._credentials, self._region)
        try:
            return client.get_parameter(Name=reference, WithDecryption=True)["Parameter"]["Value"]
        except ClientError as fault:
            raise VariableError(f"parameter {reference!r} of variable {name}: {_reason(fault)}") from fault

    def secret(self, name: str, reference: str) -> str:
        """Resolve ``secret-id:json-key:version-stage:version-id``; the id may be an ARN."""
        parts = reference.split(":")
        at = 7 if reference.startswith("arn:") else 1
        key, stage, version = ([*parts[at:], "", "", ""])[:3]
        wanted = {"VersionStage": stage, "VersionId": version}
        client = glue.client("secretsmanager", self._credentials, self._region)
        try:
            text = client.get_secret_value(
                SecretId=":".join(parts[:at]), **{k: v for k, v in wanted.items() if v}
            )["SecretString"]
        except ClientError as fault:
            raise VariableError(f"secret {reference!r} of variable {name}: {_reason(fault)}") from fault
        if not key:
            return text
        try:
            return str(json.loads(text)[key])
        except (ValueError, KeyError, TypeError):
            raise VariableError(f"secret {reference!r} of variable {name}: it has no key {key!r}") from None


def _reason(fault: ClientError) -> str:
    error = fault.response.get("Error", {})
    return f"{error.get('Code')}: {error.get('Message')}"
