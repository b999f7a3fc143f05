"""The clients of scripts/bench issuance, against the Pebble that it measures with."""

from __future__ import annotations

from cryptography import x509

from benches import issuance_client, issuance_step, issuance_tight
from benches.issuance_lab import lab
from perennial.issuers.interface import Issued
from real_acme import need_pebble


def test_both_clients_are_issued_certificates_by_the_same_pebble() -> None:
    """Perennial with 9 requests in one process and in one for each step; the tight loop, which is warm, with 7."""
    need_pebble()
    with lab() as here:
        advance = issuance_client.deployed(here.place)
        issuance_client.issue(here.place, advance, ("first.example.com",), here.settled)
        made: list[Issued] = []
        issue = issuance_client.issue
        assert here.counted(lambda: made.append(issue(here.place, advance, ("one.example.com",), here.settled))) == 9
        file = here.directory / "order.json"
        assert here.counted(lambda: issuance_step.issue(here.place, file, ("two.example.com",), here.settled)) == 9
        tight = issuance_tight.Connection(issuance_tight.Account(here.place))
        tight.issue("three.example.com")
        chains: list[bytes] = []
        assert here.counted(lambda: chains.append(tight.issue("four.example.com"))) >= 7
        leaves = [x509.load_der_x509_certificate(made[0].chain[0]), x509.load_pem_x509_certificate(chains[0])]
        names = [each.extensions.get_extension_for_class(x509.SubjectAlternativeName).value for each in leaves]
        assert [[each.value for each in found] for found in names] == [["one.example.com"], ["four.example.com"]]
