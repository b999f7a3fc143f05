"""One local cloud for all tests of a worker, started at first use."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.cloud import Cloud

sys.path.append(str(Path(__file__).parent))  # for `deployed`, which the tests of the deployed hub share

from deployed import Hub, deployed_hub

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


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """PerennialHub and PerennialMember in a local cloud of their own, which takes some seconds to deploy.

    Mark what uses it with `@pytest.mark.xdist_group("hub")`, so that it is deployed once. Each test begins with
    `hub.clear()` and has certificates in regions and under names of its own.
    """
    with deployed_hub(tmp_path_factory.mktemp("hub")) as made:
        yield made
