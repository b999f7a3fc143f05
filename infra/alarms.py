"""Alarms about Perennial itself: who watches certificates must be watched too."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration, aws_cloudwatch, aws_sns, aws_sqs
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.functions import Function

FIVE_MINUTES = Duration.minutes(5)
_ABOVE_ZERO = aws_cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW = aws_cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class Alarms(Construct):
    """Each alarm notifies the topic, and says in its description what to do."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        workflows: Mapping[str, sfn.StateMachine],
        tick: Function,
        checkpoint: Function,
        dead_letters: aws_sqs.Queue,
        topic: aws_sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self._topic = topic
        for name, machine in workflows.items():
            self._workflow(name, machine)
        self._ticks(tick)
        self._checkpoints(checkpoint)
        self._alarm(
            "DeadLetters",
            dead_letters.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum"),
            "Events failed for good and wait in the dead-letter queue: read a message there, repair, redrive.",
        )

    def _workflow(self, name: str, machine: sfn.StateMachine) -> None:
        failed = machine.metric_failed(period=FIVE_MINUTES, statistic="Sum")
        late = machine.metric_timed_out(period=FIVE_MINUTES, statistic="Sum")
        self._alarm(f"{name}Failed", failed, f"{name} failed: open its last execution.")
        self._alarm(f"{name}TimedOut", late, f"{name} ran out of time: open its last execution.")

    def _ticks(self, tick: Function) -> None:
        errors = tick.function.metric_errors(period=FIVE_MINUTES, statistic="Sum")
        self._alarm("TickErrors", errors, "The tick fails: nothing that is due is started. See its log.", periods=3)
        ticks = tick.function.metric_invocations(period=FIVE_MINUTES, statistic="Sum")
        self._alarm(
            "NoTick",
            ticks,
            "No tick for 15 minutes: nothing that is due is started. Is the schedule enabled?",
            periods=3,
            dead_man=True,
        )

    def _checkpoints(self, checkpoint: Function) -> None:
        hour = Duration.hours(1)
        errors = checkpoint.function.metric_errors(period=hour, statistic="Sum")
        self._alarm(
            "AuditErrors",
            errors,
            "The audit trail got no checkpoint. Its function's log says why; where it names tampering: docs/audit.md.",
        )
        runs = checkpoint.function.metric_invocations(period=hour, statistic="Sum")
        self._alarm(
            "NoAuditCheckpoint",
            runs,
            "The audit trail was not looked at for three hours. Is the rule that calls its function enabled?",
            periods=3,
            dead_man=True,
        )

    def _alarm(
        self,
        construct_id: str,
        metric: aws_cloudwatch.IMetric,
        description: str,
        *,
        periods: int = 1,
        dead_man: bool = False,
    ) -> None:
        """Sounds above zero; a dead man's alarm sounds below one, and when nothing is measured."""
        missing = aws_cloudwatch.TreatMissingData
        alarm = aws_cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=f"Perennial: {description}",
            comparison_operator=_BELOW if dead_man else _ABOVE_ZERO,
            threshold=1 if dead_man else 0,
            evaluation_periods=periods,
            treat_missing_data=missing.BREACHING if dead_man else missing.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
