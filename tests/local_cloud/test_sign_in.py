"""A person signs in at the deployment's user pool in a browser, and is themselves at the API until they sign out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from deployed import Hub

from local_cloud.api_calls import call
from local_cloud.cloud import HUB_ACCOUNT, REGION, REPOSITORY
from local_cloud.people import principal
from perennial import approval_page
from perennial.cli import signed_in
from perennial.sign_in import REDIRECT, read

pytestmark = [pytest.mark.local_cloud, pytest.mark.xdist_group("hub")]

COMMAND = Path(sys.prefix) / "bin" / "perennial"
PERSON, PASSWORD = "sign-in-ada@example.com", "Aa1!aaaaaaaaaaaa"
_HIDDEN = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')


@pytest.fixture(scope="module")
def _person(hub: Hub) -> None:
    """A user of the deployment's pool."""
    cognito, named = hub.client("cognito-idp"), {"UserPoolId": hub.outputs["UserPoolId"], "Username": PERSON}
    email = [{"Name": "email", "Value": PERSON}, {"Name": "email_verified", "Value": "true"}]
    first = {"TemporaryPassword": PASSWORD, "MessageAction": "SUPPRESS"}
    cognito.admin_create_user(**named, UserAttributes=email, **first)
    cognito.admin_set_user_password(**named, Password=PASSWORD, Permanent=True)


@pytest.fixture
def environ(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """Of a person's terminal: AWS credentials, and a state directory in which nobody has signed in."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PERENNIAL_"))}
    library = {"PYTHONPATH": str(REPOSITORY / "layers" / "perennial" / "python")}
    machine = principal(hub.cloud, HUB_ACCOUNT, "sign-in-machine").env  # root is nobody to the API
    aws = {**hub.cloud.env(HUB_ACCOUNT, REGION), **machine}
    return {**own, **library, **aws, "XDG_STATE_HOME": str(tmp_path / "state")}


def run(environ: Mapping[str, str], *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run([COMMAND, *arguments], env=environ, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def me(environ: Mapping[str, str]) -> Any:
    return json.loads(run(environ, "me", "--json"))


@pytest.fixture
def signing_in(environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command that waits for its browser."""
    arguments = [COMMAND, "sign-in", "--no-browser"]
    with subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as made:
        yield made
        made.kill()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirect is an answer."""

    def redirect_request(self, *_: Any) -> None:
        return None


def browse(url: str, form: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Status, page, and where it leads."""
    body = urlencode(form).encode() if form else None
    try:
        with urllib.request.build_opener(_Stay).open(urllib.request.Request(url, body), timeout=60) as reply:
            return reply.status, reply.read().decode(), ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers.get("Location", "")


def sign_in_at(url: str) -> str:
    """Sign in on the pool's page, as a browser does; returns where the browser is sent."""
    status, page, _ = browse(url)
    assert status == 200, page
    hidden = {name: unescape(value) for name, value in _HIDDEN.findall(page)}
    there = urlsplit(url)
    status, page, leads_to = browse(
        f"{there.scheme}://{there.netloc}/login", {**hidden, "username": PERSON, "password": PASSWORD}
    )
    assert status == 302, page
    return leads_to


def page_of(signing_in: subprocess.Popen[str]) -> str:
    """The URL that a command prints."""
    assert signing_in.stderr
    lines = iter(signing_in.stderr.readline, "")
    return next(line.strip() for line in lines if "response_type=code" in line)


@pytest.mark.usefixtures("_person")
def test_a_person_signs_in_and_out(hub: Hub, environ: dict[str, str], signing_in: subprocess.Popen[str]) -> None:
    """What the browser brings back is redeemed and kept; commands ask as the person, also when the token has ended;
    signed out, the refresh token is worth nothing, and AWS credentials ask again."""
    before = me(environ)
    assert before["source"] == "iam"

    back = sign_in_at(page_of(signing_in))
    assert back.startswith(f"{REDIRECT}?code=")
    forged = back.replace("state=", "state=x")
    assert browse(forged)[0] == 400  # and it waits on
    status, page, _ = browse(back)
    assert (status, "Close this page" in page) == (200, True)
    printed, complaints = signing_in.communicate(timeout=120)
    assert signing_in.returncode == 0, complaints
    assert printed.startswith(f"Signed in as {PERSON} at ")

    person = me(environ)
    assert (person["source"], person["email"]) == ("oidc", PERSON)
    kept = signed_in.read(environ)
    assert kept and all(secret not in printed + complaints for secret in (kept.token, kept.refresh))

    ended = json.loads(signed_in.path(environ).read_text()) | {"expires": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}
    signed_in.path(environ).write_text(json.dumps(ended))
    assert me(environ)["principal"] == person["principal"]
    renewed = signed_in.read(environ)
    assert renewed and renewed.token != kept.token and renewed.expires > datetime.now(UTC)

    assert run(environ, "sign-out").startswith(f"Signed out {PERSON}")
    assert signed_in.read(environ) is None
    form = {"grant_type": "refresh_token", "client_id": kept.sign_in.client, "refresh_token": kept.refresh}
    status, refused, _ = browse(f"{hub.cloud.url}/oauth2/token", form)
    assert (status, json.loads(refused)["error"]) == (400, "invalid_grant")
    assert me(environ) == before


def test_the_page(hub: Hub) -> None:
    """Everybody gets it, with its policy; where to sign in is the same for command and page; every other path and
    method still asks who it is."""
    api = hub.outputs["PeopleApiUrl"]
    assert hub.outputs["PageUrl"] == f"{api}page"
    reply = call(hub.cloud, "GET", hub.outputs["PageUrl"])
    told = read(call(hub.cloud, "GET", hub.outputs["PageUrl"], headers={"Accept": "application/json"}).json())
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["content-security-policy"] == approval_page.policy(told)
    assert reply.body.decode() == approval_page.page(told)
    assert told.client == hub.outputs["AppClientId"]
    assert told.token == f"{hub.outputs['SignInUrl']}/oauth2/token"
    assert call(hub.cloud, "POST", hub.outputs["PageUrl"], content={}).status in (401, 403)
    assert call(hub.cloud, "GET", f"{api}me").status == 401
    assert call(hub.cloud, "GET", f"{hub.outputs['ApiUrl']}page").status == 403


@pytest.mark.usefixtures("_person")
def test_the_page_s_own_url_is_where_browsers_come_back_to(hub: Hub) -> None:
    """The pool sends a browser that signs in there back to it with a code, and to no other address."""
    told = read(call(hub.cloud, "GET", hub.outputs["PageUrl"], headers={"Accept": "application/json"}).json())
    asked = {"response_type": "code", "client_id": told.client, "scope": "openid", "state": "s"}
    asked |= {"code_challenge": "c" * 43, "code_challenge_method": "S256", "redirect_uri": hub.outputs["PageUrl"]}
    back = urlsplit(sign_in_at(f"{hub.cloud.url}/oauth2/authorize?{urlencode(asked)}"))
    assert f"{back.scheme}://{back.netloc}{back.path}" == hub.outputs["PageUrl"]
    assert set(parse_qs(back.query)) == {"code", "state"}
    elsewhere = urlencode(asked | {"redirect_uri": "https://evil.example/v1/page"})
    assert browse(f"{hub.cloud.url}/oauth2/authorize?{elsewhere}")[0] == 400
