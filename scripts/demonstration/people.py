"""The act of people, which begins early and ends last: one asks, another approves, and all of it is in a trail that
shows when somebody changes it."""

from __future__ import annotations

import json

from demonstration import lifecycle
from demonstration.deployment import invoke, tick
from demonstration.stage import Stage
from local_cloud import people
from local_cloud.cloud import HUB_ACCOUNT

ADA, BERT, SAM = "ada", "bert", "sam"
ROLES = {ADA: "requester@core-team", BERT: "approver@core-team", SAM: "security"}
WIKI, SECRET = "wiki", "wiki/tls"
TARGET = f'[[targets]]\nkind = "secretsmanager"\nname = "wiki"\nsecret = "{SECRET}"\n'
ASKED = ("--certificate-profile", "service", "--owner", "core-team", "--name", "wiki.svc.internal")
WHY = ("--reason", "the new wiki")


def begin(stage: Stage) -> None:
    """A certificate is asked for through the API, and approved; the tick does the rest."""
    stage.act("People and roles: ada asks for a certificate, bert approves it; the tick issues it and puts it in place")
    stage.client("secretsmanager").create_secret(
        Name=SECRET, SecretString="{}", Tags=[{"Key": "perennial:target", "Value": "yes"}]
    )
    for name, roles in ROLES.items():
        people.principal(stage.cloud, HUB_ACCOUNT, name, {people.ROLES: roles})
    targets = stage.cloud.directory / "wiki.targets.toml"
    targets.write_text(TARGET)
    stage.command("request", "create", WIKI, *ASKED, "--targets", str(targets), *WHY, who=ADA, show=16)
    (asked,) = json.loads(stage.command("requests", "list", "--json", who=BERT, show=0))
    stage.command("approve", asked["id"], "--digest", asked["digest"], exit_codes=(2,), who=ADA, show=1, errors=True)
    stage.command("approve", asked["id"], "--digest", asked["digest"], who=BERT, show=1)
    tick(stage)


def end(stage: Stage) -> None:
    """What was asked for serves; the trail says who did what, and an export of it is verified without AWS."""
    stage.act("What ada asked for serves, and the audit trail says who did what")
    done = lifecycle.until(lambda: lifecycle.served(stage, WIKI) >= 1)
    stage.expect(done, f"{WIKI}: version 1 is in the secret {SECRET}")
    stage.command("requests", "list", "--state", "all", who=BERT)
    stage.command("audit", "list", "--last", "1d", "--subject", f"managed/{WIKI}")
    invoke(stage, "Checkpoint")  # the schedule does this each hour
    trail = stage.cloud.directory / "audit.jsonl"
    stage.command("audit", "export", "--last", "1d", "--out", str(trail), errors=True)
    stage.command("audit", "verify", str(trail))
    stage.say("Somebody makes another one of who approved:")
    forged = trail.with_name("forged.jsonl")
    forged.write_text(trail.read_text().replace(f"user/{BERT}", f"user/{SAM}"))
    stage.command("audit", "verify", str(forged), exit_codes=(1,))
