"""The name server of the issuance bench, a process of its own: TXT records are files, so any process may show one.

It also takes what lego's provider `httpreq` sends. Prints its ports as JSON, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from local_cloud.dns_answers import Node, RecordSet, Zone, text
from local_cloud.dns_bridge import serve


def show(records: Path, name: str, value: str) -> None:
    """Show one value at a name, in place of what was there."""
    part = records / f".{os.getpid()}-{threading.get_ident()}"
    part.write_text(value)
    part.replace(records / name)


def hide(records: Path, name: str) -> None:
    """Show nothing at a name."""
    (records / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Files:
    """Every name there is, as one zone: the TXT record of a name is the content of its file."""

    records: Path
    name: str = ""

    def zones(self) -> Sequence[Zone]:
        return (self,)

    def node(self, name: str) -> Node:
        """The record of a name that is one file name."""
        file = self.records / Path(name).name
        try:
            value = file.read_text()
        except OSError:
            return Node()
        return Node(sets=(RecordSet(kind="TXT", ttl=1, data=(text(value),)),))


class _Hook(BaseHTTPRequestHandler):
    """POST /present and /cleanup with {"fqdn", "value"}."""

    records: Path

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["fqdn"].rstrip(".")
        if self.path == "/present":
            show(self.records, name, asked["value"])
        else:
            hide(self.records, name)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main(directory: str) -> None:
    records = Path(directory)
    hook = type("Hook", (_Hook,), {"records": records})
    with serve(Files(records)) as dns, ThreadingHTTPServer(("127.0.0.1", 0), hook) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        print(json.dumps({"dns": dns, "hook": http.server_address[1]}), flush=True)
        sys.stdin.read()
        http.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
