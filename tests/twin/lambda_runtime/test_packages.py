"""Packages with compiled modules for Lambda's hardware: rebuilt from their lock, or refused by name."""

import struct
from pathlib import Path
from typing import Any

import pytest

from twin.lambda_runtime.native import foreign_files, machine

HANDLER = """
import pydantic_core, own
def handler(event, context):
    return [pydantic_core.to_json({"a": 1}).decode(), pydantic_core.__file__, own.__file__]
"""


def shared_object(hardware: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, hardware)


@pytest.mark.twin
def test_package_for_other_hardware_runs_with_its_locked_versions_built_here(
    lambdas: Any, native_package: dict[str, str | bytes]
) -> None:
    files = {**native_package, "index.py": HANDLER, "own.py": ""}
    assert any("aarch64" in name for name in files)
    result = lambdas.invoke(lambdas.make(files, Timeout=20, Architectures=["arm64"]))
    assert result.error is None, result.payload
    answer, core, own = result.payload
    assert answer == '{"a":1}'
    assert "/envs/" in core
    assert "/lambda/function/" in own


@pytest.mark.twin
def test_package_for_other_hardware_without_a_lock_is_refused_by_name(
    lambdas: Any, native_package: dict[str, str | bytes]
) -> None:
    files = {name: content for name, content in native_package.items() if name != "requirements.txt"}
    name = lambdas.make({**files, "index.py": HANDLER})
    payload = lambdas.invoke(name).payload
    assert payload["errorType"] == "Twin.PackageError"
    for told in (name, "pydantic_core/_pydantic_core.cpython-313-aarch64", "requirements.txt", "is missing"):
        assert told in payload["errorMessage"]


@pytest.mark.twin
def test_lock_without_hashes_is_refused(lambdas: Any) -> None:
    files = {"index.py": "", "thing.so": shared_object(40), "requirements.txt": "thing==1\n"}
    assert "has no hashes" in lambdas.invoke(lambdas.make(files)).payload["errorMessage"]


@pytest.mark.twin
def test_compiled_module_that_no_locked_distribution_provides_is_refused(
    lambdas: Any, native_package: dict[str, str | bytes]
) -> None:
    files = {**native_package, "index.py": "", "engine.so": shared_object(40)}
    message = lambdas.invoke(lambdas.make(files)).payload["errorMessage"]
    assert "engine.so" in message
    assert "'engine'" in message


@pytest.mark.twin
def test_distribution_that_cannot_be_had_is_named(lambdas: Any) -> None:
    lock = f"--no-index\nthing==1 --hash=sha256:{'0' * 64}\n"
    files = {"index.py": "", "thing.so": shared_object(40), "requirements.txt": lock}
    payload = lambdas.invoke(lambdas.make(files)).payload
    assert payload["errorType"] == "Twin.EnvironmentBuildError"
    assert "a package cannot be had" in payload["errorMessage"]
    assert "thing" in payload["errorMessage"]


@pytest.mark.twin
def test_layers_are_searched_after_the_function_itself(lambdas: Any) -> None:
    layer = lambdas.archive({"python/shared.py": "X = 'layer'", "python/own.py": "X = 'layer'"})
    made = lambdas.client.publish_layer_version(LayerName="shared", Content={"ZipFile": layer})
    source = "import own, shared\ndef handler(e, c): return [own.X, shared.X]"
    name = lambdas.make({"index.py": source, "own.py": "X = 'function'"}, Layers=[made["LayerVersionArn"]])
    assert lambdas.invoke(name).payload == ["function", "layer"]


@pytest.mark.twin
@pytest.mark.parametrize("runtime", ["nodejs22.x", "provided.al2023"])
def test_runtimes_other_than_python_are_refused_by_name(lambdas: Any, runtime: str) -> None:
    payload = lambdas.invoke(lambdas.make("x", Runtime=runtime)).payload
    assert payload["errorType"] == "Twin.NotSupported"
    assert runtime in payload["errorMessage"]


def test_modules_for_this_machine_are_not_foreign(tmp_path: Path) -> None:
    here = {"x86_64": 62, "aarch64": 183}[machine()]
    (tmp_path / "a.cpython-311-x-linux-gnu.so").write_bytes(shared_object(here))
    (tmp_path / "b.abi3.so").write_bytes(shared_object(here))
    (tmp_path / "libc.so.6").write_bytes(shared_object(here))
    assert foreign_files(tmp_path, "3.11") == []
    assert [file.module for file in foreign_files(tmp_path, "3.12")] == ["a"]


def test_foreign_modules_say_what_they_were_made_for(tmp_path: Path) -> None:
    folder = tmp_path / "numpy" / "core"
    folder.mkdir(parents=True)
    (folder / "x.cpython-313-aarch64-linux-gnu.so").write_bytes(shared_object(40))
    (found,) = foreign_files(tmp_path, "3.13")
    assert (found.module, found.made_for) == ("numpy", "arm")
