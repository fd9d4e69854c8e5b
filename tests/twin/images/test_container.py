"""How the paths of a container are found in commands and variables."""

from pathlib import Path

import pytest

from twin.images.container import Container
from twin.images.image import Image


@pytest.fixture
def container(tmp_path: Path) -> Container:
    files = tmp_path / "files"
    (files / "opt/program/lib").mkdir(parents=True)
    (files / "opt/program/serve.py").write_text("")
    (files / "usr/local/bin").mkdir(parents=True)
    (files / "usr/local/bin/tool").write_text("")
    interpreter = tmp_path / "python/bin/python"
    image = Image(
        "x:1", interpreter, files=files, workdir="/opt/program", env={"PATH": "/opt/program:/usr/bin"}
    )
    return Container(image, tmp_path / "root")


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("/opt/ml", "{root}/opt/ml"),
        ("/opt/ml/model/x.json", "{root}/opt/ml/model/x.json"),
        ("--model=/opt/ml/model", "--model={root}/opt/ml/model"),
        ("/opt/ml/a:/opt/ml/b", "{root}/opt/ml/a:{root}/opt/ml/b"),
        ('{"dir": "/opt/ml/model"}', '{"dir": "{root}/opt/ml/model"}'),
        ("file:///opt/ml/model", "file://{root}/opt/ml/model"),
        ("/opt/program/serve.py", "{root}/opt/program/serve.py"),
        ("/usr/local/bin/tool", "{root}/usr/local/bin/tool"),
        ("/usr/local/bin/other", "/usr/local/bin/other"),
        ("/opt/mlflow", "/opt/mlflow"),
        ("s3://bucket/opt/ml/model", "s3://bucket/opt/ml/model"),
        ("/data/opt/ml", "/data/opt/ml"),
    ],
)
def test_only_paths_of_the_container_are_rewritten(container: Container, inside: str, outside: str) -> None:
    assert container.rewrite(inside) == outside.replace("{root}", str(container.folder))


def test_python_is_the_images_own_interpreter(container: Container) -> None:
    words = container.command(["/usr/local/bin/python3.13", "-u", "/opt/program/serve.py"])
    assert words == [str(container.image.interpreter), "-u", f"{container.folder}/opt/program/serve.py"]


def test_environment_holds_the_image_and_the_job_and_nothing_else(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_MACHINE", "x")
    found = container.environment({"MODEL_DIR": "/opt/ml/model"})
    assert found["MODEL_DIR"] == f"{container.folder}/opt/ml/model"
    assert "SECRET_OF_THE_MACHINE" not in found
    assert found["PATH"].split(":")[:2] == [
        str(container.image.interpreter.parent),
        f"{container.folder}/opt/program",
    ]
