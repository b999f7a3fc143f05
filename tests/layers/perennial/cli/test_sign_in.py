"""`perennial sign-in` and `sign-out` at an issuer on loopback, and who asks the API then."""

from __future__ import annotations

import json
import os
import socket
import threading
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from click.testing import Result

from api_server import answer, api_server
from command import Run
from issuer_server import Issuer, issuer_server
from perennial.cli import loopback, signed_in
from perennial.cli.api_connection import Connection
from perennial.cli.signed_in import SignedIn
from perennial.cli.signing_in import Ways, renewed
from perennial.errors import AccessDenied, InvalidReply, PerennialError, Unavailable


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuer_server() as made:
        yield made


@pytest.fixture(autouse=True)
def _port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test listens on a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(loopback, "PORT", free.getsockname()[1])


@pytest.fixture
def browser(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser whose person signs in at once; the URLs that it opened."""
    opened: list[str] = []

    def browse(url: str) -> bool:
        opened.append(url)
        _in_thread(lambda: visit(issuer.browse(url, iss=issuer.url)))
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    return opened


def _in_thread(what: Callable[[], Any]) -> None:
    threading.Thread(target=what, daemon=True).start()


def visit(url: str) -> int:
    """The status of a page at the loopback address of the test."""
    parts = urlsplit(url)
    there = parts._replace(netloc=f"localhost:{loopback.PORT}").geturl().replace("//localhost", "//127.0.0.1")
    try:
        with urllib.request.urlopen(there, timeout=20) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def kept(tmp_path: Path) -> SignedIn | None:
    return signed_in.read({"XDG_STATE_HOME": str(tmp_path / "state")})


def ways(tmp_path: Path, now: datetime | None = None) -> Ways:
    clock = (lambda: now) if now else (lambda: datetime.now(UTC))
    return Ways(connection=Connection(), environ={"XDG_STATE_HOME": str(tmp_path / "state")}, clock=clock)


# --- signing in ---


def test_signing_in(run: Run, issuer: Issuer, browser: list[str], tmp_path: Path) -> None:
    """The browser is opened and comes back; who it is is said and kept; then commands ask as that person, without any
    option and without AWS credentials."""
    found = run("sign-in", "--api", issuer.api)
    assert found.stdout == f"Signed in as ada@example.com at {issuer.api}. perennial me shows your roles.\n"
    assert browser[0] in found.stderr and "Waiting for it to come back" in found.stderr
    (form,) = issuer.forms("/token")
    assert {"grant_type", "code", "redirect_uri", "code_verifier", "client_id"} == set(form)
    known = kept(tmp_path)
    assert known and (known.api, known.subject, known.token) == (issuer.api, "ada", issuer.issued[0])
    assert json.loads(run("me", "--json").stdout)["name"] == "ada@example.com"


def test_no_token_is_shown(run: Run, issuer: Issuer, browser: list[str]) -> None:
    """Neither on the terminal nor in the URL that the browser gets as an argument."""
    found = run("sign-in", "--api", issuer.api)
    (form,) = issuer.forms("/token")
    secrets = (*issuer.issued, *issuer.refreshes, form["code"], form["code_verifier"])
    assert all(each not in found.output + browser[0] for each in secrets)


def test_without_a_browser(run: Run, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is printed, and nothing opened."""
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("a browser was opened"))
    monkeypatch.setattr(loopback, "SECONDS", 0.05)
    assert (
        f"  {issuer.url}/authorize?response_type=code"
        in run("sign-in", "--no-browser", "--api", issuer.api, expect=2).stderr
    )


def test_the_deployment_is_found_in_parameter_store(run: Run, issuer: Issuer, browser: list[str]) -> None:
    """With AWS credentials no address is needed."""
    parameter = boto3.client("ssm", "eu-central-1").put_parameter
    parameter(Name="/perennial/api-people", Type="String", Value=f"{issuer.api}/")
    assert issuer.api in run("sign-in", "--region", "eu-central-1").stdout


