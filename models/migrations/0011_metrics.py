"""What applications, databases and hosts take."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    create table metric (
        subject_id uuid not null,
        resolution int not null,
        at timestamptz not null,
        node text not null default '',
        cpu float8,
        memory bigint,
        network_rx bigint,
        network_tx bigint,
        requests bigint,
        errors bigint,
        primary key (subject_id, resolution, at, node)
    )
    """,
    "create index metric_by_time on metric (resolution, at)",
    """
    create table metric_host (
        node text primary key,
        at timestamptz not null,
        cores int not null,
        cpu float8,
        memory bigint not null,
        disk bigint not null,
        network_rx bigint,
        network_tx bigint
    )
    """,
    "create index deployment_by_outcome on deployment (status, finished_at) where finished_at is not null and deleted_at is null",
]


class Migration(migrations.Migration):
    """Samples of ten seconds are of a node each, and what is rolled up of all of them; of a host there are its values of now alone."""

    dependencies = [("models", "0010_container_logs")]  # noqa: RUF012 (the shape of a migration)
    operations = [ops.RunSQL(TABLES, reverse_sql="")]  # noqa: RUF012
