"""`python -m delivery.gate`: the verdict over an assembly; exit code 0, 1 (open) or 2 (unreadable)."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent.parent
# `vision_platform` lies in a source root of its own, as for app.py.
sys.path.insert(0, str(ROOT / "constructs"))

from delivery.gate.assembly import Assembly  # noqa: E402
from delivery.gate.findings import GateError  # noqa: E402
from delivery.gate.iam_page import iam_page  # noqa: E402
from delivery.gate.table import show  # noqa: E402
from delivery.gate.verdict import judge, write  # noqa: E402

_PASSED, _OPEN, _UNREADABLE = 0, 1, 2
_WIDTH_OF_A_LOG = 120
# Builds keep build/stamps from one to the next.
_LINT_CACHE = Path("build/stamps/cfn-lint.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, or write the page of IAM statements; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        assembly = Assembly(options.assembly)
        if options.write_iam:
            options.write_iam.parent.mkdir(parents=True, exist_ok=True)
            options.write_iam.write_text(iam_page(assembly))
            print(f"compliance: wrote {options.write_iam}")
            return _PASSED
        verdict = judge(
            assembly,
            today=options.on,
            lint_config=ROOT / ".cfnlintrc",
            lint_cache=_LINT_CACHE,
        )
    except GateError as error:
        print(f"compliance: {error}", file=sys.stderr)
        return _UNREADABLE
    write(verdict, options.report)
    show(verdict, options.report, _console())
    return _PASSED if verdict.passed else _OPEN


def _console() -> Console:
    # A build's log has no width of its own.
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_A_LOG)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m delivery.gate", description=__doc__)
    parser.add_argument("assembly", nargs="?", type=Path, default=Path("cdk.out"), help="default: cdk.out")
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("build/compliance/report.json"),
        metavar="FILE",
        help="where the report goes (default: build/compliance/report.json)",
    )
    parser.add_argument(
        "--on",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        metavar="DATE",
        help="judge as of this day (YYYY-MM-DD) instead of today: shows what will be due for review",
    )
    parser.add_argument(
        "--write-iam", type=Path, metavar="FILE", help="write the page of IAM statements instead of judging"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
