"""Perennial's library. The map:

| module | answers |
| --- | --- |
| `certificate`, `chain` | what does this certificate say; does what was sent with it build |
| `scanners/` | which certificates are in this account, region and service |
| `manifest` | what did a scan find, and how does it differ from the one before |
| `discovery` | plan the scopes, scan one, collect the run |
| `inventory` | everything that is kept: the only module that knows the table |
| `checks/`, `assessment` | what is wrong with a certificate in its place, and when to look again |
| `findings`, `security_hub`, `events` | what changed in the verdicts, and who is told |
| `profiles`, `certificate_request`, `names`, `policy/` | what may be requested, and what was |
| `keys`, `key_store`, `kms_keys`, `signing_request` | private keys, where they are, and their CSRs |
| `issuance` | from a request to a stored certificate, step by step |
| `issuers/`, `solvers/` | the CAs that can be asked, and how control of a name is shown to them |
| `issued` | is what was issued what was requested |
| `dispatch` | what is due now |
| `settings`, `clients`, `errors` | configuration; AWS clients and what their errors mean; the error vocabulary |
| `cli/` | the `perennial` command |
"""

__version__ = "0.1.0"
