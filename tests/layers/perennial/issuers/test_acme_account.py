"""The account: created once, whatever is interrupted; its key stored before the CA hears of it, and never told."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from acme_server import AcmeServer, Asker, Reply, acme, problem
from certificates import build
from perennial.errors import (
    AccessDenied,
    InvalidConfiguration,
    InvalidReply,
    NotFound,
    PerennialError,
    ServiceRefused,
    Unavailable,
)
from perennial.issuers import issuer
from perennial.issuers.acme import Acme
from perennial.issuers.acme_account import Accounts
from perennial.issuers.acme_account_secret import AccountSecret, Kept
from perennial.issuers.acme_network import Signer
from perennial.profiles import AcmeIssuer

NAME = "perennial/acme/test"
HMAC = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")


@pytest.fixture
def world() -> Iterator[tuple[AcmeServer, Any]]:
    with acme() as made:
        yield made


@pytest.fixture
def server(world: tuple[AcmeServer, Any]) -> AcmeServer:
    return world[0]


@pytest.fixture
def secrets(world: tuple[AcmeServer, Any]) -> Any:
    return world[1]


def account(server: AcmeServer, secrets: Any, **settings: Any) -> Signer:
    made = Asker(server, secrets, **settings).acme()
    return made._accounts.account(made._network())


def stored(secrets: Any, stage: str = "AWSCURRENT") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId=NAME, VersionStage=stage)["SecretString"])
    return found


def stages(secrets: Any) -> list[str]:
    told = secrets.describe_secret(SecretId=NAME)["VersionIdsToStages"].values()
    return sorted(stage for each in told for stage in each)


def test_the_first_account_is_created_and_kept(server: AcmeServer, secrets: Any) -> None:
    """Key, URL, directory and contacts are in one secret, under the KMS key that was named."""
    made = account(server, secrets, contacts=("mailto:a@example.com",))
    kept = stored(secrets)
    assert kept.pop("private_key").startswith("-----BEGIN PRIVATE KEY-----")
    assert kept == {"url": made.url, "directory": server.directory, "contacts": ["mailto:a@example.com"]}
    assert secrets.describe_secret(SecretId=NAME)["KmsKeyId"] == "alias/perennial"
    assert server.contacts[made.url] == ["mailto:a@example.com"]


def test_a_warm_account_costs_no_request(server: AcmeServer, secrets: Any) -> None:
    """The second time everything is in the secret."""
    first = account(server, secrets)
    server.clear()
    assert account(server, secrets) == first
    assert server.kinds == []


def test_the_key_is_stored_before_the_ca_hears_of_it(server: AcmeServer, secrets: Any) -> None:
    """When newAccount arrives, the secret has the key and no URL yet."""
    seen = []

    def look(reply: Reply) -> Reply:
        seen.append(stored(secrets))
        return reply

    server.alter["newAccount"] = look
    account(server, secrets)
    assert seen[0]["private_key"] == stored(secrets)["private_key"]
    assert seen[0]["url"] == ""


def test_a_lost_reply_finds_the_same_account_again(server: AcmeServer, secrets: Any) -> None:
    """The account was created and nobody heard of it."""
    server.lose = lambda kind: server.kinds.count("newAccount") == 1 and kind == "newAccount"
    with pytest.raises(Unavailable):
        account(server, secrets)
    account(server, secrets)
    assert len(server.accounts) == 1


def test_two_that_begin_at_once_end_with_one_key(server: AcmeServer, secrets: Any) -> None:
    """Someone creates the secret between the question for it and its creation: theirs is used."""
    made = Asker(server, secrets).acme()
    accounts = made._accounts
    secret = accounts._secret
    read, first = secret.read, iter([True])

    def late(stage: str = "AWSCURRENT") -> Any:
        if next(first, False):
            account(server, secrets)
            return None
        return read(stage)

    secret.read = late  # type: ignore[method-assign]
    assert accounts.account(made._network()).url in server.accounts
    assert len(server.accounts) == 1


def test_two_that_store_the_same_at_once_end_with_what_was_stored_first(server: AcmeServer, secrets: Any) -> None:
    """The request's token says that it is the same wish; its content may differ."""
    secret = AccountSecret(Asker(server, secrets).settings, secrets, "alias/perennial")
    secret.create()
    one = secret.put(Kept(private_key="one"), "the same wish")
    two = secret.put(Kept(private_key="two"), "the same wish")
    assert (one.private_key, two) == ("one", one)
    assert stored(secrets)["private_key"] == "one"


