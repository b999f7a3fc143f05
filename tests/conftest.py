"""For all tests: none of them judges how long something took, and what they counted is told at the end."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from hypothesis import settings

from counted import COUNTED

settings.register_profile("perennial", deadline=None)
settings.load_profile("perennial")


def pytest_runtest_setup(item: Any) -> None:
    """No test gets a cloud that another module's fixture left in the process's environment."""
    left = os.environ.get("AWS_ENDPOINT_URL")
    assert left is None or "local_cloud" in item.path.parts, f"the tests before left AWS_ENDPOINT_URL={left}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many points were interrupted, of all processes that ran tests."""
    counts: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            counts.update({str(name): int(n) for name, n in report.user_properties if str(name).startswith(COUNTED)})
    for name, number in sorted(counts.items()):
        terminalreporter.write_line(f"{name}: {number:,} points")
    if counts:
        terminalreporter.write_line(f"interrupted: {counts.total():,} points in all")
