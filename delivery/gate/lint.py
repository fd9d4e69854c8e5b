"""cfn-lint over every template, in parallel, each template once: what has not changed is not read again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from delivery.gate.assembly import Assembly, Stack
from delivery.gate.findings import Check, Finding, GateError

NAME = "cfn-lint"
_RULE = re.compile(r"^[EWI]\d{4}: ", re.MULTILINE)
_LONGEST = 300  # seconds that a batch of templates may take
_EXCEPTION = "exception-in-template"


def lint_check(assembly: Assembly, *, config: Path, cache: Path) -> Check:
    """Errors and warnings in any template. `config` names the exceptions, `cache` is a file to remember by.

    Raises GateError when cfn-lint is missing or fails.
    """
    try:
        release = version("cfn-lint")
    except PackageNotFoundError:
        raise GateError("cfn-lint is not installed: run `make setup`") from None
    configured = _bytes(config, "it names the exceptions from cfn-lint; take it from the repository")
    known, keys = _remembered(cache), {each: _key(each, release, configured) for each in assembly.stacks}
    fresh = [stack for stack, key in keys.items() if key not in known]
    with ThreadPoolExecutor() as pool:
        rules = pool.submit(lambda: known.get(release) or len(_RULE.findall(_run(["--list-rules"]))))
        batches = [pool.submit(_lint, batch, config) for batch in _batches(fresh)]
        results = {stack: found for batch in batches for stack, found in batch.result().items()}
        count = rules.result()
    by_key = {key: results.get(stack, known.get(key)) for stack, key in keys.items()}
    _remember(cache, {release: count, **by_key})
    findings = tuple(each for stack, key in keys.items() for each in _findings(stack, by_key[key]))
    return Check(NAME, count, len(assembly.resources), findings)


def _key(stack: Stack, release: str, config: bytes) -> str:
    template = _bytes(stack.template, "run `make synth` again")
    parts = (release.encode(), stack.region.encode(), config, template)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _bytes(path: Path, cure: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GateError(f"{path} cannot be read ({error.strerror}): {cure}") from None


def _batches(stacks: Sequence[Stack]) -> Iterator[list[Stack]]:
    """As many batches as there are processors, of one region each, of about equal size in bytes."""
    for region in sorted({each.region for each in stacks}):
        batches: list[list[Stack]] = [[] for _ in range(os.cpu_count() or 1)]
        sizes = [0] * len(batches)
        here = [each for each in stacks if each.region == region]
        for stack in sorted(here, key=lambda each: -each.template.stat().st_size):
            smallest = sizes.index(min(sizes))
            batches[smallest].append(stack)
            sizes[smallest] += stack.template.stat().st_size
        yield from filter(None, batches)


def _lint(stacks: Sequence[Stack], config: Path) -> dict[Stack, list[dict[str, Any]]]:
    region = (
        ["--regions", stacks[0].region] if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", stacks[0].region) else []
    )
    templates = [str(each.template.resolve()) for each in stacks]
    options = ["--config-file", str(config), "--format", "json", *region]
    said = _run([*options, "--template", *templates])
    try:
        matches = cast("list[dict[str, Any]]", json.loads(said or "[]"))
    except ValueError:
        raise GateError(f"cfn-lint failed: {said.strip().splitlines()[-1]}") from None
    return {
        stack: [
            {"rule": each["Rule"]["Id"], "says": each["Message"], "path": each["Location"].get("Path") or []}
            for each in matches
            if Path(each["Filename"]) == stack.template.resolve()
        ]
        for stack in stacks
    }


def _run(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from cfnlint.runner import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if not done.stdout and done.stderr:
        raise GateError(f"cfn-lint failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _findings(stack: Stack, matches: Any) -> Iterator[Finding]:
    paths = {each.logical_id: each.path for each in stack.resources}
    for logical_id, definition in {"": stack.body, **stack.body.get("Resources", {})}.items():
        if "cfn-lint" in (definition.get("Metadata") or {}):
            where = paths.get(logical_id, stack.path)
            says = "its metadata tells cfn-lint what to overlook"
            yield Finding(NAME, _EXCEPTION, where, says, "exceptions stand in .cfnlintrc, with their reasons")
    for each in matches:
        where = each["path"]
        construct = paths.get(where[1], stack.path) if len(where) > 1 else stack.path
        inside = ".".join(str(part) for part in where[2:])
        says = f"{each['says']} (at {inside})" if inside else each["says"]
        yield Finding(NAME, each["rule"], construct, says, "mend the construct that writes it")


def _remembered(cache: Path) -> dict[str, Any]:
    try:
        found = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _remember(cache: Path, results: dict[str, Any]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: two verdicts may be at work in one folder.
    whole = cache.with_suffix(f".{os.getpid()}")
    whole.write_text(json.dumps(results))
    whole.replace(cache)
