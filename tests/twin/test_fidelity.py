"""The table of what the twin does: complete, honest about what it leaves out, and printed as a document."""

import json
from pathlib import Path

import pytest

from twin import fidelity


def write_assembly(folder: Path, **resources: dict[str, object]) -> Path:
    nested = folder / "assembly-Dev"
    nested.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (nested / "Stack.template.json").write_text(json.dumps({"Resources": resources}))
    return folder


def test_unclassed_type_and_property_are_named_with_their_place(tmp_path: Path) -> None:
    assembly = write_assembly(
        tmp_path,
        Known={"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "t"}},
        Odd={"Type": "AWS::SNS::Topic", "Properties": {"FifoTopic": True}},
        Odder={"Type": "AWS::RDS::DBInstance", "Properties": {"Engine": "x"}},
        Custom={"Type": "Custom::Thing", "Properties": {"Any": 1}},
    )
    assert [str(use) for use in fidelity.unclassed(assembly)] == [
        "AWS::SNS::Topic.FifoTopic (Stack/Odd)",
        "AWS::RDS::DBInstance (Stack/Odder)",
    ]


def test_document_is_refused_while_something_is_unclassed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assembly = write_assembly(tmp_path, Odd={"Type": "AWS::RDS::DBInstance"})
    target = tmp_path / "docs/twin-fidelity.md"
    assert fidelity.main(["--assembly", str(assembly), "--write", str(target)]) == 1
    assert "AWS::RDS::DBInstance (Stack/Odd)" in capsys.readouterr().out
    assert not target.exists()


def test_document_lists_used_properties_by_class_with_the_reason(tmp_path: Path) -> None:
    properties = {"BucketName": "b", "LifecycleConfiguration": {}}
    assembly = write_assembly(tmp_path, B={"Type": "AWS::S3::Bucket", "Properties": properties})
    target = tmp_path / "docs/twin-fidelity.md"
    assert fidelity.main(["--assembly", str(assembly), "--write", str(target)]) == 0
    assert "| S3::Bucket | executed | BucketName | LifecycleConfiguration (recorded): " in target.read_text()


def test_missing_assembly_gets_the_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fidelity.main(["--assembly", str(tmp_path)]) == 2
    assert "run cdk synth first" in capsys.readouterr().out


def test_every_entry_that_is_not_executed_says_what_is_missing() -> None:
    for name, known in fidelity.load().types.items():
        for key, entry in known.properties.items():
            assert entry.kind == "executed" or entry.note, f"{name}.{key}"
