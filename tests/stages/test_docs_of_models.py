"""The table of settings in docs/models.md says what the code says: every setting, with its default."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

from planning import hosting_modes
from stages import settings_hosting, settings_models
from stages.settings_fields import Group

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
_ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)


def groups() -> dict[str, type[Group]]:
    """The groups of the settings of models, by the name that they have in cdk.json."""
    found = {
        name.removesuffix("Settings").lower(): each
        for name, each in (*vars(settings_models).items(), *vars(settings_hosting).items())
        if isinstance(each, type) and issubclass(each, Group) and name.endswith("Settings")
    }
    # Not a group: the type of what `tuning.ranges` holds.
    del found["range"]
    return found


def shown(default: Any) -> str:
    return "none" if default is None else f"`{json.dumps(default).strip(chr(34))}`"


def test_the_page_lists_every_setting_with_its_default() -> None:
    listed = {(group, name): (default, says) for group, name, default, says in _ROW.findall(PAGE.read_text())}
    defaults = {
        (group, name): default
        for group, each in groups().items()
        for name, default in each().model_dump(mode="json").items()
    }
    assert set(listed) == set(defaults)
    # A page has no room for the ranges' own form: their names and limits are enough.
    ranges = defaults.pop(("tuning", "ranges"))
    text, _ = listed.pop(("tuning", "ranges"))
    for name, each in ranges.items():
        assert f"`{name}`" in text
        assert all(str(value) in text for value in (*each["values"], each["min"], each["max"]) if value)
    assert {key: default for key, (default, _) in listed.items()} == {
        key: shown(default) for key, default in defaults.items()
    }


def test_the_table_of_costs_names_every_hosting_mode() -> None:
    modes = settings_hosting.HostingSettings.model_fields["mode"].annotation
    assert set(hosting_modes.MODES) == set(get_args(modes))
