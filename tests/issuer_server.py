"""An issuer and an API on loopback, for tests of signing in: real JWTs, PKCE verified, one process.

    with issuer_server() as issuer:
        came_back = issuer.browse(url)      # what a browser is sent to, after a person has signed in at the URL
        issuer.asked                        # every request of the command

The API is at `issuer.api`: GET /v1/page says where to sign in, GET /v1/me who a token is for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from perennial.sign_in import REDIRECT, SignIn
from tokens_made import token

Reply = tuple[int, Any]
CLIENT = "perennial-command"


@dataclass
class Issuer:
    """What runs, and how it misbehaves: `claims` change those of ID tokens, `answers` replies by path."""

    url: str
    seconds: int = 3_600  # for which tokens are valid
    claims: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Callable[[], Reply]] = field(default_factory=dict)
    gives_refresh: bool = True
    rotates: bool = False
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, path, form
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refreshes: set[str] = field(default_factory=set)
    issued: list[str] = field(default_factory=list)  # ID tokens

    @property
    def api(self) -> str:
        return f"{self.url}/v1"

    @property
    def sign_in(self) -> SignIn:
        return SignIn(
            issuer=self.url,
            client=CLIENT,
            authorization=f"{self.url}/authorize",
            token=f"{self.url}/token",
            revocation=f"{self.url}/revoke",
        )

    def forms(self, path: str) -> list[dict[str, str]]:
        """The forms that were sent to a path."""
        return [form for _, there, form in self.asked if there == path]

    # --- as a browser meets it ---

    def browse(self, url: str, **more: str) -> str:
        """Sign in at a URL of the authorization endpoint; returns where the browser is sent, with `more` parameters."""
        parts = urlsplit(url)
        said = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == self.sign_in.authorization
        assert (said["response_type"], said["client_id"]) == ("code", CLIENT)
        assert (said["redirect_uri"], said["code_challenge_method"]) == (REDIRECT, "S256")
        code = secrets.token_urlsafe(16)
        self.codes[code] = said
        return f"{REDIRECT}?{urlencode({'code': code, 'state': said['state'], **more})}"

    # --- as the command meets it ---

    def reply(self, method: str, path: str, form: dict[str, str], headers: Mapping[str, str]) -> Reply:
        """Status and document."""
        self.asked.append((method, path, form))
        if path in self.answers:
            return self.answers[path]()
        found = {
            ("GET", "/v1/page"): lambda: (200, self.sign_in.document()),
            ("GET", "/v1/me"): lambda: self._me(headers.get("authorization", "")),
            ("POST", "/token"): lambda: self._token(form),
            ("POST", "/revoke"): lambda: self._revoke(form),
        }.get((method, path))
        return found() if found else (404, {"message": "no such path"})

    def _me(self, authorization: str) -> Reply:
        if authorization.removeprefix("Bearer ") not in self.issued:
            return 401, {"message": "Unauthorized"}
        return 200, {"name": "ada@example.com", "principal": "p", "source": "token", "grants": ["viewer"]}

    def _token(self, form: dict[str, str]) -> Reply:
        if form.get("client_id") != CLIENT:
            return 401, {"error": "invalid_client"}
        if form["grant_type"] == "refresh_token":
            known = form["refresh_token"] in self.refreshes
            return self._tokens({}, form["refresh_token"]) if known else (400, {"error": "invalid_grant"})
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != REDIRECT:
            return 400, {"error": "invalid_grant"}
        return self._tokens({"nonce": asked["nonce"]}, "")

    def _tokens(self, more: dict[str, Any], used: str) -> Reply:
        now = int(time.time())
        whose = {"iss": self.url, "aud": CLIENT, "sub": "ada", "email": "ada@example.com"}
        times = {"iat": now, "exp": now + self.seconds, "jti": secrets.token_hex(8)}
        self.issued.append(token({**whose, **times, **more, **self.claims}))
        said = {"id_token": self.issued[-1], "access_token": "opaque", "token_type": "Bearer", "expires_in": 3_600}
        if self.rotates:
            self.refreshes.discard(used)
        if self.gives_refresh and (not used or self.rotates):
            said["refresh_token"] = f"refresh-{secrets.token_hex(8)}"
            self.refreshes.add(said["refresh_token"])
        return 200, said

    def _revoke(self, form: dict[str, str]) -> Reply:
        self.refreshes.discard(form["token"])
        return 200, {}


@contextmanager
def issuer_server() -> Iterator[Issuer]:
    """The issuer while the block runs."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    listening.daemon_threads = True
    made = Issuer(f"http://127.0.0.1:{listening.server_address[1]}")
    listening.made = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        made: Issuer = self.server.made  # type: ignore[attr-defined]
        status, document = made.reply(self.command, urlsplit(self.path).path, dict(parse_qsl(body)), headers)
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        with suppress(ConnectionError):  # the client has seen enough
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - names of http.server
