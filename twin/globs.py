"""Globs as AWS's developer tools read them: `**` crosses folders, `*` and `?` do not, `{a,b}` is a choice."""

import re
from functools import cache


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a glob; use its `fullmatch` on a path with forward slashes."""
    return re.compile(_translate(pattern.removeprefix("./")), re.DOTALL)


def matches(pattern: str, path: str) -> bool:
    """Whether `path` (relative, forward slashes) fits the glob."""
    return compiled(pattern).fullmatch(path) is not None


def _translate(pattern: str) -> str:
    out: list[str] = []
    at = 0
    depth = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            out.append("(?:[^/]+/)*")
            at += 3
            continue
        if pattern.startswith("**", at):
            out.append(".*")
            at += 2
            continue
        if char == "[" and (end := pattern.find("]", at + 2)) > 0:
            body = pattern[at + 1 : end].replace("\\", "\\\\")
            out.append(f"[{'^' + body[1:] if body[0] in '!^' else body}]")
            at = end + 1
            continue
        if char == "{" and "}" in pattern[at:]:
            depth += 1
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
            at += 1
            continue
        out.append(_single(char, inside=depth > 0))
        at += 1
    return "".join(out)


def _single(char: str, *, inside: bool) -> str:
    special = {"*": "[^/]*", "?": "[^/]"}
    if char == "{" and inside:
        return "(?:"
    if char == "," and inside:
        return "|"
    return special.get(char) or re.escape(char)
