"""The rules by which an application's alerts are raised."""

from dataclasses import asdict
from typing import Annotated, Any

import strawberry
from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

import models
from models.alerts import DEFAULTS
from schema.access import Role
from schema.context import Context
from schema.held import held
from schema.inputs import Input
from schema.resource import Resource
from schema.rules import Between, Length

LONGEST = 3600
"""Seconds that a rule looks back at most."""


@strawberry.type
class AlertRule:
    """An alert is raised when the metric has been at the threshold, or above, for `duration` seconds. It is resolved with some distance.

    The threshold is a percentage: of the limit of all containers together for `memory` and `cpu`, which are not watched without one; of
    the requests within `duration` for `errors`. Of `restarts` it is how many containers ended by themselves within `duration`.
    """

    metric: models.AlertMetric
    severity: models.AlertSeverity
    threshold: float
    duration: int


@strawberry.type
class AlertRules:
    """The rules of an application; `isDefault` is whether they are those that every application has at first."""

    rules: list[AlertRule]
    is_default: bool


@strawberry.pydantic.input
class AlertRuleInput(Input):
    """A rule: what is watched, how much is too much, for how many seconds, and how serious that is."""

    metric: models.AlertMetric
    severity: models.AlertSeverity = models.AlertSeverity.warning
    threshold: Annotated[float, Between(1, 1000)]
    duration: Annotated[int, Between(0, LONGEST)] = 60

    @model_validator(mode="after")
    def _is_of_its_metric(self) -> "AlertRuleInput":
        if self.metric is models.AlertMetric.restarts:
            if not float(self.threshold).is_integer() or self.duration == 0:
                raise PydanticCustomError("metric", "must have a whole number as threshold, and a duration, when it counts restarts")
        elif self.threshold > 100:
            raise PydanticCustomError("metric", "must have a threshold of 100 percent at most")
        return self


def _distinct(rules: list[AlertRuleInput]) -> list[AlertRuleInput]:
    if len({(each.metric, each.severity) for each in rules}) != len(rules):
        raise PydanticCustomError("unique", "may have one rule for each metric and severity")
    return rules


Rules = Annotated[list[AlertRuleInput], Length(0, 8, "items"), AfterValidator(_distinct)]


@strawberry.pydantic.input
class AlertRulesInput(Input):
    """All rules of an application; null brings back those that every application has at first, and an empty list is none."""

    rules: Rules | None


chapter = Resource(
    "alert_rules",
    plural="alert_rules",
    path="/applications/{id}/alert-rules",
    about="The rules by which alerts of applications are raised.",
)

VIEW = "rules { metric severity threshold duration } isDefault"


def _shown(given: list[dict[str, Any]] | None) -> AlertRules:
    rules = [asdict(rule) for rule in DEFAULTS] if given is None else given
    return AlertRules(
        rules=[
            AlertRule(
                metric=models.AlertMetric(each["metric"]),
                severity=models.AlertSeverity(each["severity"]),
                threshold=each["threshold"],
                duration=each["duration"],
            )
            for each in rules
        ],
        is_default=given is None,
    )


@chapter.query("", needs=Role.viewer, view=VIEW)
async def get(ctx: Context, application: models.Application) -> AlertRules:
    """Get the rules by which an application's alerts are raised."""
    return _shown(application.alert_rules)


@chapter.put("", needs=Role.developer, view=VIEW)
async def replace(ctx: Context, application: models.Application, input: AlertRulesInput) -> AlertRules:
    """Replace the rules by which an application's alerts are raised; open alerts of rules that are gone are resolved."""
    row = await held(application)
    row.alert_rules = None if input.rules is None else [each.model_dump(by_alias=False, mode="json") for each in input.rules]
    await row.save(update_fields=["alert_rules", "updated_at"])
    return _shown(row.alert_rules)
