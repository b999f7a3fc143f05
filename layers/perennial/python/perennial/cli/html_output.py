"""A scan as one HTML page that needs nothing else: no request leaves it, and only its own style and script may run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from perennial.checks.interface import Severity
from perennial.cli.plain import plain

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)
Rows = Iterable[Mapping[str, Any]]


def page(document: Mapping[str, Any]) -> str:
    """The page of a scan's JSON document."""
    template = files("perennial.cli").joinpath("report.html").read_text(encoding="utf-8")
    worst = _worst(document["findings"])
    kind = "Quick scan" if document["quick"] else "Full scan"
    return Template(template).substitute(
        policy=_policy(template),
        scanned=_text(f"{kind} of {document['scanned_at'][:16].replace('T', ' ')} UTC"),
        notices="".join(map(_notice, _notices(document))),
        cards="".join(_card(name, count) for name, count in _cards(document["summary"])),
        findings="".join(map(_finding, document["findings"])),
        certificates="".join(_certificate(each, worst.get(each["location"])) for each in document["certificates"]),
        scopes="".join(map(_scope, document["scopes"])),
    )


def _policy(template: str) -> str:
    """A content security policy that names the page's style and script by their hashes, and allows nothing else."""
    hashes = {kind: _hash(text) for kind, text in _INLINE.findall(template)}
    return (
        f"default-src 'none'; style-src '{hashes['style']}'; script-src '{hashes['script']}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.replace("$$", "$").encode()).digest()).decode()


def _text(value: object) -> str:
    return escape(plain("" if value is None else value), quote=True)


def _worst(findings: Rows) -> dict[str, str]:
    """The worst severity at each place; the findings come worst first."""
    worst: dict[str, str] = {}
    for each in findings:
        worst.setdefault(each["place"], each["severity"])
    return worst


def _notices(document: Mapping[str, Any]) -> Iterable[str]:
    incomplete = document["summary"]["incomplete_scopes"]
    if incomplete:
        yield f"This scan is not complete: {incomplete} of {document['summary']['scopes']} scopes failed, see below."
    if document["quick"]:
        yield "A quick scan judges what the lists of AWS tell. perennial scan --full reads every certificate."


def _notice(text: str) -> str:
    return f"<p class=notice>{_text(text)}</p>"


def _cards(summary: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    yield "certificates", summary["certificates"]
    yield from summary["findings"].items()


def _card(name: str, count: int) -> str:
    if name not in list(Severity):
        return f'<div class="card"><b>{count:,}</b>{_text(name)}</div>'
    empty = "" if count else " none"
    return f'<button class="card {name}{empty}" data-severity="{name}"><b>{count:,}</b>{_text(name)}</button>'


def _severity(severity: str | None) -> str:
    if severity is None:
        return '<td data-sort="9"></td>'
    return f'<td data-sort="{Severity(severity).rank}"><span class="tag {severity}">{severity}</span></td>'


def _finding(finding: Mapping[str, Any]) -> str:
    return (
        f'<tr data-severity="{finding["severity"]}">{_severity(finding["severity"])}'
        f"<td class=what><b>{_text(finding['title'])}</b><p>{_text(finding['detail'])}</p>"
        f"<details><summary>What to do</summary>{_text(finding['remediation'])} "
        f"<code>{_text(finding['check'])}</code></details></td>"
        f"<td class=word>{_text(finding['certificate'])}<p>{_text(finding['owner'])}</p></td>"
        f"{_end(finding['not_after'])}"
        f"<td class=where><code>{_text(finding['resource'])}</code><p>{_text(finding['scope'])}</p></td></tr>\n"
    )


def _certificate(certificate: Mapping[str, Any], worst: str | None) -> str:
    title = certificate["title"] or " ".join(certificate["attributes"].get("names", ())) or certificate["location"]
    names = [each for kind in ("dns_names", "ip_addresses") for each in certificate.get(kind, ()) if each != title]
    used = "".join(f"<li><code>{_text(each['resource'])}</code></li>" for each in certificate["attached"])
    return (
        f"<tr>{_severity(worst)}<td class=what><b>{_text(title)}</b><p>{_text(', '.join(names))}</p></td>"
        f"{_end(certificate['not_after'])}<td class=key>{_text(certificate['key'])}</td>"
        f"<td class=word>{_text(certificate.get('issuer'))}</td><td>{_text(certificate['owner'])}</td>"
        f"<td class=where><code>{_text(certificate['resource'])}</code><p>{_text(certificate['scope'])}</p>"
        f"{_attached(used, len(certificate['attached']))}</td></tr>\n"
    )


def _attached(used: str, count: int) -> str:
    return f"<details><summary>Used by {count}</summary><ul>{used}</ul></details>" if count else ""


def _end(not_after: str | None) -> str:
    return f'<td class=date data-sort="{_text(not_after or "~")}">{_text((not_after or "")[:10])}</td>'


def _scope(scope: Mapping[str, Any]) -> str:
    reason = f"{scope['reason']}: {scope['message']}" if scope["reason"] else ""
    return (
        f"<tr><td><code>{_text(scope['scope'])}</code></td><td>{_text(scope['status'])}</td>"
        f'<td data-sort="{scope["sightings"]:09d}">{scope["sightings"]:,}</td><td>{_text(reason)}</td></tr>\n'
    )
