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
| `issuance`, `issuance_*` | from a request to a stored certificate, step by step |
| `issuers/`, `solvers/` | the CAs that can be asked, and how control of a name is shown to them |
| `issued` | is what was issued what was requested |
| `targets/`, `target_settings` | the places where a certificate can be put, and how they are declared |
| `rollout_request`, `rollout_check`, `rollout`, `rollout_failure` | from an issued version to a proof at every target |
| `bundle` | a version with its key, certificate and chain, in memory |
| `preflight*`, `memory_handshake` | would this version serve there: judged before anything is changed |
| `prover`, `resolution`, `handshake` | what serves there, asked at every address |
| `proof`, `proof_signing` | the record of it, signed |
| `statement_signing`, `json_readers` | signatures by a key in KMS; JSON that may be hostile |
| `key_formats`, `pkcs12`, `jks` | a key and its certificates as applications want them |
| `webhook_*`, `callbacks` | events for what deploys by itself, and its reports |
| `managed_certificate`, `declaration*`, `declared_changes`, `applying`, `adoption` | what a team declares |
| `renewal`, `windows`, `window_*`, `budget`, `planning`, `backoff` | why and when a certificate is renewed |
| `lifecycle*`, `suspicion` | what a managed certificate does next |
| `forcing`, `revocation` | what a person asks for |
| `retirement` | what was made for a superseded version is removed |
| `alerting`, `alert_*`, `acknowledgement` | who is told when a renewal does not succeed |
| `roles*`, `grants`, `identity`, `principal_tags`, `tokens`, `jwks`, `api_settings` | who asks, and what they may do |
| `change_request*`, `approvals`, `approval_settings` | what people ask for, and who must approve it |
| `exception*`, `suppression` | a check or policy rule that is suspended for a while |
| `telling` | events on the bus, and messages to the topic |
| `api/` | the API: routes and their documents, who asks, problems |
| `audit*` | the tamper-evident record of who did what |
| `dispatch`, `postponed` | what is due now; what failed and is due again |
| `settings`, `clients`, `errors` | configuration; AWS clients and what their errors mean; the error vocabulary |
| `cli/` | the `perennial` command |
"""

__version__ = "0.1.0"
