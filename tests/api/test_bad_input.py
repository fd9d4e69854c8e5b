"""Whatever is sent, the API answers as its document says, and never fails: requests drawn from it (R35).

`make bench-api` sends at least 5,000; `make test-api` a few hundred. The table of what was answered goes to
build/api/cases.md.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.api.caller import Caller
from tests.api.cases import draw_cases
from tests.lambda_src.contract import document

TABLE = Path(__file__).resolve().parents[2] / "build" / "api" / "cases.md"
FEW = 300


def test_no_server_error_and_no_undocumented_answer(owner: Caller) -> None:
    wanted = int(os.environ.get("API_CASES", FEW))
    operations = sum(len(item) for item in document()["paths"].values())
    served = owner.call("GET", "/openapi.json").json()
    began = time.monotonic()
    tally = draw_cases(owner, served, per_operation=-(-wanted // operations), mark=20261130)
    seconds = time.monotonic() - began
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    summary = f"{tally.sent} requests in {seconds:.0f} s, {len(tally.faults)} not as documented"
    TABLE.write_text(f"# Requests drawn from the document\n\n{summary}\n\n{tally.table()}\n")
    print(f"\n{summary}\n{tally.table()}")
    assert tally.faults == [], "\n\n".join(tally.faults[:5])
    assert tally.sent >= 0.95 * wanted  # what a schema leaves no room for is drawn once