def test_other_contacts_are_told_once(server: AcmeServer, secrets: Any) -> None:
    """What is configured and what the secret has are compared."""
    url = account(server, secrets).url
    server.clear()
    for _ in range(2):
        account(server, secrets, contacts=("mailto:b@example.com",))
    assert server.kinds == ["directory", "newNonce", "account"]
    assert server.contacts[url] == ["mailto:b@example.com"]


def test_another_directory_gets_an_account_of_its_own(server: AcmeServer, secrets: Any) -> None:
    """An issuer that was configured anew, from a CA's staging to its production."""
    first = account(server, secrets)
    with AcmeServer() as other:
        second = account(other, secrets)
        assert second.url in other.accounts
    assert first.url != second.url


def test_an_external_account_is_bound(server: AcmeServer, secrets: Any) -> None:
    """The secret's kid and HMAC key sign the account's key (RFC 8555 7.3.4); padding does not matter."""
    server.bound = {"kid-1": b"k" * 32}
    secrets.create_secret(Name="eab", SecretString=json.dumps({"kid": "kid-1", "hmac_key": HMAC + "="}))
    assert account(server, secrets, eab_secret="eab").url in server.accounts


def test_a_ca_that_requires_an_external_account_names_the_setting(server: AcmeServer, secrets: Any) -> None:
    """The directory says so: newAccount is not tried."""
    server.bound = {}
    with pytest.raises(InvalidConfiguration, match=r"kid and hmac_key .* in issuers\.test\.eab_secret"):
        account(server, secrets)
    assert "newAccount" not in server.kinds


@pytest.mark.parametrize(
    "text",
    (
        "",
        "[]",
        "{",
        "x",
        '{"kid": 3, "hmac_key": "topsecret"}',
        '{"kid": "k"}',
        '{"kid": "k", "hmac_key": "tops€cret"}',
    ),
)
def test_an_external_account_that_cannot_be_used_is_a_wrong_setting(
    server: AcmeServer, secrets: Any, text: str
) -> None:
    """The message names the secret, and nothing of what it holds."""
    secrets.create_secret(Name="eab", SecretString=text or " ")
    with pytest.raises(InvalidConfiguration, match="the secret eab") as raised:
        account(server, secrets, eab_secret="eab")
    assert "tops" not in str(raised.value)


def test_an_external_account_that_the_ca_refuses_names_its_secret(server: AcmeServer, secrets: Any) -> None:
    """The key is wrong, or was used by another account."""
    server.bound = {"kid-1": b"other"}
    secrets.create_secret(Name="eab", SecretString=json.dumps({"kid": "kid-1", "hmac_key": HMAC}))
    with pytest.raises(InvalidConfiguration, match=r"the secret eab .* the CA does not accept it"):
        account(server, secrets, eab_secret="eab")


def test_a_missing_external_account_is_not_found(server: AcmeServer, secrets: Any) -> None:
    """The message names the secret that was configured."""
    with pytest.raises(NotFound, match="GetSecretValue of eab"):
        account(server, secrets, eab_secret="eab")


@pytest.mark.parametrize(
    "content",
    ("", "[]", "{}", '{"private_key": 3}', '{"private_key": "topsecret"}', '{"private_key": "x", "contacts": [1]}'),
)
def test_a_secret_that_holds_no_account_is_a_wrong_setting(server: AcmeServer, secrets: Any, content: str) -> None:
    """Nothing is overwritten, and nothing of it is told."""
    secrets.create_secret(Name=NAME, SecretString=content or " ")
    with pytest.raises(InvalidConfiguration, match=NAME) as raised:
        account(server, secrets)
    assert "topsecret" not in str(raised.value)
    assert secrets.get_secret_value(SecretId=NAME)["SecretString"].strip() == content


