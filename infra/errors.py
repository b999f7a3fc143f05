"""Which errors a state machine tries again: the names that Lambda reports, as it knows no inheritance."""

from __future__ import annotations

from perennial.errors import RETRYABLE

OF_PERENNIAL = tuple(each.__name__ for each in RETRYABLE)
OF_LAMBDA = (
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
)
RETRIED = [*OF_PERENNIAL, *OF_LAMBDA]
