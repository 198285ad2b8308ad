"""Anything in any order: users, killed and frozen workers, a forgetful Redis, a Postgres that restarts. What always holds is looked at."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults import machine
from tests.faults.acts import make_sick
from tests.faults.always import ALWAYS, LOST, Memory, late
from tests.faults.installation import Installation
from tests.faults.source import Source

Tell = Callable[[str], None]
MOST_OF = 0.5
"""Of the steps, the first example aside, that one kind of step may be."""


async def endures(installation: Installation, source: Source, tell: Tell, examples: int, steps: int) -> Counter[str]:
    """Let the machine run, and say what it did."""
    make_sick(source)
    began = time.monotonic()
    ran = await machine.run(installation, source, tell, examples=examples, steps=steps)
    taken, seconds = ran.taken, ran.seconds
    kinds = ", ".join(f"{name} {count} in {seconds[name]:.0f} s" for name, count in sorted(taken.items()))
    looks = ", ".join(f"{name} {seconds[name]:.0f} s" for name in ("looks", "ends"))
    tell(f"machine: {taken.total()} steps in {time.monotonic() - began:.0f} s: {kinds}; {looks}")
    sql = "select status, count(*) as count from deployment group by status order by status"
    tell("machine: " + ", ".join(f"{row['count']} {row['status']}" for row in await installation.servers.fetch(sql)))
    return taken


async def test_everything_holds_whatever_happens(installation: Installation, source: Source, tell: Tell) -> None:
    taken = await endures(installation, source, tell, examples=4, steps=13)
    assert taken.total() >= 40
    assert {"deploy", "kill", "tick"} <= taken.keys()


@pytest.mark.full
async def test_everything_holds_whatever_happens_two_thousand_times(installation: Installation, source: Source, tell: Tell) -> None:
    taken = await endures(installation, source, tell, examples=28, steps=100)
    assert taken.total() >= 2000
    assert len(taken) == 16
    assert max(taken.values()) < MOST_OF * taken.total()


PLANTED = {
    "a gap": ("last_seq = last_seq + 1", "last_seq = last_seq - 1", "numbered 1 to"),
    "another end": ("status = 'failed'", "status = 'success'", "had ended as"),
    "a later end": ("finished_at = finished_at + interval '1 s'", "finished_at = finished_at - interval '1 s'", "had ended as"),
    "an epoch that goes down": ("epoch = epoch - 1", "epoch = epoch + 1", "went back in its epoch"),
    "an attempt that goes down": ("attempt = attempt - 1", "attempt = attempt + 1", "went back in its attempt"),
    "an event of its end before it": (
        "status = 'deploying', finished_at = null",
        "status = 'success', finished_at = now()",
        "an event says",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
async def test_what_must_not_be_is_seen_at_the_next_look(name: str, installation: Installation, source: Source) -> None:
    wrong, right, sentence = PLANTED[name]
    row = await installation.succeeded(await installation.deploy(await installation.app(gitSource=source.git)))
    memory = Memory()
    assert await memory.look(installation) == []
    await installation.servers.fetch(f"update deployment set {wrong} where id = $1", row["id"])
    found = await memory.look(installation)
    await installation.servers.fetch(f"update deployment set {right} where id = $1", row["id"])
    assert any(sentence in each and str(row["id"]) in each for each in found), found
    assert await Memory().look(installation) == []


async def test_a_gap_among_the_events_stops_the_machine(installation: Installation, source: Source, tell: Tell) -> None:
    row = await installation.succeeded(await installation.deploy(await installation.app(gitSource=source.git)))
    assert len(ALWAYS) > 5

    class Planting(machine.Machine):
        def __init__(self) -> None:
            super().__init__()
            self._await(
                installation.servers.fetch("update deployment set last_seq = last_seq + 1 where application_id = $1", self.acts.apps[0].id)
            )

    with pytest.raises(AssertionError, match="and remembers"):
        await machine.run(installation, source, tell, examples=1, steps=1, kind=Planting)
    assert not await installation.servers.fetch("select from deployment where id = $1", row["id"]), "what is broken is taken away"


def test_a_line_of_an_attempt_that_was_followed_by_another_is_late() -> None:
    def events(*messages: str) -> list[dict[str, object]]:
        return [{"id": "d", "seq": number, "message": message} for number, message in enumerate(messages)]

    assert late(events("#9 of epoch 1", LOST, "#9 of epoch 2", LOST, "#9 of epoch 3")) == []
    assert late(events("#9 of epoch 1", LOST, "#9 of epoch 1")) == ["d is in epoch 2, and its event 2 is '#9 of epoch 1'"]
