"""Buildspecs are read into typed data; what is wrong, or not executed by the twin, is named."""

import pytest

from twin.services.codebuild.buildspec import BuildspecError, parse

WHOLE = """
version: 0.2
env:
  shell: bash
  variables: {A: 1, B: true, C: }
  parameter-store: {P: /path}
  secrets-manager: {S: "name:key"}
  exported-variables: [A]
phases:
  install:
    runtime-versions: {python: 3.13, nodejs: "24"}
    commands: [one]
  build:
    on-failure: RETRY-2
    commands: [two, "three: four"]
    finally: [five]
artifacts:
  files: "**/*"
  base-directory: out
  exclude-paths: [a]
  secondary-artifacts:
    Other: {files: [x], discard-paths: yes}
cache: {paths: [".venv/**/*"]}
reports:
  unit: {files: [junit.xml], base-directory: build}
"""


def test_every_part_is_read() -> None:
    spec = parse(WHOLE)
    assert spec.shell == "bash"
    assert spec.variables == {"A": "1", "B": "true", "C": ""}
    assert (spec.parameter_store, spec.secrets_manager) == ({"P": "/path"}, {"S": "name:key"})
    assert spec.exported_variables == ("A",)
    assert spec.runtime_versions == {"python": "3.13", "nodejs": "24"}
    build = spec.phases["build"]
    assert (build.commands, build.finally_commands, build.retries) == (("two", "three: four"), ("five",), 2)
    assert spec.phases["post_build"].commands == ()
    assert spec.artifacts is not None and spec.artifacts.files == ("**/*",)
    assert spec.secondary_artifacts["Other"].discard_paths
    assert spec.cache_paths == (".venv/**/*",)
    assert spec.reports[0].files == ("junit.xml",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: [", "not valid YAML"),
        ("version: 0.1", "version must be 0.2"),
        ("[]", "buildspec must be a mapping"),
        ("version: 0.2\nenv: {shell: powershell.exe}", "env.shell 'powershell.exe' is not executed"),
        ("version: 0.2\nenv: {variables: {a-b: 1}}", "env.variables.a-b is not a name"),
        ("version: 0.2\nrun-as: me", "run-as is not executed by the twin"),
        ("version: 0.2\nphases: {bild: {commands: [x]}}", "phases.bild is not executed"),
        (
            "version: 0.2\nphases: {build: {commands: [echo a: b]}}",
            "phases.build.commands[0] must be a string",
        ),
        ("version: 0.2\nphases: {build: {on-failure: RETRY-2-regex}}", "phases.build.on-failure"),
        ("version: 0.2\nreports: {r: {files: x, file-format: NUNITXML}}", "reports.r.file-format NUNITXML"),
    ],
)
def test_faults_are_named(text: str, message: str) -> None:
    with pytest.raises(BuildspecError) as found:
        parse(text)
    assert message in str(found.value)
