"""Reads a Dockerfile into a recipe, and refuses by name and line what the twin cannot stand for."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from twin.images.dockerfile_syntax import (
    DockerfileError,
    exec_form,
    instructions,
    shell_commands,
    shell_words,
    substitute,
)

# What the official Python images set; a Dockerfile may refer to it as ${PATH}.
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON_IMAGE = re.compile(
    r"^(?:(?:docker\.io/)?(?:library/)?|public\.ecr\.aws/docker/library/)python:(?P<version>\d+\.\d+)(?:\.\d+)?(?:-[\w.-]+)?"
    r"(?:@sha256:[0-9a-f]{64})?$"
)
# Options of pip that change nothing in what the environment holds.
_PIP_FLAGS = {
    "--no-cache-dir",
    "--require-hashes",
    "--no-compile",
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
    "-q",
    "--upgrade",
    "-U",
    "--only-binary=:all:",
    "--prefer-binary",
    "--root-user-action=ignore",
}


@dataclass(frozen=True)
class Copy:
    """One COPY: sources relative to the build context, and the absolute destination in the image."""

    line: int
    sources: tuple[str, ...]
    destination: str
    into_folder: bool


@dataclass(frozen=True)
class PipInstall:
    """One `pip install`: requirement files (absolute paths in the image) and requirements given by name."""

    line: int
    files: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass
class Recipe:
    """What a Dockerfile says an image is."""

    base: str = ""
    python: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str = "/"
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    user: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    steps: list[Copy | PipInstall] = field(default_factory=list[Copy | PipInstall])


def parse(text: str) -> Recipe:
    """Return the recipe of a Dockerfile; raises `DockerfileError` naming line and instruction."""
    recipe = Recipe()
    line = 1
    for line, keyword, rest in instructions(text):
        if not recipe.base and keyword != "FROM":
            raise DockerfileError(line, f"{keyword} before FROM: the first instruction must be FROM")
        handler = _INSTRUCTIONS.get(keyword)
        if handler is None:
            known = ", ".join(_INSTRUCTIONS)
            raise DockerfileError(
                line, f"{keyword} is refused: the local twin builds images from {known} only"
            )
        handler(recipe, line, rest)
    if not recipe.base:
        raise DockerfileError(line, "there is no FROM")
    return recipe


def _variables(recipe: Recipe) -> dict[str, str]:
    return {"PATH": BASE_PATH, **recipe.env}


def _absolute(recipe: Recipe, path: str) -> str:
    joined = PurePosixPath(recipe.workdir) / path
    parts: list[str] = []
    for part in joined.parts[1:]:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/" + "/".join(parts)


def _from(recipe: Recipe, line: int, rest: str) -> None:
    if recipe.base:
        raise DockerfileError(line, "a second FROM is refused: the local twin builds one stage")
    words = [word for word in rest.split() if not word.startswith("--platform=")]
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise DockerfileError(line, f"FROM {rest} cannot be read")
    found = _PYTHON_IMAGE.match(words[0])
    if found is None:
        raise DockerfileError(
            line,
            f"FROM {words[0]} is refused: the local twin stands for official python images only "
            "(such as public.ecr.aws/docker/library/python:3.13-slim)",
        )
    recipe.base, recipe.python = words[0], found["version"]


def _copy(recipe: Recipe, line: int, rest: str) -> None:
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        # Ownership means nothing here: a process of the twin runs as the person who started it.
        if not flag.startswith(("--chown=", "--link")):
            raise DockerfileError(line, f"COPY {flag} is refused: the local twin knows --chown and --link")
        rest = rest.strip()
    rest = substitute(rest, _variables(recipe))
    words = exec_form(line, "COPY", rest) if rest.startswith("[") else shell_words(line, rest)
    if len(words) < 2:
        raise DockerfileError(line, "COPY needs a source and a destination")
    *sources, target = words
    if any(source.startswith("<<") for source in sources):
        raise DockerfileError(line, "COPY from a here-document is refused: put the file in the build context")
    into_folder = target.endswith(("/", "/.")) or target == "." or len(sources) > 1
    recipe.steps.append(Copy(line, tuple(sources), _absolute(recipe, target), into_folder))


def _env(recipe: Recipe, line: int, rest: str) -> None:
    recipe.env.update(_pairs(recipe, line, rest, "ENV"))


def _label(recipe: Recipe, line: int, rest: str) -> None:
    recipe.labels.update(_pairs(recipe, line, rest, "LABEL"))


def _pairs(recipe: Recipe, line: int, rest: str, keyword: str) -> dict[str, str]:
    rest = substitute(rest, _variables(recipe))
    words = shell_words(line, rest)
    if "=" not in words[0]:  # the old form: one name, and everything after it
        name, _, value = rest.partition(" ")
        return {name: value.strip()}
    pairs: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise DockerfileError(line, f"{keyword} {word} is not NAME=value")
        pairs[name] = value
    return pairs


def _workdir(recipe: Recipe, line: int, rest: str) -> None:
    del line
    recipe.workdir = _absolute(recipe, substitute(rest, _variables(recipe)).strip("\"'"))


def _run(recipe: Recipe, line: int, rest: str) -> None:
    if rest.startswith("--"):
        raise DockerfileError(
            line, f"RUN {rest.split(maxsplit=1)[0]} is refused: the local twin knows plain `RUN pip install`"
        )
    rest = substitute(rest, _variables(recipe))
    commands = [exec_form(line, "RUN", rest)] if rest.startswith("[") else shell_commands(line, rest)
    for command in commands:
        recipe.steps.append(_pip_install(recipe, line, command))


def _pip_install(recipe: Recipe, line: int, command: list[str]) -> PipInstall:
    words = command[2:] if command[1:2] == ["-m"] and command[0].startswith("python") else command
    if not words or words[0] not in ("pip", "pip3") or words[1:2] != ["install"]:
        raise DockerfileError(
            line,
            f"RUN {' '.join(command)} is refused: the local twin runs `pip install` only while it builds",
        )
    files: list[str] = []
    packages: list[str] = []
    rest = iter(words[2:])
    for word in rest:
        if word in ("-r", "--requirement"):
            files.append(_absolute(recipe, next(rest, "")))
        elif word.startswith("--requirement="):
            files.append(_absolute(recipe, word.partition("=")[2]))
        elif word in _PIP_FLAGS:
            continue
        elif word.startswith("-"):
            raise DockerfileError(
                line, f"pip install {word} is refused: the local twin installs requirements only"
            )
        else:
            packages.append(word)
    if not files and not packages:
        raise DockerfileError(line, "pip install names nothing to install")
    return PipInstall(line, tuple(files), tuple(packages))


def _entrypoint(recipe: Recipe, line: int, rest: str) -> None:
    recipe.entrypoint = tuple(exec_form(line, "ENTRYPOINT", rest))
    recipe.cmd = ()  # as Docker does: a new entry point drops the command inherited from the base


def _cmd(recipe: Recipe, line: int, rest: str) -> None:
    recipe.cmd = tuple(exec_form(line, "CMD", rest))


def _expose(recipe: Recipe, line: int, rest: str) -> None:
    del line
    recipe.ports += tuple(rest.split())


def _user(recipe: Recipe, line: int, rest: str) -> None:
    del line
    recipe.user = substitute(rest, _variables(recipe))


_INSTRUCTIONS: dict[str, Callable[[Recipe, int, str], None]] = {
    "FROM": _from,
    "COPY": _copy,
    "ENV": _env,
    "WORKDIR": _workdir,
    "RUN": _run,
    "ENTRYPOINT": _entrypoint,
    "CMD": _cmd,
    "EXPOSE": _expose,
    "USER": _user,
    "LABEL": _label,
}
