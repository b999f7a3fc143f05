"""Names that another stack, account or person must be able to write down before the resource exists."""

from __future__ import annotations

PLAN_ROLE = "PerennialPlan"
SCAN_ROLE = "PerennialScan"
PUBLISH_ROLE = "PerennialPublish"
ADVANCE_ROLE = "PerennialIssuanceAdvance"
CLEAN_UP_ROLE = "PerennialIssuanceCleanUp"
PREFLIGHT_ROLE = "PerennialRolloutPreflight"
ACTIVATE_ROLE = "PerennialRolloutActivate"
PROVE_ROLE = "PerennialRolloutProve"
RESTORE_ROLE = "PerennialRolloutRestore"
RETIRE_ROLE = "PerennialRenewalRetire"
DISCOVERY = "PerennialDiscovery"  # the state machine
ASSESSMENT = "PerennialAssessment"
ISSUANCE = "PerennialIssuance"
ROLLOUT = "PerennialRollout"
RENEWAL = "PerennialRenewal"
APPROVAL = "PerennialApproval"
BUS = "perennial"
PARAMETERS = "/perennial"  # in Parameter Store
