"""The fixtures of all modules that share one deployed hub: `pytest_plugins = ["deploying_plugin"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from deploying_hub import DeployingHub, deploying_hub
from written_texts import Search


@pytest.fixture(scope="session")
def deployed_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployingHub]:
    """The deployed hub, which takes half a minute to make."""
    with deploying_hub(tmp_path_factory.mktemp("deploying") / "cloud") as made:
        yield made


@pytest.fixture(scope="module")
def deploying(deployed_once: DeployingHub) -> Iterator[DeployingHub]:
    """The deployed hub, for the tests of one module. Mark what uses it with `xdist_group("deploying")`."""
    with deployed_once.reached():
        yield deployed_once


@pytest.fixture(scope="module")
def search(deploying: DeployingHub) -> Search:
    """Looks through everything that was written since the hub was deployed."""
    return deploying.search
