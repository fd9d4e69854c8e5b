"""`python -m smoke_tests`: proves the environment that its variables name; exit code 0, 1 or 2."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from smoke_tests import plan, session
from smoke_tests.api import Api
from smoke_tests.budget import Budget
from smoke_tests.context import Context, new_run_id
from smoke_tests.dataset import SAMPLE_DATA_SCRIPT
from smoke_tests.faults import in_words, is_expected
from smoke_tests.journal import Journal
from smoke_tests.reports import keep
from smoke_tests.result import Result
from smoke_tests.settings import Settings, SettingsError

_PASSED, _FAILED, _WRONG_SETTINGS = 0, 1, 2
_IMPATIENT = 3  # signals until the clean-up is abandoned


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the smoke tests and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"The smoke tests cannot start:\n{error}", file=sys.stderr)
        return _WRONG_SETTINGS
    run = _context(settings)
    _stop_on_signals(run)
    run.journal.say(
        f"smoke test of {settings.environment} (account {settings.account}, {settings.region}), "
        f"run {run.run_id}, at most {settings.timeout_seconds} s"
    )
    plan.execute(run)
    result = Result(
        settings, run.run_id, run.journal.started_at, run.journal.elapsed(), run.journal.checks, run.evidence
    )
    kept = _report(result, options.output, run.journal)
    run.journal.say(result.verdict())
    return _PASSED if result.passed and kept else _FAILED


def _context(settings: Settings) -> Context:
    run_id = new_run_id()
    aws = session.assume(settings.role_arn, run_id, settings.region)
    budget = Budget(settings.timeout_seconds)
    return Context(
        settings=settings,
        aws=aws,
        api=Api(settings.api_url, aws.credentials, settings.region, budget),
        journal=Journal(plan.catalogue()),
        budget=budget,
        run_id=run_id,
        sample_data=SAMPLE_DATA_SCRIPT,
    )


def _report(result: Result, folder: Path, journal: Journal) -> bool:
    """Write and keep the reports; tell whether all of that worked, and say where they are."""
    for check in result.failed:
        if check.trace:
            print(check.trace, file=sys.stderr)
    try:
        keep.write(result, folder)
        journal.say(f"report: {folder / 'index.html'}")
        if result.settings.reports_bucket:
            journal.say(f"report kept: {keep.upload(result, folder, session.own_s3())}")
    except Exception as error:
        if not is_expected(error):
            raise
        journal.say(f"FAIL  the report could not be kept: {in_words(error)}")
        return False
    return True


def _stop_on_signals(run: Context) -> None:
    """Let Ctrl-C and SIGTERM end the work and begin the clean-up; only the third one abandons that too."""
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        # Not through the journal: a signal may arrive while this very thread holds its lock.
        if len(received) < _IMPATIENT:
            name, more = signal.Signals(number).name, _IMPATIENT - len(received)
            os.write(1, f"{name}: cleaning up, please wait ({more} more to abandon it)\n".encode())
            run.budget.cancel(name)
        else:
            os.write(1, f"abandoned; look for {run.run_id} in account {run.settings.account}\n".encode())
            os._exit(_FAILED)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def _parser() -> argparse.ArgumentParser:
    variables = "\n".join(
        f"  {name}{'' if required else ' (optional)'}: {meaning}"
        for name, required, meaning in Settings.variables()
    )
    parser = argparse.ArgumentParser(
        prog="python -m smoke_tests",
        description="Proves one deployed environment and deletes what it made.",
        epilog=f"environment variables:\n{variables}\n\nexit code: 0 passed, 1 failed, 2 wrong settings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/smoke"), help="folder for the reports (build/smoke)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