def test_a_hostile_page_in_the_same_browser(run: Run, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers do not know the state: they change nothing, and who signs in behind them is signed in."""
    seen: list[int] = []

    def browse(url: str) -> bool:
        right = issuer.browse(url)
        wrong = [
            right.replace("state=", "state=x"),
            right.split("?")[0],
            f"{right}&state=y",
            right.replace("callback", ""),
        ]

        def all_of_them() -> None:
            seen.extend(map(visit, wrong))
            seen.append(visit(right))

        _in_thread(all_of_them)
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    run("sign-in", "--api", issuer.api)
    assert seen[:4] == [400, 400, 400, 404]
    assert len(issuer.forms("/token")) == 1


def _failing(run: Run, issuer: Issuer, tmp_path: Path) -> Result:
    found = run("sign-in", "--api", issuer.api, expect=2)
    assert kept(tmp_path) is None
    assert all(each not in found.output for each in (*issuer.issued, *issuer.refreshes))
    return found


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "another"}, "answers another request (nonce)"),
        ({"iss": "https://evil.example"}, "another issuer's"),
        ({"aud": "another"}, "another client"),
        ({"exp": 1}, "expired"),
    ],
    ids=str,
)
def test_tokens_that_are_not_ours(
    run: Run, issuer: Issuer, browser: list[str], tmp_path: Path, claims: dict[str, Any], said: str
) -> None:
    """Nothing is kept of them."""
    issuer.claims = claims
    assert said in _failing(run, issuer, tmp_path).stderr


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            (400, {"error": "invalid_grant", "error_description": "SECRET"}),
            "not signed in any more: run perennial sign-in",
        ),
        ((401, {"error": "invalid_client"}), "the issuer refuses (invalid_client)"),
        ((400, {"error": "<b>"}), "the issuer refuses (status 400)"),
        ((503, {}), "the issuer answered 503"),
        ((302, {}), "the issuer refuses (status 302)"),
        ((200, b"<html>"), "no JSON object"),
        ((200, b"[" * 100_000), "no JSON object"),
        ((200, {"token_type": "mac", "id_token": "a.b.c"}), "another kind of token"),
        ((200, {"token_type": "Bearer"}), "no signed JWT"),
        ((200, {"token_type": "Bearer", "id_token": 7}), "id_token is no token"),
        ((200, {"token_type": "Bearer", "id_token": "x" * 20_000}), "id_token is no token"),
        ((200, {"token_type": "Bearer", "id_token": "a b"}), "id_token is no token"),
        ((200, b"x" * 300_000), "more than"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_token_endpoints_that_answer_otherwise(
    run: Run, issuer: Issuer, browser: list[str], tmp_path: Path, reply: Any, said: str
) -> None:
    """Each ends the command with what is wrong, and quotes nothing of the reply."""
    issuer.answers["/token"] = lambda: reply
    found = _failing(run, issuer, tmp_path)
    assert said in found.stderr and "SECRET" not in found.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"error": "access_denied"}, "the issuer answered access_denied"),
        ({"iss": "https://evil.example"}, "another issuer"),
    ],
    ids=str,
)
def test_answers_of_the_issuer_that_sign_nobody_in(
    run: Run, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: dict[str, str], said: str
) -> None:
    """No code is sent anywhere then."""

    def browse(url: str) -> bool:
        _in_thread(lambda: visit(issuer.browse(url, **more)))
        return True

    monkeypatch.setattr(webbrowser, "open", browse)
    assert said in _failing(run, issuer, tmp_path).stderr
    assert issuer.forms("/token") == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((403, {"message": "Missing Authentication Token"}), "does not say where to sign in"),
        ((404, {}), "does not say where to sign in"),
        ((500, {}), "answered 500"),
        ((200, b"{"), "in no JSON"),
        ((200, {"issuer": "x"}), "cannot be used"),
        ((200, {"issuer": "https://a", "client": "c", "authorization": "https://a/", "token": "http://b/"}), "token"),
    ],
    ids=lambda each: str(each)[:40],
)
def test_apis_that_say_not_where_to_sign_in(
    run: Run, issuer: Issuer, browser: list[str], reply: Any, said: str
) -> None:
    """No browser is opened then."""
    issuer.answers["/v1/page"] = lambda: reply
    assert said in run("sign-in", "--api", issuer.api, expect=2).stderr
    assert browser == []


def test_a_port_that_is_taken(run: Run, issuer: Issuer, browser: list[str]) -> None:
    """It is said before a browser is opened."""
    with socket.create_server(("127.0.0.1", loopback.PORT)):
        assert "is taken" in run("sign-in", "--api", issuer.api, expect=2).stderr
    assert browser == []


# --- who asks then ---


@pytest.fixture
def ada(run: Run, issuer: Issuer, browser: list[str]) -> Issuer:
    """The issuer where Ada has signed in."""
    run("sign-in", "--api", issuer.api)
    return issuer


def _asked_by(run: Run, *options: str) -> str:
    return str(json.loads(run("me", "--json", *options).stdout)["name"])


def test_a_token_wins(run: Run, ada: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is named, or in the environment, is who asks."""
    run("me", "--token", "a.b.c", "--api", ada.api, expect=2)  # the issuer does not know it
    monkeypatch.setenv("PERENNIAL_TOKEN", "a.b.c")
    run("me", "--api", ada.api, expect=2)
    monkeypatch.delenv("PERENNIAL_TOKEN")
    assert _asked_by(run) == "ada@example.com"


def test_aws_credentials_that_are_named_win(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """--profile and --region mean credentials of AWS and their deployment, whoever has signed in."""
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    profile = f"[hub]\naws_access_key_id = testing\naws_secret_access_key = {secret}\n"
    (tmp_path / "credentials").write_text(profile)
    with api_server({("GET", "/v1/me"): answer({"name": "pipeline"})}) as other:
        boto3.client("ssm").put_parameter(Name="/perennial/api", Type="String", Value=other.url)
        assert _asked_by(run, "--region", "eu-west-1") == "pipeline"
        assert _asked_by(run, "--profile", "hub") == "pipeline"
        assert _asked_by(run) == "ada@example.com"
    assert other.refused == []


def test_another_deployment_never_gets_the_token(run: Run, ada: Issuer) -> None:
    """With --api for another one, AWS credentials ask there; with --api for the same one, who has signed in."""
    with api_server({("GET", "/v1/me"): answer({"name": "pipeline"})}) as other:
        assert _asked_by(run, "--api", other.url) == "pipeline"
        assert "Bearer" not in other.asked[0].headers["authorization"]
    assert _asked_by(run, "--api", f"{ada.api}/") == "ada@example.com"


def test_a_local_cloud_never_gets_the_token(
    run: Run, ada: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the environment leads AWS's own names elsewhere, who signed in at AWS has not signed in there."""
    known = kept(tmp_path)
    assert known
    aws = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1"
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    signed_in.keep(SignedIn(**{**_fields(known), "api": aws, "through": aws}), environ)
    with api_server({("GET", "/v1/me"): answer({"name": "pipeline"})}) as other:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EXECUTE_API", other.url.removesuffix("/v1"))
        assert _asked_by(run, "--api", other.url) == "pipeline"
        assert "Bearer" not in other.asked[0].headers["authorization"]


def _fields(known: SignedIn) -> dict[str, Any]:
    return {name: getattr(known, name) for name in known.__slots__}


def test_a_damaged_sign_in_is_said(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """And nobody else asks in its place."""
    (tmp_path / "state/perennial/sign-in.json").write_text("{")
    assert "is damaged: run perennial sign-in" in run("me", expect=2).stderr


# --- renewing ---


def _later(tmp_path: Path, hours: float = 2) -> Ways:
    return ways(tmp_path, datetime.now(UTC) + timedelta(hours=hours))


def test_a_token_that_ends_is_renewed(run: Run, issuer: Issuer, browser: list[str], tmp_path: Path) -> None:
    """By the refresh token, for the next commands too; as long as it is valid, nobody is asked."""
    issuer.seconds = 30  # it ends within the time that a request may take
    run("sign-in", "--api", issuer.api)
    issuer.seconds = 3_600
    assert _asked_by(run) == _asked_by(run) == "ada@example.com"
    assert [each["grant_type"] for each in issuer.forms("/token")] == ["authorization_code", "refresh_token"]
    known = kept(tmp_path)
    assert known and known.token == issuer.issued[1] and known.refresh in issuer.refreshes


def test_a_refresh_token_that_is_used_up(run: Run, issuer: Issuer, browser: list[str], tmp_path: Path) -> None:
    """Where the issuer gives another one each time, that one is kept."""
    issuer.rotates, issuer.seconds = True, 30
    run("sign-in", "--api", issuer.api)
    run("me")
    run("me")
    known = kept(tmp_path)
    assert known and {known.refresh} == issuer.refreshes


def test_another_command_was_faster(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """It used the refresh token up: what it kept is used."""
    ada.rotates = True
    found = kept(tmp_path)
    assert found
    late = _later(tmp_path)
    ada.seconds = 4 * 3_600
    faster = renewed(late, found)
    assert renewed(late, found) == faster


def test_an_expired_sign_in(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """It says what to do, and no AWS credentials ask in its place."""
    ada.refreshes.clear()
    found = kept(tmp_path)
    assert found
    with pytest.raises(AccessDenied, match="run perennial sign-in"):
        renewed(_later(tmp_path), found)
    signed_in.keep(SignedIn(**{**_fields(found), "expires": datetime.now(UTC)}), ways(tmp_path).environ)
    assert "run perennial sign-in" in run("me", expect=2).stderr


def test_an_issuer_without_refresh_tokens(run: Run, issuer: Issuer, browser: list[str], tmp_path: Path) -> None:
    """The sign-in ends with its token."""
    issuer.gives_refresh = False
    run("sign-in", "--api", issuer.api)
    found = kept(tmp_path)
    assert found
    with pytest.raises(AccessDenied, match="your sign-in has ended: run perennial sign-in"):
        renewed(_later(tmp_path), found)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((503, {}), Unavailable),
        ((200, {"token_type": "Bearer"}), InvalidReply),
    ],
    ids=str,
)
def test_a_renewal_that_fails(run: Run, ada: Issuer, tmp_path: Path, reply: Any, error: type[PerennialError]) -> None:
    """What was kept stays, so that the next command tries again."""
    before = kept(tmp_path)
    assert before
    ada.answers["/token"] = lambda: reply
    with pytest.raises(error):
        renewed(_later(tmp_path), before)
    assert kept(tmp_path) == before


def test_a_renewal_for_another_person(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """It is refused (OpenID Connect Core 1.0, 12.2)."""
    before = kept(tmp_path)
    assert before
    ada.claims, ada.seconds = {"sub": "eve"}, 4 * 3_600
    with pytest.raises(InvalidReply, match="another person"):
        renewed(_later(tmp_path), before)
    assert kept(tmp_path) == before


def test_an_issuer_whose_access_tokens_are_taken(tmp_path: Path, ada: Issuer) -> None:
    """The access token is sent then, until the end that it says itself or the issuer says."""
    before = kept(tmp_path)
    assert before
    where = type(before.sign_in)(**{**before.sign_in.document(), "scopes": before.sign_in.scopes, "tokens": "access"})
    late = _later(tmp_path)
    ada.seconds = 4 * 3_600
    found = renewed(late, SignedIn(**{**_fields(before), "sign_in": where}))
    assert (found.token, found.expires) == ("opaque", late.clock() + timedelta(hours=1))


# --- signing out ---


def test_signing_out(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """The refresh token is revoked and the file deleted; then nobody has signed in."""
    assert run("sign-out").stdout == f"Signed out ada@example.com of {ada.api}.\n"
    (form,) = ada.forms("/revoke")
    assert form["token_type_hint"] == "refresh_token" and not ada.refreshes
    assert not (tmp_path / "state/perennial/sign-in.json").exists()
    assert run("sign-out").stdout == "Nobody was signed in.\n"


def test_signing_out_where_the_issuer_does_not_answer(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """The file is deleted nevertheless, and the failure told without the token."""
    ada.answers["/revoke"] = lambda: (503, {})
    (token,) = ada.refreshes
    found = run("sign-out", expect=2)
    assert "the issuer answered 503" in found.stderr and token not in found.output
    assert kept(tmp_path) is None


def test_signing_out_of_a_damaged_sign_in(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """It is deleted, and said."""
    (tmp_path / "state/perennial/sign-in.json").write_text("{")
    assert "is damaged" in run("sign-out", expect=2).stderr
    assert run("sign-out").stdout == "Nobody was signed in.\n"


def test_signing_out_where_the_environment_leads_elsewhere(
    run: Run, ada: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refresh token of AWS is not sent to a local cloud; what to do is said, and nothing is forgotten."""
    known = kept(tmp_path)
    assert known
    aws = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/v1"
    signed_in.keep(SignedIn(**{**_fields(known), "api": aws, "through": aws}), ways(tmp_path).environ)
    monkeypatch.setenv("AWS_ENDPOINT_URL", ada.url)
    assert "AWS_ENDPOINT_URL leads elsewhere" in run("sign-out", expect=2).stderr
    assert ada.forms("/revoke") == []
    assert kept(tmp_path)


def test_who_has_signed_out_meanwhile_stays_so(run: Run, ada: Issuer, tmp_path: Path) -> None:
    """A command that runs on and renews its token keeps it for itself."""
    found = kept(tmp_path)
    assert found
    signed_in.forget(ways(tmp_path).environ)
    ada.seconds = 4 * 3_600
    assert renewed(_later(tmp_path), found).token == ada.issued[-1]
    assert kept(tmp_path) is None


def test_nothing_says_where_the_deployment_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """People without AWS credentials are told of --api."""
    assert "address with --api" in run("sign-in", expect=2).stderr
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    said = run("sign-in", expect=2).stderr
    assert "no AWS credentials" in said and "address with --api" in said


def test_the_help_says_who_asks(run: Run) -> None:
    """The order of token, named AWS credentials, sign-in and the environment's credentials."""
    text = " ".join(run("sign-in", "--help").stdout.split())
    places = [
        text.index(each)
        for each in ("--token or PERENNIAL_TOKEN", "of --profile", "signed in here", "of the environment")
    ]
    assert places == sorted(places)


def test_an_address_that_is_none(run: Run) -> None:
    """No token could be sent there."""
    for each in ("http://certs.example.com", "nothing", "https://u@h"):
        assert "no address of an API" in run("sign-in", "--api", each, expect=2).stderr
