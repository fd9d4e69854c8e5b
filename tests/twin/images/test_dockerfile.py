"""What a Dockerfile says, and how what the twin cannot stand for is refused: by line and name."""

import pytest

from twin.images.dockerfile import Copy, DockerfileError, PipInstall, parse

FROM = "FROM python:3.13-slim\n"


def test_recipe_holds_what_the_file_says() -> None:
    recipe = parse(
        """# syntax=docker/dockerfile:1
FROM --platform=linux/arm64 public.ecr.aws/docker/library/python:3.13.2-slim AS runtime
WORKDIR /opt/program
ENV MODEL_DIR=/opt/ml/model \\
    # a comment between continued lines
    PATH="/opt/program/bin:${PATH}"
COPY --chown=1000:1000 requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt && python -m pip install "numpy>=2"
COPY serve.py lib/ ./
LABEL team="vision platform"
USER 1000
EXPOSE 8080
ENTRYPOINT ["python", "serve.py"]
CMD ["--fast"]
"""
    )
    assert recipe.python == "3.13"
    assert recipe.env["PATH"].startswith("/opt/program/bin:/usr/local/bin:")
    assert recipe.steps == [
        Copy(7, ("requirements.txt",), "/opt/program", into_folder=True),
        PipInstall(8, ("/opt/program/requirements.txt",), ()),
        PipInstall(8, (), ("numpy>=2",)),
        Copy(9, ("serve.py", "lib/"), "/opt/program", into_folder=True),
    ]
    assert (recipe.entrypoint, recipe.cmd) == (("python", "serve.py"), ("--fast",))
    assert (recipe.labels, recipe.user, recipe.ports) == ({"team": "vision platform"}, "1000", ("8080",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN pip install x", "Dockerfile:1: RUN before FROM"),
        ("FROM nginx:1", "Dockerfile:1: FROM nginx:1 is refused"),
        (FROM + "\nADD x /x", "Dockerfile:3: ADD is refused"),
        (FROM + "HEALTHCHECK NONE", "Dockerfile:2: HEALTHCHECK is refused"),
        (FROM + "RUN apt-get update", "Dockerfile:2: RUN apt-get update is refused"),
        (FROM + "RUN pip install x | tee log", "Dockerfile:2: RUN with '|' is refused"),
        (FROM + "RUN pip install --target /x y", "pip install --target is refused"),
        (FROM + "COPY --from=0 /a /b", "COPY --from=0 is refused"),
        (FROM + "ENTRYPOINT python serve.py", "ENTRYPOINT must be in exec form"),
        (FROM + FROM, "Dockerfile:2: a second FROM is refused"),
        (FROM + "ENV lonely=", None),
        ("# nothing", "there is no FROM"),
    ],
)
def test_what_the_twin_does_not_do_is_refused_with_its_line(text: str, message: str | None) -> None:
    if message is None:
        parse(text)
        return
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert message in str(caught.value)
