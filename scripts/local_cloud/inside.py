"""Run a command of this virtual environment as if the local cloud were AWS.

    python -m local_cloud.inside DIRECTORY COMMAND ARGUMENT…

DIRECTORY is the cloud's (``.local/default``), COMMAND a Python program such as ``perennial``. AWS's names of REST APIs
and user pools lead to the cloud's edge, and its root is trusted there. Where AWS is otherwise, and as whom the command
acts, stays with the environment: see `Cloud.env` and `api_calls.Credentials.env`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.edge import resolving, trusting


def main(arguments: Sequence[str]) -> Any:
    """Run the command in this process; returns what it returns, an exit code or None."""
    directory, name, *rest = arguments
    command = entry_points(group="console_scripts")[name].load()
    cloud = Cloud(Path(directory))
    with resolving(cloud), trusting(cloud):
        sys.argv = [name, *rest]
        return command()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