@pytest.mark.parametrize("key", ("RSA-2048", "EC-384", "Ed25519"))
def test_a_key_of_another_kind_is_refused(server: AcmeServer, secrets: Any, key: str) -> None:
    """Accounts sign with ES256."""
    secrets.create_secret(Name=NAME, SecretString=json.dumps({"private_key": build("x", key=key).key_pem}))
    with pytest.raises(InvalidConfiguration, match="holds no P-256 key"):
        account(server, secrets)


def test_a_changed_key_works_and_the_old_one_does_not(server: AcmeServer, secrets: Any) -> None:
    """The CA has the new key; the secret has it as current, the old one as previous, and nothing pending."""
    old = account(server, secrets)
    Asker(server, secrets).acme().change_key()
    new = account(server, secrets)
    assert (new.url, new.key == old.key) == (old.url, False)
    assert server.accounts[old.url] == new.key.public_key()
    assert stages(secrets) == ["AWSCURRENT", "AWSPREVIOUS"]
    Asker(server, secrets).issue("a.example.com")


@pytest.mark.parametrize("number", range(1, 4))
def test_a_key_change_whose_reply_is_lost_is_resumed(server: AcmeServer, secrets: Any, number: int) -> None:
    """directory, nonce and keyChange: whichever is lost, the second try ends with the key that the CA has."""
    account(server, secrets)
    server.clear()
    server.lose = lambda kind: len(server.kinds) == number
    with pytest.raises(Unavailable):
        Asker(server, secrets).acme().change_key()
    Asker(server, secrets).acme().change_key()
    assert server.kinds.count("keyChange") <= 2
    assert stages(secrets) == ["AWSCURRENT", "AWSPREVIOUS"]
    Asker(server, secrets).issue("a.example.com")


@pytest.mark.parametrize("operation", ("put_secret_value", "update_secret_version_stage"))
@pytest.mark.parametrize("acted", (False, True))
def test_a_key_change_that_aws_interrupts_is_resumed(
    server: AcmeServer, secrets: Any, operation: str, acted: bool
) -> None:
    """Each write of the secret fails once, before or after it was done."""
    account(server, secrets)
    for number in (1, 2):
        broken = _Failing(secrets, operation, number, acted)
        accounts = Asker(server, broken).acme()
        try:
            accounts.change_key()
        except Unavailable:
            Asker(server, secrets).acme().change_key()
        Asker(server, secrets).issue("a.example.com")
    assert "AWSPENDING" not in stages(secrets)


class _Failing:
    """A client, one call of which fails."""

    def __init__(self, client: Any, operation: str, number: int, acted: bool) -> None:
        self._client, self._operation, self._left, self._acted = client, operation, number, acted

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name != self._operation:
            return real

        def call(**request: Any) -> Any:
            self._left -= 1
            if self._left:
                return real(**request)
            if self._acted:
                real(**request)
            metadata: Any = {"HTTPStatusCode": 500}
            raise ClientError({"Error": {"Code": "InternalServiceError"}, "ResponseMetadata": metadata}, name)

        return call


def test_a_ca_without_key_change_says_what_to_do(server: AcmeServer, secrets: Any) -> None:
    """Nothing is promoted."""
    account(server, secrets)
    server.alter["directory"] = lambda reply: Reply(200, {**reply.values, "keyChange": None})
    with pytest.raises(ServiceRefused, match="offers no key change; deactivate the account instead"):
        Asker(server, secrets).acme().change_key()
    Asker(server, secrets).acme()
    server.alter.clear()
    Asker(server, secrets).issue("a.example.com")


def test_a_deactivated_account_is_followed_by_another(server: AcmeServer, secrets: Any) -> None:
    """The next order has an account with another key; deactivating twice does no harm."""
    old = account(server, secrets)
    for _ in range(2):
        Asker(server, secrets).acme().deactivate()
    assert server.accounts == {}
    new = account(server, secrets)
    assert new.url != old.url
    assert new.key != old.key


