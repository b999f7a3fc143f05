"""The page's function tells what stands in its environment, and needs nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from functions.api import page

from perennial import approval_page
from perennial.errors import InvalidConfiguration
from perennial.sign_in import of_user_pool

ROOT = Path(__file__).resolve().parents[2]
WHERE = of_user_pool(issuer="https://cognito-idp.x/p", client="c", domain="https://d.auth.x.amazoncognito.com")
LAMBDA: Any = SimpleNamespace(
    function_name="perennial",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:perennial",
    aws_request_id="00000000-0000-0000-0000-000000000000",
)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_SIGN_IN", json.dumps(WHERE.document()))
    page.where.cache_clear()


def test_the_page_and_the_json() -> None:
    """The same request's answer as the library's, for browsers and for the command."""
    for accept in ("text/html", "application/json"):
        event = {"httpMethod": "GET", "headers": {"Accept": accept}}
        assert page.handler(event, LAMBDA) == approval_page.reply(event, WHERE)


@pytest.mark.parametrize("text", ["null", "{}", '{"issuer": "http://x"}'])
def test_an_environment_that_says_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It fails, rather than send people somewhere."""
    monkeypatch.setenv("PERENNIAL_SIGN_IN", text)
    with pytest.raises(InvalidConfiguration):
        page.handler({}, LAMBDA)


def test_it_logs_nothing_of_a_request(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither headers nor the code in the query, whatever the environment says."""
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    page.handler({"headers": {"Cookie": "secret"}, "queryStringParameters": {"code": "secret"}}, LAMBDA)
    assert "secret" not in caplog.text and not any("secret" in str(vars(each)) for each in caplog.records)


def test_it_loads_little() -> None:
    """No AWS client, no router, no table: it starts fast, and has nothing to reach anything with."""
    code = "import json, sys; from functions.api import page; print(json.dumps(list(sys.modules)))"
    path = f"{ROOT}:{ROOT / 'layers/perennial/python'}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    loaded = {each.partition(".")[0] for each in json.loads(done.stdout)}
    assert "perennial" in loaded and not {"boto3", "pynamodb", "pydantic", "cryptography", "requests"} & loaded
