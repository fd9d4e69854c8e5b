"""Reads `.dockerignore`: which files of a build context an image may not hold."""

import re
from pathlib import Path

from twin import globs


class IgnoreRules:
    """The patterns of one `.dockerignore`; the last that matches decides, `!` takes a file back."""

    def __init__(self, text: str) -> None:
        """`text` is the content of the file, one pattern per line."""
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for raw in text.splitlines():
            line = raw.strip()
            pattern = line.removeprefix("!").strip().strip("/")
            if pattern and not line.startswith("#"):
                self._rules.append((line.startswith("!"), globs.compiled(pattern)))

    @classmethod
    def of(cls, context: Path) -> "IgnoreRules":
        """Return the rules of a build context; none where there is no `.dockerignore`."""
        path = context / ".dockerignore"
        return cls(path.read_text(encoding="utf-8") if path.is_file() else "")

    def ignores(self, relative: str) -> bool:
        """Whether the file at `relative` (``a/b.txt``) stays out; a folder's pattern covers what is in it."""
        parts = relative.split("/")
        prefixes = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        ignored = False
        for kept, expression in self._rules:
            if any(expression.fullmatch(prefix) for prefix in prefixes):
                ignored = not kept
        return ignored
