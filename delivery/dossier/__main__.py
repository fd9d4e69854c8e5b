"""`python -m delivery.dossier`: makes the dossier of one deployment; exit code 0, 1 or 2."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError

from delivery.dossier import keep, making
from delivery.dossier.faults import DossierError, in_words
from delivery.dossier.session import Aws
from delivery.dossier.settings import Settings, SettingsError
from delivery.dossier.text import short_text

_MADE, _FAILED, _WRONG_SETTINGS = 0, 1, 2
_SIGNALLED = 128  # plus the signal's number, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Make, write and keep the dossier; return the exit code."""
    options = _parser().parse_args(arguments)
    folder: Path = options.output
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"The dossier cannot be started:\n{error}", file=sys.stderr)
        return _WRONG_SETTINGS
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    # Of an earlier run: a step that fails must not export what another one found.
    (folder / keep.VARIABLES).unlink(missing_ok=True)
    began = time.monotonic()
    try:
        aws = Aws(settings.regions[0])
        dossier = making.make(settings, aws, datetime.now(UTC))
        keep.write(dossier, settings, folder)
        keep.upload(settings, folder, aws.own("s3"))
        keep.write_variables(dossier, settings, folder)
    except DossierError as error:
        return _say(str(error))
    except (ClientError, BotoCoreError) as error:
        return _say(in_words(error, "asking AWS"))
    except OSError as error:
        return _say(f"{folder} cannot be written: {error}")
    print(short_text(dossier))
    for stack in dossier.stacks:
        because = f" ({stack.basis_because})" if stack.basis_because else ""
        print(f"  {stack.name}: {len(stack.resources)} changes, by {stack.basis.value}{because}")
    print(f"{settings.url} (made in {time.monotonic() - began:.1f} s)")
    return _MADE


def _say(fault: str) -> int:
    print(f"The dossier cannot be made, and nobody should approve without it:\n{fault}", file=sys.stderr)
    return _FAILED


def _stop(number: int, _: FrameType | None) -> None:
    """Leave by the way of an exception, so that change sets are deleted."""
    raise SystemExit(_SIGNALLED + number)


def _parser() -> argparse.ArgumentParser:
    variables = "\n".join(
        f"  {name}{'' if required else ' (optional)'}: {meaning}"
        for name, required, meaning in Settings.variables()
    )
    parser = argparse.ArgumentParser(
        prog="python -m delivery.dossier",
        description="Makes the dossier that an approver reads before a deployment.",
        epilog=f"environment variables:\n{variables}\n\nexit code: 0 made, 1 not made, 2 wrong variables",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/dossier"), help="folder for the files (build/dossier)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
