"""What the tests against real ACME servers share: each server with options, beside what it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from acme_servers.acme2certifier import acme2certifier
from acme_servers.pebble import pebble
from local_cloud.cloud import Cloud
from local_cloud.dns_answers import Records
from local_cloud.dns_bridge import serve
from perennial.profiles import AcmeIssuer
from real_acme import Client, Lab, Start, need_acme2certifier, need_pebble, web
from secrecy import nothing_secret  # noqa: F401 - a fixture for every test


@pytest.fixture
def secrets() -> Iterator[Any]:
    """Secrets Manager, empty."""
    with mock_aws():
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        yield boto3.client("secretsmanager", region_name="eu-west-1", **keys)


@pytest.fixture
def on_pebble(tmp_path: Path, secrets: Any) -> Start:
    """Starts Pebble with options, beside a name server and a web server for its validations."""
    need_pebble()

    @contextmanager
    def start(**options: Any) -> Iterator[Lab]:
        records = Records("example.com", "blocked.example")
        with (
            serve(records) as dns,
            web() as site,
            pebble(tmp_path / "pebble", dns=f"127.0.0.1:{dns}", http_port=site.port, **options) as server,
        ):
            settings = AcmeIssuer(
                name="test", directory=server.directory, directory_roots=server.directory_roots, public=False
            )
            client = Client(settings=settings, secrets=secrets, records=records, files=site.files)
            if not options.get("nonce_reject"):
                client.settled = lambda: not server.busy()
            yield Lab(server=server, client=client)

    return start


@pytest.fixture
def on_acme2certifier(tmp_path: Path, secrets: Any) -> Start:
    """Starts acme2certifier with options, beside a name server and a web server for its validations."""
    need_acme2certifier()

    @contextmanager
    def start(**options: Any) -> Iterator[Lab]:
        records = Records("example.com")
        with (
            serve(records) as dns,
            web() as site,
            acme2certifier(tmp_path / "server", dns=f"127.0.0.1:{dns}", http_port=site.port, **options) as server,
        ):
            settings = AcmeIssuer(name="test", directory=server.directory, public=False)
            client = Client(settings=settings, secrets=secrets, records=records, files=site.files)
            yield Lab(server=server, client=client)

    return start


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running local cloud."""
    made = Cloud(tmp_path_factory.mktemp("cloud"))
    made.start()
    yield made
    made.stop()
