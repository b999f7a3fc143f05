"""Run the acts, then say whether everything was as expected."""

from __future__ import annotations

import sys
import time

from demonstration import discovery, issuance
from demonstration.stage import Stage
from example_estate import ExampleEstate
from local_cloud.cloud import Cloud, CloudError

KEPT = """
The local cloud stays up. In another shell:
  eval "$(scripts/local-cloud env --name demo)"
  .venv/bin/perennial certs list --expiring 30d
  .venv/bin/perennial findings --severity high
  scripts/local-cloud down --name demo
"""


def main() -> int:
    """0 when everything was as expected, 1 when not."""
    keep = "--keep" in sys.argv[1:]
    cloud = Cloud.named("demo")
    cloud.stop()
    began = time.monotonic()
    print(
        f"Perennial's demo, in a local cloud (process {cloud.start().pid}, up after {time.monotonic() - began:.1f} s)"
    )
    stage = Stage(cloud, ExampleEstate(cloud))
    try:
        discovery.run(stage)
        issuance.run(stage)
    except CloudError as error:
        stage.expect(False, str(error))
    finally:
        stage.estate.close()
        if not keep:
            cloud.stop()
    return report(stage, keep)


def report(stage: Stage, keep: bool) -> int:
    """The last lines."""
    print(f"\nEverything took {time.monotonic() - stage.began:.0f} s.", KEPT if keep else "")
    for what in stage.missed:
        print(f"✗ {what}", file=sys.stderr)
    print("Not everything was as expected." if stage.missed else "Everything was as expected.")
    return 1 if stage.missed else 0


if __name__ == "__main__":
    sys.exit(main())
