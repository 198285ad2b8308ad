"""What containers have printed, kept beyond their lives, and the counts of what has happened, kept beyond whatever it happened to."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = [
    """
    create table log_stream (
        subject_id uuid primary key,
        last_seq bigint not null default 0,
        bytes bigint not null default 0
    )
    """,
    """
    create table log_chunk (
        subject_id uuid not null references log_stream (subject_id) on delete cascade,
        first_seq bigint not null,
        last_seq bigint not null,
        newest_at timestamptz not null,
        bytes int not null,
        at timestamptz[] not null,
        level text[] not null,
        replica int[] not null,
        message text[] not null,
        primary key (subject_id, first_seq)
    )
    """,
    """
    create table log_position (
        container_id text primary key,
        subject_id uuid not null references log_stream (subject_id) on delete cascade,
        read_to text not null
    )
    """,
    "create index log_position_by_subject on log_position (subject_id)",
]

COUNTS = [
    """
    create table counted (
        name text not null,
        label text not null,
        number bigint not null,
        milliseconds bigint not null default 0
    )
    """,
    """
    create function count_end() returns trigger language plpgsql as $$
    begin
        insert into counted (name, label, number) values ('deployment', new.status, 1);
        return null;
    end $$
    """,
    """
    create function count_stage() returns trigger language plpgsql as $$
    begin
        insert into counted values ('stage', new.name, 1, greatest(0, extract(epoch from new.finished_at - new.started_at)) * 1000);
        return null;
    end $$
    """,
    """
    create function count_take_over() returns trigger language plpgsql as $$
    begin
        insert into counted (name, label, number) values ('take_over', tg_argv[0], 1);
        return null;
    end $$
    """,
    """
    create trigger deployment_end_counts after update of status on deployment for each row
    when (new.status in ('success', 'failed', 'cancelled') and old.status not in ('success', 'failed', 'cancelled'))
    execute function count_end()
    """,
    """
    create trigger deployment_take_over_counts after update of attempt on deployment for each row
    when (new.attempt > old.attempt and old.attempt > 0) execute function count_take_over('deployment')
    """,
    """
    create trigger stage_counts after update of finished_at on stage for each row
    when (new.finished_at is not null and old.finished_at is null and new.started_at is not null) execute function count_stage()
    """,
    *[
        f"""
        create trigger database_{kind}_take_over_counts after update of status on database_{kind} for each row
        when (old.status = 'running' and new.status = 'pending' and new.attempt = old.attempt) execute function count_take_over('{kind}')
        """
        for kind in ("backup", "restore")
    ],
]
"""Each count adds a row, so that nobody waits for anybody; `models.counts` adds the rows up."""
COUNTED_SO_FAR = [
    """
    insert into counted (name, label, number)
    select 'deployment', status, count(*) from deployment where status in ('success', 'failed', 'cancelled') group by status
    """,
    """
    insert into counted
    select 'stage', name, count(*), sum(greatest(0, extract(epoch from finished_at - started_at))) * 1000
    from stage where finished_at is not null and started_at is not null group by name
    """,
    *[
        f"""
        insert into counted (name, label, number)
        select 'take_over', '{kind}', sum(attempt - 1) from {table} where attempt > 1 having count(*) > 0
        """  # noqa: S608 (names of ours)
        for kind, table in (("deployment", "deployment"), ("backup", "database_backup"), ("restore", "database_restore"))
    ],
]


class Migration(migrations.Migration):
    """Lines are many and small: they are stored, read and thrown away by the chunk. A count never falls, whatever is deleted."""

    dependencies = [("models", "0009_databases")]  # noqa: RUF012 (the shape of a migration)
    operations = [ops.RunSQL([*TABLES, *COUNTS, *COUNTED_SO_FAR], reverse_sql="")]  # noqa: RUF012
