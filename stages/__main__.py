"""`python -m stages`: prints the settings as they apply, defaults included, as JSON; or what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

from stages.settings import SettingsError
from stages.settings_reader import CONTEXT_KEY, parse_settings, read_context


def main() -> int:
    """Answers 0, or 1 with one line per fault on the error channel."""
    try:
        settings = parse_settings(read_context(Path.cwd()).get(CONTEXT_KEY))
    except SettingsError as fault:
        print(fault, file=sys.stderr)
        return 1
    print(settings.model_dump_json(indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
