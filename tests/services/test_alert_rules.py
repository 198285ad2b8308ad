"""The rules of an application's alerts: the usual ones, others in their place, and what no rule can be."""

from typing import Any

import pytest

import models
from tests.services.asking import Transport, ask
from tests.services.conftest import Api

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
USUAL = [
    {"metric": "memory", "severity": "warning", "threshold": 90, "duration": 60},
    {"metric": "memory", "severity": "critical", "threshold": 95, "duration": 60},
    {"metric": "restarts", "severity": "warning", "threshold": 3, "duration": 600},
]


@BOTH
async def test_every_application_has_the_usual_rules_at_first(api: Api, over: Transport) -> None:
    application = (await api.application())["id"]
    assert (await ask(over, api.owner, "alert_rules.get", application)).data == {"rules": USUAL, "isDefault": True}


@BOTH
async def test_rules_are_replaced_and_brought_back(api: Api, over: Transport) -> None:
    application = (await api.application())["id"]
    rules = [{"metric": "errors", "severity": "critical", "threshold": 2.5, "duration": 300}, {"metric": "cpu", "threshold": 80}]
    told = [rules[0], {"metric": "cpu", "severity": "warning", "threshold": 80, "duration": 60}]
    assert (await ask(over, api.owner, "alert_rules.replace", application, {"rules": rules})).data == {"rules": told, "isDefault": False}
    assert (await ask(over, api.owner, "alert_rules.get", application)).data["rules"] == told
    assert (await ask(over, api.owner, "alert_rules.replace", application, {"rules": []})).data == {"rules": [], "isDefault": False}
    assert (await ask(over, api.owner, "alert_rules.replace", application, {"rules": None})).data == {"rules": USUAL, "isDefault": True}
    assert (await models.Application.get(id=application)).alert_rules is None


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"metric": "memory", "threshold": 101}, "rules[0]"),
        ({"metric": "memory", "threshold": 0}, "rules[0].threshold"),
        ({"metric": "memory", "threshold": 90, "duration": 3601}, "rules[0].duration"),
        ({"metric": "restarts", "threshold": 2.5, "duration": 60}, "rules[0]"),
        ({"metric": "restarts", "threshold": 3, "duration": 0}, "rules[0]"),
        ({"metric": "heat", "threshold": 90}, "rules[0].metric"),
        ({"metric": "cpu"}, "rules[0].threshold"),
    ],
)
async def test_what_no_rule_can_be_is_refused(api: Api, rule: dict[str, Any], field: str) -> None:
    answer = await api.owner.call("PUT", f"/applications/{(await api.application())['id']}/alert-rules", json={"rules": [rule]})
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]["errors"]] == [field]


async def test_there_is_one_rule_for_a_metric_and_severity(api: Api) -> None:
    rules = [{"metric": "cpu", "threshold": each} for each in (80, 90)]
    answer = await api.owner.call("PUT", f"/applications/{(await api.application())['id']}/alert-rules", json={"rules": rules})
    assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["constraint"]) == (400, "unique")
