"""Puts this folder, with the account that its tests share, on the import path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for `edge_account`, which the tests share

from edge_account import Account


@pytest.fixture
def account() -> Iterator[Account]:
    """An account with an edge of its own, in this process."""
    made = Account()
    yield made
    made.edge.servers.close()
