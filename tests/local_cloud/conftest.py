"""One local cloud for all tests of a worker, started at first use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.cloud import Cloud

WAIT_SCALE = "0.1"
"""How much of a state machine's waits and retry intervals is really waited."""


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running, shared local cloud. Every xdist worker has its own, since its temporary directory is its own.

    Use `Cloud.client(service, account, region)` for clients. Tests share its state: use names of your own, and never
    reset it.
    """
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    made.start(settings={"SFN_WAIT_SCALE": WAIT_SCALE})
    yield made
    made.stop()


@pytest.fixture
def idle_cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A local cloud that is down, for tests that start and stop it; its directory is removed afterwards."""
    made = Cloud(tmp_path / "own")
    yield made
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)
