"""What the agent knows while the Engine answers, and while it does not."""

from typing import Any

import pytest

from tests.workers.edge.test_names import BRIDGE, task
from workers.convergence import Task
from workers.edge.agent import Agent
from workers.engine import EngineUnavailable


class Told:
    """An Engine that says what it is told to, or nothing."""

    def __init__(self) -> None:
        self.tasks: dict[str, list[Task]] | None = {"service": [task("c1"), task("c2")]}

    async def all_tasks(self) -> dict[str, list[Task]]:
        if self.tasks is None:
            raise EngineUnavailable
        return self.tasks

    async def network(self, name: str) -> dict[str, Any] | None:
        assert name == "docker_gwbridge"
        return BRIDGE


async def test_it_knows_what_the_engine_says() -> None:
    agent = Agent(Told())
    assert (agent.lookup("app"), agent.age) == ((), None)
    await agent.look()
    assert agent.lookup("app") == ("172.18.0.1", "172.18.0.2")
    assert agent.lookup("other") == ()
    assert agent.age is not None
    assert agent.age < 5


async def test_while_the_engine_is_away_the_last_addresses_stay() -> None:
    engine = Told()
    agent = Agent(engine)
    await agent.look()
    engine.tasks = None
    with pytest.raises(EngineUnavailable):
        await agent.look()
    assert agent.lookup("app") == ("172.18.0.1", "172.18.0.2")


async def test_an_engine_that_says_there_is_nothing_is_believed() -> None:
    engine = Told()
    agent = Agent(engine)
    await agent.look()
    engine.tasks = {}
    await agent.look()
    assert agent.lookup("app") == ()
