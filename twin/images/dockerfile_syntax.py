"""The syntax of Dockerfiles: instructions and their lines, variables, shell words and the exec form."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::(?P<sign>[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))")


class DockerfileError(Exception):
    """The Dockerfile is wrong, or asks for what the twin does not do; the message names line and cure."""

    def __init__(self, line: int, message: str) -> None:
        """`line` counts from 1."""
        super().__init__(f"Dockerfile:{line}: {message}")


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, keyword, rest), with continued lines joined and comments left out."""
    started, pending = 0, ""
    for number, raw in enumerate(text.splitlines(), start=1):
        stripped = raw.strip()
        if stripped.startswith("#"):
            if re.match(r"#\s*escape\s*=\s*[^\\]", stripped):
                raise DockerfileError(
                    number, "the escape directive is refused: continue lines with a backslash"
                )
            continue
        if not stripped:
            continue
        started = started or number
        if stripped.endswith("\\"):
            pending += stripped[:-1] + " "
            continue
        yield started, *_split(started, pending + stripped)
        started, pending = 0, ""
    if pending.strip():
        yield started, *_split(started, pending)


def _split(line: int, instruction: str) -> tuple[str, str]:
    keyword, _, rest = instruction.strip().partition(" ")
    if not rest.strip():
        raise DockerfileError(line, f"{keyword.upper()} has no argument")
    return keyword.upper(), rest.strip()


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$NAME``, ``${NAME}``, ``${NAME:-word}`` and ``${NAME:+word}``; unset names become empty."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        found = variables.get(name, "")
        if match["sign"] == "-":
            return found or match["word"]
        if match["sign"] == "+":
            return match["word"] if found else ""
        return found

    return _VARIABLE.sub(value, text)


def shell_words(line: int, text: str) -> list[str]:
    """Split as a shell does, without its signs."""
    try:
        return shlex.split(text)
    except ValueError as fault:
        raise DockerfileError(line, f"{text!r} cannot be read: {fault}") from fault


def exec_form(line: int, keyword: str, rest: str) -> list[str]:
    """Read a JSON list of strings, the form in which no shell comes between."""
    try:
        words = json.loads(rest)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DockerfileError(
            line, f'{keyword} must be in exec form, such as {keyword} ["python", "serve.py"]'
        )
    return words


def shell_commands(line: int, rest: str) -> list[list[str]]:
    """Split commands joined by ``&&``; every other sign of the shell is refused."""
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word == "&&":
                commands.append([])
            elif set(word) <= set("();<>|&"):
                raise DockerfileError(
                    line, f"RUN with {word!r} is refused: join `pip install` commands with && only"
                )
            else:
                commands[-1].append(word)
    except ValueError as fault:
        raise DockerfileError(line, f"RUN {rest!r} cannot be read: {fault}") from fault
    return commands
