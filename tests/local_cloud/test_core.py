"""Starting, stopping and describing a local cloud."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from local_cloud import __main__ as command
from local_cloud import cloud as cloud_module
from local_cloud.cloud import HUB_ACCOUNT, MEMBER_ACCOUNT, REGION, Cloud, CloudError, free_port

pytestmark = pytest.mark.local_cloud


def test_starts_answers_and_stops(idle_cloud: Cloud) -> None:
    """A cloud that was down answers after `start`, and is down again, its port free, after `stop`."""
    running = idle_cloud.start()
    assert idle_cloud.client("sts").get_caller_identity()["Account"] == HUB_ACCOUNT
    assert idle_cloud.stop()
    assert idle_cloud.running() is None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0


def test_starting_twice_leaves_the_first_process(cloud: Cloud) -> None:
    """`start` on a running cloud changes nothing and returns the process that runs."""
    assert cloud.start() == cloud.running()


def test_start_takes_the_port_it_is_given(idle_cloud: Cloud) -> None:
    """A chosen port is the one of the endpoint."""
    port = free_port()
    assert idle_cloud.start(port).url == f"http://127.0.0.1:{port}"


def test_start_on_a_busy_port_says_so(idle_cloud: Cloud) -> None:
    """A process that ends at once becomes an error that shows the end of its log."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(CloudError, match="already in use"):
            idle_cloud.start(other.getsockname()[1])


def test_stop_does_not_signal_a_process_that_reuses_the_id(idle_cloud: Cloud) -> None:
    """A record that nobody locks is history: the process that has its number now is left alone."""
    idle_cloud.directory.mkdir()
    record = {"pid": os.getpid(), "port": 1}
    (idle_cloud.directory / "running.json").write_text(json.dumps(record))
    assert idle_cloud.running() is None
    assert not idle_cloud.stop()


def test_env_selects_account_and_region(cloud: Cloud) -> None:
    """The environment names the endpoint, and the account by the access key id."""
    env = cloud.env(MEMBER_ACCOUNT, "us-east-1")
    assert env["AWS_ENDPOINT_URL"] == env["AWS_ENDPOINT_URL_S3"] == cloud.url
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_DEFAULT_REGION"]) == (MEMBER_ACCOUNT, "us-east-1")
    assert cloud.env()["AWS_REGION"] == REGION


def test_url_of_a_cloud_that_is_down_says_how_to_start_it(idle_cloud: Cloud) -> None:
    """The error of a cloud that is down names the command that starts it."""
    with pytest.raises(CloudError, match="scripts/local-cloud up"):
        _ = idle_cloud.url


def test_reset_empties_ministack_and_the_fakes(idle_cloud: Cloud) -> None:
    """After a reset neither a bucket of ministack nor a hub of the fake Security Hub is left."""
    idle_cloud.start()
    s3, hub = idle_cloud.client("s3", region="us-east-1"), idle_cloud.client("securityhub")
    s3.create_bucket(Bucket="gone")
    hub.enable_security_hub()
    idle_cloud.reset()
    assert s3.list_buckets()["Buckets"] == []
    with pytest.raises(hub.exceptions.InvalidAccessException):
        hub.describe_hub()


def test_accounts_of_the_organization_have_chosen_ids(cloud: Cloud) -> None:
    """Organizations lists the accounts that were added, with their ids, beside the management account."""
    cloud.add_accounts({MEMBER_ACCOUNT: "member"}, management="999999999999")
    accounts = cloud.client("organizations", "999999999999").list_accounts()["Accounts"]
    assert {account["Id"] for account in accounts} == {"999999999999", MEMBER_ACCOUNT}


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets the command keep its clouds under a temporary directory instead of the repository."""
    monkeypatch.setattr(cloud_module, "REPOSITORY", tmp_path)
    return tmp_path


def test_command_goes_up_and_down(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`up --no-deploy`, `status`, `env` and `down` work on a named cloud and report by exit code."""
    assert command.main(["status", "--name", "one"]) == 3
    assert command.main(["env", "--name", "one"]) == 3
    try:
        assert command.main(["up", "--no-deploy", "--name", "one"]) == 0
        assert command.main(["status", "--name", "one"]) == 0
        capsys.readouterr()
        assert command.main(["env", "--name", "one", "--account", MEMBER_ACCOUNT]) == 0
        assert f"export AWS_ACCESS_KEY_ID={MEMBER_ACCOUNT}\n" in capsys.readouterr().out
    finally:
        assert command.main(["down", "--name", "one"]) == 0
    assert "is stopped" in capsys.readouterr().out
    assert command.main(["status", "--name", "one"]) == 3


def test_command_names_a_missing_app(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`up` without a CDK app to deploy fails with a sentence that says what to do."""
    try:
        assert command.main(["up", "--name", "two", "--app", str(in_tmp)]) == 1
        assert "There is no cdk.json" in capsys.readouterr().err
    finally:
        command.main(["down", "--name", "two"])
