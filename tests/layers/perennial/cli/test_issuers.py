"""`perennial issuers`: what is configured, and the account at an ACME CA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from acme_server import AcmeServer, Asker
from command import Run
from inventory_table import create_table

SETTINGS = """
[issuers.ca]
kind = "acme"
directory = {directory}

[issuers.inside]
kind = "acm_pca"
authority = "arn:aws:acm-pca:eu-west-1:111122223333:certificate-authority/11111111-2222-3333-4444-555555555555"

[profiles.web]
issuer = "ca"
names = [".example.com"]
"""


@pytest.fixture
def server() -> Iterator[AcmeServer]:
    with AcmeServer() as made:
        yield made


@pytest.fixture
def deployed(run: Run, server: AcmeServer) -> None:
    """What the stack has written down, and its settings."""
    _deploy(SETTINGS.format(directory=json.dumps(server.directory)))


def _deploy(settings: str) -> None:
    s3, ssm = boto3.client("s3"), boto3.client("ssm")
    s3.create_bucket(Bucket="settings", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="settings", Key="settings.toml", Body=settings.encode())
    create_table(boto3.client("dynamodb"), "inventory")
    names = {"table": "inventory", "settings": "settings/settings.toml", "key": "alias/aws/secretsmanager"}
    for name, value in names.items():
        ssm.put_parameter(Name=f"/perennial/{name}", Value=value, Type="String")


def account(server: AcmeServer) -> Any:
    """The server's only account's key."""
    (key,) = server.accounts.values()
    return key


@pytest.mark.usefixtures("deployed")
def test_issuers_are_listed_with_their_profiles(run: Run, server: AcmeServer) -> None:
    """Each issuer with where it is asked; as a table and as JSON."""
    rows = {row["issuer"]: row for row in json.loads(run("issuers", "list", "--json").stdout)}
    assert rows["ca"]["asked"] == server.directory
    assert (rows["ca"]["profiles"], rows["inside"]["profiles"]) == (["web"], [])
    assert rows["inside"]["kind"] == "acm_pca"
    assert "inside" in run("issuers", "list").stdout


def test_without_issuers_it_says_where_they_are_described(run: Run) -> None:
    """An empty configuration is no error."""
    _deploy("")
    assert "docs/issuance.md" in run("issuers", "list").stderr


@pytest.mark.usefixtures("deployed")
def test_account_gets_a_new_key_and_goes_on_with_it(run: Run, server: AcmeServer) -> None:
    """After the change the CA knows another key, and the next certificate is issued with it."""
    asker = Asker(server, boto3.client("secretsmanager"), name="ca")
    asker.issue("a.example.com")
    before = account(server)
    assert "new key" in run("issuers", "change-key", "ca").stderr
    assert account(server) != before
    Asker(server, boto3.client("secretsmanager"), name="ca").issue("b.example.com")
    assert server.issued == 2


@pytest.mark.usefixtures("deployed")
def test_account_is_deactivated_only_when_that_is_meant(run: Run, server: AcmeServer) -> None:
    """It asks first; then the CA has no account any more."""
    Asker(server, boto3.client("secretsmanager"), name="ca").issue("a.example.com")
    run("issuers", "deactivate", "ca", expect=130, stdin=b"n\n")
    assert len(server.accounts) == 1
    run("issuers", "deactivate", "ca", "--yes")
    assert not server.accounts


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("command", ["change-key", "deactivate"])
def test_issuers_without_an_account_are_refused(run: Run, command: str) -> None:
    """An unknown issuer, and one that is no ACME CA, are named with what there is."""
    more = ("--yes",) if command == "deactivate" else ()
    assert "perennial.toml has ca, inside" in run("issuers", command, "none", *more, expect=2).stderr
    assert "acm_pca, which has no account" in run("issuers", command, "inside", *more, expect=2).stderr
