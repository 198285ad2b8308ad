"""Reading the Engine: what recorded services of Docker Engine 20.10 mean, moment by moment."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workers import engine
from workers.convergence import Converged, Converging, Failed, Task, convergence, explain, read_task, read_time

RECORDED = Path(__file__).parent / "recorded"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def frames(name: str) -> list[dict]:
    return json.loads((RECORDED / f"{name}.json").read_text())


def verdicts(name: str, *, image: str, deployment: str, replicas: int, after: float | None = None) -> list[tuple[float, object]]:
    """What was concluded at each recorded moment; `after` seconds after the newest state, or with all waits over."""
    answers = []
    for frame in frames(name):
        tasks = [read_task(entry) for entry in frame["tasks"]]
        now = NOW if after is None else max(task.timestamp for task in tasks) + timedelta(seconds=after)
        answer = convergence(frame["service"], tasks, image=image, deployment=deployment, replicas=replicas, now=now)
        answers.append((frame["at"], answer))
    return answers


def task(**changes) -> Task:
    base = Task("t1", "app:1", "running", "running", "", "c1", 0, "d1", NOW - timedelta(minutes=1), 1, NOW - timedelta(minutes=1))
    return replace(base, **changes)


def service(*, deployment: str = "d1", status: dict | None = None, health: bool = False, force: int = 0) -> dict:
    container = {"Image": "app:1"} | ({"Healthcheck": {"Test": ["CMD-SHELL", "true"]}} if health else {})
    spec = {"Labels": {"dokploy.deployment": deployment}, "TaskTemplate": {"ContainerSpec": container, "ForceUpdate": force}}
    return {"Spec": spec} | ({"UpdateStatus": status} if status else {})


def judge(service: dict, tasks: list[Task], replicas: int = 1, **more):
    return convergence(service, tasks, image="app:1", deployment="d1", replicas=replicas, now=NOW, **more)


def test_a_good_update_converges_only_when_swarm_says_completed():
    seen = verdicts("good_update", image="sample-web:2", deployment="d2", replicas=2)
    assert [type(answer) for _, answer in seen] == [Converging] * 9 + [Converged]
    assert [answer.running for _, answer in seen[:-1]] == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert seen[5][0] == 3.49
    assert seen[9][0] == 8.44  # the update monitor of five seconds


def test_a_good_update_is_not_good_for_another_image_deployment_or_number():
    for wanted in ({"image": "x:1"}, {"deployment": "d9"}, {"replicas": 3}, {"replicas": 1}):
        seen = verdicts("good_update", **({"image": "sample-web:2", "deployment": "d2", "replicas": 2} | wanted))
        assert all(isinstance(answer, Converging) for _, answer in seen)


def test_a_service_that_ends_at_once_fails_and_is_never_taken_for_running():
    seen = verdicts("exits_at_once", image="sample-exit:1", deployment="d1", replicas=1, after=0.1)
    assert isinstance(seen[1][1], Converging)  # the moment in which its task was "running"
    assert seen[1][1].running == 1
    failed = seen[2][1]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.reason) == ("CONTAINER_FAILED", "The container ended with exit code 1.")
    assert failed.task and failed.task.container_id
    assert not any(isinstance(answer, Converged) for _, answer in seen)


@pytest.mark.parametrize(
    ("name", "image", "code"),
    [
        ("never_healthy", "sample-web:1", "HEALTH_CHECK_FAILED"),
        ("port_taken_by_process", "sample-web:1", "PORT_IN_USE"),
        ("no_such_image", "sample-nothing:1", "IMAGE_NOT_FOUND"),
    ],
)
def test_first_deployments_that_fail(name: str, image: str, code: str):
    seen = [answer for _, answer in verdicts(name, image=image, deployment="d1", replicas=1, after=0.1)]
    first = next(number for number, answer in enumerate(seen) if isinstance(answer, Failed))
    assert all(isinstance(answer, Converging) for answer in seen[:first])
    assert all(isinstance(answer, Failed) and answer.code == code and answer.rollback == "none" for answer in seen[first:])


def test_an_update_that_swarm_rolls_back():
    seen = verdicts("rolls_back", image="sample-web:1", deployment="d3", replicas=2)
    assert [type(answer) for _, answer in seen] == [Converging] * 6 + [Failed] * 4
    assert seen[2][1].code == "HEALTH_CHECK_FAILED"  # known early, for when the deadline passes
    assert [answer.rollback for _, answer in seen[6:]] == ["running"] * 3 + ["completed"]
    assert {answer.code for _, answer in seen[6:]} == {"HEALTH_CHECK_FAILED"}


def test_an_update_whose_container_ends_is_rolled_back():
    seen = verdicts("rolls_back_exit", image="sample-exit:1", deployment="d2", replicas=1)
    assert [type(answer) for _, answer in seen] == [Converging] * 2 + [Failed] * 4
    assert seen[-1][1].reason == "The container ended with exit code 1."


def test_the_end_of_the_update_before_is_not_ours():
    frame = frames("rolls_back")[-1]
    tasks = [read_task(entry) for entry in frame["tasks"]]
    frame["service"]["Spec"]["Labels"]["dokploy.deployment"] = "d4"
    assert isinstance(convergence(frame["service"], tasks, image="sample-web:1", deployment="d4", replicas=2, now=NOW), Converging)
    frame = frames("good_update")[-1]
    tasks = [read_task(entry) for entry in frame["tasks"]]
    frame["service"]["Spec"]["Labels"]["dokploy.deployment"] = "d3"
    assert isinstance(convergence(frame["service"], tasks, image="sample-web:2", deployment="d3", replicas=2, now=NOW), Converging)


def test_a_first_deployment_settles_as_long_as_an_update_would_be_watched():
    young = task(timestamp=NOW - timedelta(seconds=4.9))
    assert isinstance(judge(service(), [young]), Converging)
    assert isinstance(judge(service(), [task(timestamp=NOW - timedelta(seconds=5))]), Converged)
    assert isinstance(judge(service(health=True), [young]), Converged)


def test_a_task_too_many_or_of_another_deployment_is_not_converged():
    completed = service(status={"State": "completed"})
    assert isinstance(judge(completed, [task()]), Converged)
    assert isinstance(judge(completed, [task(), task(id="t2", deployment="d0")]), Converging)
    assert isinstance(judge(completed, [task(), task(id="t2", state="starting")]), Converging)
    assert isinstance(judge(completed, [task(), task(id="t2", desired_state="shutdown")]), Converged)
    assert isinstance(judge(completed, []), Converging)
    assert isinstance(judge(completed, [], replicas=0), Converged)


def test_a_restarted_task_is_told_from_the_one_before():
    assert isinstance(judge(service(force=1), [task()]), Converging)
    assert isinstance(judge(service(force=1), [task(force=1)]), Converged)


def test_old_failures_are_history_when_a_time_is_given():
    tasks = [
        task(),
        task(
            id="t0",
            state="failed",
            desired_state="shutdown",
            error="task: non-zero exit (1)",
            exit_code=1,
            timestamp=NOW - timedelta(hours=1),
        ),
    ]
    assert isinstance(judge(service(), tasks), Failed)
    assert isinstance(judge(service(), tasks, since=NOW - timedelta(minutes=2)), Converged)


@pytest.mark.parametrize("state", ["updating", ""])
def test_waiting_for_a_port_is_a_failure_after_a_while(state: str):
    error = "no suitable node (host-mode port already in use on 1 node)"
    status = {"State": state} if state else None
    pending = task(state="pending", error=error, timestamp=NOW - timedelta(seconds=11))
    answer = judge(service(status=status), [pending])
    assert isinstance(answer, Failed)
    assert answer.code == "PORT_IN_USE"
    patient = judge(service(status=status), [replace(pending, timestamp=NOW - timedelta(seconds=9))])
    assert patient == Converging(0, 1, "PORT_IN_USE", "A published port is already in use.")
    leaving = task(id="t0", deployment="d0", desired_state="shutdown")
    assert isinstance(judge(service(status=status), [pending, leaving]), Converging)


@pytest.mark.parametrize("state", ["paused", "rollback_paused", "rollback_started", "rollback_completed"])
def test_paused_and_rolled_back_are_failures(state: str):
    answer = judge(service(deployment="d0", status={"State": state}), [task(state="shutdown", desired_state="shutdown")])
    assert isinstance(answer, Failed)
    assert answer.code == "ROLLED_BACK"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", "PORT_IN_USE"),
        ("listen tcp4 0.0.0.0:18083: bind: address already in use", "PORT_IN_USE"),
        ("task: non-zero exit (143): dockerexec: unhealthy container", "HEALTH_CHECK_FAILED"),
        ("No such image: x:1", "IMAGE_NOT_FOUND"),
        ("write /x: no space left on device", "DISK_FULL"),
        ("starting container failed: something new", "CONTAINER_FAILED"),
        ("", "CONTAINER_FAILED"),
    ],
)
def test_explanations(error: str, code: str):
    found, sentence = explain(task(state="failed", error=error))
    assert found == code
    assert sentence


def test_a_container_that_was_killed_may_have_needed_memory():
    assert "memory" in explain(task(state="failed", error="task: non-zero exit (137)", exit_code=137))[1]


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [("2026-11-23T06:59:13.518341857Z", 518341), ("2026-11-23T06:59:13Z", 0), ("2026-11-23T06:59:13.5Z", 500000)],
)
def test_times_of_the_engine(text: str, microsecond: int):
    assert read_time(text) == datetime(2026, 11, 23, 6, 59, 13, microsecond, tzinfo=UTC)


def test_ipvs_is_read_from_the_kernel(tmp_path: Path):
    assert not engine.has_ipvs(tmp_path)
    (tmp_path / "modules").write_text("ip_vs_rr 1 0\noverlay 1 0\n")
    assert not engine.has_ipvs(tmp_path)
    (tmp_path / "modules").write_text("ip_vs 188416 0 - Live 0x0\n")
    assert engine.has_ipvs(tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net/ip_vs").touch()
    (tmp_path / "modules").unlink()
    assert engine.has_ipvs(tmp_path)


async def test_an_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    async with engine.Engine() as reads:
        assert not await reads.ping()
        with pytest.raises(engine.EngineUnavailable):
            await reads.service("x")
        with pytest.raises(engine.EngineUnavailable):
            await reads.tasks("x")
