"""Metrics of the system: the chapter "Metrics" of the specification, whose other half is `gateway.prometheus`."""

from datetime import UTC, datetime

import strawberry

from models import ApplicationStatus, metrics, totals
from schema.access import Role
from schema.context import Context
from schema.resource import Resource
from schema.scalars import BigInt
from schema.series import MIB

system = Resource("", plural="metrics", about="What is taken of all hosts, and how many applications and deployments there are.")


@strawberry.type
class SystemNetwork:
    """Bytes that all hosts have received and sent in the last ten seconds."""

    rx: BigInt | None
    tx: BigInt | None


@strawberry.type
class SystemUsage:
    """What is taken of all hosts: CPU from 0 to 1 of all cores, memory and disk in MiB. Null while nothing measures it."""

    cpu: float | None
    memory: int | None
    disk: int | None
    network: SystemNetwork


@strawberry.type
class ApplicationCounts:
    """How many applications there are; some are in none of these states, such as `deploying`."""

    total: int
    running: int
    stopped: int
    error: int


@strawberry.type
class DeploymentCounts:
    """How many deployments there are, and which share of those succeeded that ended within 30 days; null when there are none."""

    total: int
    last_hour: int
    success_rate: float | None


@strawberry.type
class SystemMetrics:
    """The installation in numbers."""

    system: SystemUsage
    applications: ApplicationCounts
    deployments: DeploymentCounts


@system.query(
    "",
    needs=Role.operator,
    view="""
        system { cpu memory disk network { rx tx } }
        applications { total running stopped error }
        deployments { total lastHour successRate }
    """,
)
async def system_metrics(ctx: Context) -> SystemMetrics:
    """Get the metrics of the whole system."""
    now = datetime.now(UTC)
    return SystemMetrics(system=await _usage(now), applications=await _applications(), deployments=await _deployments(now))


async def _usage(now: datetime) -> SystemUsage:
    found = await metrics.system(now)
    return SystemUsage(
        cpu=None if found.cpu is None else round(found.cpu, 4),
        memory=None if found.memory is None else found.memory // MIB,
        disk=None if found.disk is None else found.disk // MIB,
        network=SystemNetwork(
            rx=None if found.network_rx is None else BigInt(found.network_rx),
            tx=None if found.network_tx is None else BigInt(found.network_tx),
        ),
    )


async def _applications() -> ApplicationCounts:
    found = await totals.applications()
    return ApplicationCounts(
        total=sum(found.values()),
        running=found.get(ApplicationStatus.running, 0),
        stopped=found.get(ApplicationStatus.stopped, 0),
        error=found.get(ApplicationStatus.error, 0),
    )


async def _deployments(now: datetime) -> DeploymentCounts:
    found = await totals.deployments(now)
    ended = found.succeeded + found.failed
    return DeploymentCounts(total=found.total, last_hour=found.last_hour, success_rate=round(found.succeeded / ended, 4) if ended else None)
