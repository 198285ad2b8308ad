"""What containers have printed, kept beyond their lives."""

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


class Migration(migrations.Migration):
    """Lines are many and small: they are stored, read and thrown away by the chunk."""

    dependencies = [("models", "0009_databases")]  # noqa: RUF012 (the shape of a migration)
    operations = [ops.RunSQL(TABLES, reverse_sql="")]  # noqa: RUF012
