"""The specification of a service, made of the command line's flags: the JSON that the Engine would show."""

import copy
import re
from typing import Any

from tests.faults.engine.call import Call
from tests.faults.engine.stock import NotUnderstood, Refused, Stock

Spec = dict[str, Any]
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}

KNOWN = frozenset(
    {
        *(
            "--detach",
            "--quiet",
            "--no-resolve-image",
            "--init",
            "--force",
            "--name",
            "--image",
            "--network",
            "--network-add",
            "--network-rm",
        ),
        *("--label", "--label-add", "--label-rm", "--container-label", "--container-label-add", "--container-label-rm"),
        *("--env", "--env-add", "--env-rm", "--publish", "--publish-add", "--publish-rm", "--mount", "--mount-add", "--mount-rm"),
        *("--health-cmd", "--health-interval", "--health-timeout", "--health-retries", "--health-start-period", "--replicas"),
        *("--endpoint-mode", "--update-order", "--update-parallelism", "--update-delay", "--update-monitor", "--update-failure-action"),
        *("--update-max-failure-ratio", "--rollback-order", "--rollback-parallelism", "--rollback-monitor", "--restart-condition"),
        *("--restart-delay", "--stop-grace-period", "--limit-pids", "--limit-memory", "--limit-cpu", "--log-driver", "--log-opt"),
        *("--cap-drop", "--constraint", "--constraint-add", "--constraint-rm", "--with-registry-auth"),
    }
)
"""What is understood; some of it changes nothing here."""


def created(call: Call, stock: Stock) -> Spec:
    """The specification that `service create` makes. Raises Refused."""
    _understood(call)
    (image,) = call.rest[:1]
    container: dict[str, Any] = {"Image": image, "Labels": {}, "Isolation": "default"}
    spec: Spec = {
        "Name": call.one("--name"),
        "Labels": {},
        "TaskTemplate": {"ContainerSpec": container, "Networks": [], "ForceUpdate": 0, "Runtime": "container"},
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000, "MaxFailureRatio": 0, "Order": "stop-first"},
        "EndpointSpec": {"Mode": "vip"},
    }
    _change(spec, call, stock)
    return spec


def updated(spec: Spec, call: Call, stock: Stock) -> Spec:
    """The specification that `service update` makes of another one. Raises Refused."""
    _understood(call)
    spec = copy.deepcopy(spec)
    template = spec["TaskTemplate"]
    if call.one("--image"):
        template["ContainerSpec"]["Image"] = call.one("--image")
    if "--force" in call.options:
        template["ForceUpdate"] += 1
    _change(spec, call, stock)
    return spec


def scaled(spec: Spec, replicas: int) -> Spec:
    """The same with another number of replicas."""
    spec = copy.deepcopy(spec)
    spec["Mode"]["Replicated"]["Replicas"] = replicas
    return spec


def nanoseconds(text: str) -> int:
    """A duration as the command line writes it."""
    return round(sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ns|us|ms|s|m|h)", text)))


def _understood(call: Call) -> None:
    if unknown := sorted(call.options.keys() - KNOWN):
        raise NotUnderstood(f"unknown flag: {unknown[0]}")


def _change(spec: Spec, call: Call, stock: Stock) -> None:
    """What create and update have in common: adding is what create does to nothing."""
    template = spec["TaskTemplate"]
    container = template["ContainerSpec"]
    _map(spec["Labels"], call, "label")
    _map(container["Labels"], call, "container-label")
    _environment(container, call)
    _ports(spec["EndpointSpec"], call)
    _mounts(container, call)
    _networks(template, call, stock)
    _health(container, call)
    if replicas := call.one("--replicas"):
        spec["Mode"]["Replicated"]["Replicas"] = int(replicas)
    if mode := call.one("--endpoint-mode"):
        spec["EndpointSpec"]["Mode"] = mode
    if order := call.one("--update-order"):
        spec["UpdateConfig"]["Order"] = order
    if monitor := call.one("--update-monitor"):
        spec["UpdateConfig"]["Monitor"] = nanoseconds(monitor)
    if action := call.one("--update-failure-action"):
        spec["UpdateConfig"]["FailureAction"] = action


def _map(labels: dict[str, str], call: Call, name: str) -> None:
    labels.update(call.pairs(f"--{name}") | call.pairs(f"--{name}-add"))
    for key in call.many(f"--{name}-rm"):
        labels.pop(key, None)


def _environment(container: dict[str, Any], call: Call) -> None:
    values = dict(item.split("=", 1) for item in container.get("Env", []))
    for given in [*call.many("--env"), *call.many("--env-add")]:
        key, equals, value = given.partition("=")
        if equals or key in call.environment:
            values[key] = value if equals else call.environment[key]
    for key in call.many("--env-rm"):
        values.pop(key, None)
    if values:
        container["Env"] = [f"{key}={value}" for key, value in values.items()]
    else:
        container.pop("Env", None)


def _fields(text: str) -> dict[str, str]:
    return {key: value or "true" for key, _, value in (part.partition("=") for part in text.split(","))}


def _ports(endpoint: dict[str, Any], call: Call) -> None:
    ports = endpoint.get("Ports", [])
    for given in call.many("--publish-rm"):
        gone = _fields(given)
        ports = [each for each in ports if (str(each["TargetPort"]), each["Protocol"]) != (gone["target"], gone["protocol"])]
    for given in [*call.many("--publish"), *call.many("--publish-add")]:
        new = _fields(given)
        ports.append(
            {
                "Protocol": new["protocol"],
                "TargetPort": int(new["target"]),
                "PublishedPort": int(new["published"]),
                "PublishMode": new["mode"],
            }
        )
    if ports:
        endpoint["Ports"] = ports
    else:
        endpoint.pop("Ports", None)


def _mounts(container: dict[str, Any], call: Call) -> None:
    new = [_fields(given) for given in [*call.many("--mount"), *call.many("--mount-add")]]
    gone = {*call.many("--mount-rm"), *(each["target"] for each in new)}
    mounts = [each for each in container.get("Mounts", []) if each["Target"] not in gone]
    for each in new:
        read_only = {"ReadOnly": True} if "readonly" in each else {}
        mounts.append({"Type": "volume", "Source": each["source"], "Target": each["target"]} | read_only)
    if mounts:
        container["Mounts"] = mounts
    else:
        container.pop("Mounts", None)


def _networks(template: dict[str, Any], call: Call, stock: Stock) -> None:
    for name in call.many("--network-rm"):
        network = stock.network(name)
        template["Networks"] = [each for each in template["Networks"] if network is None or each["Target"] != network.id]
    for name in [*call.many("--network"), *call.many("--network-add")]:
        network = stock.network(name)
        if network is None:
            raise Refused(f"Error: No such network: {name}")
        template["Networks"].append({"Target": network.id})


def _health(container: dict[str, Any], call: Call) -> None:
    if "--health-cmd" not in call.options:
        return
    if not call.one("--health-cmd"):
        container.pop("Healthcheck", None)
        return
    container["Healthcheck"] = {
        "Test": ["CMD-SHELL", call.one("--health-cmd")],
        "Interval": nanoseconds(call.one("--health-interval", "30s")),
        "Timeout": nanoseconds(call.one("--health-timeout", "30s")),
        "StartPeriod": nanoseconds(call.one("--health-start-period", "0s")),
        "Retries": int(call.one("--health-retries", "3")),
    }
