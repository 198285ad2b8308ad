"""What pages are read by: totals kept per project in the writing transaction, and the indexes of sorts and searches (DECISIONS 7)."""

from tortoise import migrations
from tortoise.migrations import operations as ops

TALLY = [
    """
    create table tally (
        project_id uuid primary key references project (id) on delete cascade,
        application int not null default 0,
        deployment int not null default 0
    )
    """,
    """
    create function tally_up(place text, whose uuid, step int) returns void language plpgsql as $$
    begin
        execute format('insert into tally as t (project_id, %1$I) values ($1, $2)
            on conflict (project_id) do update set %1$I = t.%1$I + $2', place) using whose, step;
    end $$
    """,
    """
    create function tally_row() returns trigger language plpgsql as $$
    begin
        if tg_op <> 'INSERT' and old.deleted_at is null then
            perform tally_up(tg_table_name, old.project_id, -1);
        end if;
        if tg_op <> 'DELETE' and new.deleted_at is null then
            perform tally_up(tg_table_name, new.project_id, 1);
        end if;
        return null;
    end $$
    """,
    *[
        statement
        for table in ("application", "deployment")
        for statement in (
            f"create trigger {table}_comes after insert or delete on {table} for each row execute function tally_row()",
            f"""
            create trigger {table}_changes after update on {table} for each row
            when ((old.deleted_at is null) <> (new.deleted_at is null) or old.project_id <> new.project_id)
            execute function tally_row()
            """,
            f"""
            insert into tally as t (project_id, {table})
            select project_id, count(*) from {table} where deleted_at is null group by project_id
            on conflict (project_id) do update set {table} = excluded.{table}
            """,  # noqa: S608 (names of ours)
        )
    ],
]

SEARCH = [
    """
    create function trigrams(words text) returns text[] language sql immutable parallel safe
    return coalesce((select array_agg(distinct substr(lower(words), i, 3)) from generate_series(1, length(words) - 2) i), '{}')
    """,
    "create index project_search on project using gin (trigrams(name))",
    "create index application_search on application using gin (trigrams(name))",
]

SORTS = [
    "create index project_by_time on project (created_at desc, id desc)",
    "create index application_by_time on application (created_at desc, id desc)",
    "create index deployment_by_time on deployment (created_at desc, id desc)",
    "create index deployment_by_end on deployment (finished_at desc, id desc)",
    "create index deployment_by_duration on deployment (duration desc, id desc)",
    "create index deployment_by_status on deployment (status, created_at desc, id desc)",
    "create index deployment_by_project_end on deployment (project_id, finished_at desc, id desc)",
    "create index deployment_by_project_duration on deployment (project_id, duration desc, id desc)",
    "create index deployment_by_application_time on deployment (application_id, created_at desc, id desc)",
]


class Migration(migrations.Migration):
    """Counting a large table, or sorting it, on every page would make the page as slow as the table is long."""

    dependencies = [("models", "0002_guards")]  # noqa: RUF012 (the shape of a migration)
    operations = [ops.RunSQL([*TALLY, *SEARCH, *SORTS], reverse_sql="")]  # noqa: RUF012