def test_a_deactivation_whose_reply_is_lost_is_repeated(server: AcmeServer, secrets: Any) -> None:
    """The CA refuses the second one, as the account is gone: that is what was wished."""
    account(server, secrets)
    server.lose = lambda kind: kind == "account"
    with pytest.raises(Unavailable):
        Asker(server, secrets).acme().deactivate()
    server.lose = lambda kind: False
    Asker(server, secrets).acme().deactivate()
    assert stored(secrets)["url"] == ""


def test_an_account_that_does_not_exist_cannot_be_deactivated(server: AcmeServer, secrets: Any) -> None:
    """There is no secret."""
    with pytest.raises(NotFound, match=NAME):
        Asker(server, secrets).acme().deactivate()


@pytest.mark.parametrize(
    "refusal", (problem("unauthorized", "deactivated", 401), Reply(200, {"status": "deactivated"}))
)
def test_an_account_that_the_ca_deactivated_says_what_to_do(server: AcmeServer, secrets: Any, refusal: Reply) -> None:
    """As the contacts are told, and as it is asked for a certificate."""
    account(server, secrets)
    server.alter["account"] = lambda reply: refusal
    with pytest.raises(ServiceRefused, match="deactivate the issuer's account here, so that the next order"):
        account(server, secrets, contacts=("mailto:b@example.com",))


def test_an_account_elsewhere_is_refused(server: AcmeServer, secrets: Any) -> None:
    """The account's URL is on the directory's origin, and is not kept where it is not."""
    server.alter["newAccount"] = lambda reply: Reply(
        201, reply.values, {**reply.headers, "Location": "https://evil.example/1"}
    )
    with pytest.raises(InvalidReply, match=r"Location leads to https://evil\.example"):
        account(server, secrets)
    assert stored(secrets)["url"] == ""


def test_a_denied_secret_is_access_denied(server: AcmeServer, secrets: Any) -> None:
    """The message names the call and the secret."""

    class Denied:
        def get_secret_value(self, **request: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetSecretValue")

    with pytest.raises(AccessDenied, match=f"GetSecretValue of {NAME}"):
        account(server, Denied())


def test_no_key_is_in_a_log_an_error_or_a_representation(
    server: AcmeServer, secrets: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything at the level of debugging, and every error on the way."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("botocore").setLevel(logging.INFO)  # it tells requests whole where one asks it to
    server.bound = {"kid-1": b"k" * 32}
    secrets.create_secret(Name="eab", SecretString=json.dumps({"kid": "kid-1", "hmac_key": HMAC}))
    asker = Asker(server, secrets, eab_secret="eab")
    shown = [repr(asker.acme()._accounts._secret.create())]
    server.refuse["newAccount"] = [problem("badSignatureAlgorithm")]
    try:
        asker.issue("a.example.com")
    except PerennialError as error:
        shown.append(str(error))
    asker.issue("a.example.com")
    asker.acme().change_key()
    shown += [repr(account(server, secrets, eab_secret="eab")), *asker.texts, caplog.text]
    keys = [stored(secrets, stage)["private_key"] for stage in ("AWSCURRENT", "AWSPREVIOUS")]
    secret = [*(line for key in keys for line in key.splitlines()[1:-1]), HMAC]
    assert len(shown) > 5
    assert not [each for each in secret if any(each in text for text in shown)]


def test_the_registry_makes_the_issuer_of_a_deployment(server: AcmeServer, secrets: Any) -> None:
    """The key is the one that the function's environment names; nothing is asked yet."""

    class Deployed:
        def __init__(self) -> None:
            self.issuers: dict[Any, Any] = {}
            self.clock = lambda: datetime.now(UTC)

        def clients(self, service: str) -> Any:
            return {"secretsmanager": secrets}[service]

        def named(self, variable: str) -> str:
            return {"PERENNIAL_KEY_ID": "alias/named"}[variable]

    made: Any = issuer(AcmeIssuer(name="test", directory=server.directory), Deployed())  # type: ignore[arg-type]
    assert isinstance(made, Acme)
    assert isinstance(made._accounts, Accounts)
    assert server.kinds == []
    made._accounts.account(made._network())
    assert secrets.describe_secret(SecretId=NAME)["KmsKeyId"] == "alias/named"
