"""The `perennial` command with its calls counted: prints the counts as one JSON line on stderr, and nothing else.

The clients' pacing is off: it is made for AWS's rates and changes no count.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from benches import counting


def main() -> None:
    counts = counting.everywhere()
    from perennial import cli, clients

    clients.RATES.clear()
    code: object = 0
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    document = json.loads(printed.getvalue())
    print(json.dumps({"calls": counts.calls, "certificates": len(document["certificates"])}))
    sys.exit(code)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
