"""The same deployment by GraphQL: started by a mutation, followed by a subscription to its last event, and resumed in between."""

import pytest

from tests.docker.house import House
from tests.docker.installation import Installation
from tests.docker.sample import Sample

pytestmark = pytest.mark.docker

DEPLOY = "mutation ($id: ID!) { deployApplication(id: $id, input: {}) { id status queuePosition } }"


async def test_a_deployment_started_by_a_mutation_is_followed_to_its_last_event(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source)
    answer = await installation.owner.graphql(DEPLOY, id=app.id)
    started = answer["data"]["deployApplication"]
    assert (started["status"], started["queuePosition"]) == ("pending", 1)

    live = await installation.follow(started["id"])
    assert [event["seq"] for event in live] == list(range(1, len(live) + 1))
    assert (live[-1]["kind"], live[-1]["status"], live[-1]["progress"], live[-1]["message"]) == ("status", "success", 100, "Deployed")
    states = [event["status"] for event in live if event["kind"] == "status"]
    assert list(dict.fromkeys(states)) == ["pending", "cloning", "building", "deploying", "success"]

    assert await installation.follow(started["id"]) == live
    lines = await installation.logs(started["id"])
    assert [(line["seq"], line["message"]) for line in lines] == [(each["seq"], each["message"]) for each in live if each["kind"] == "log"]
