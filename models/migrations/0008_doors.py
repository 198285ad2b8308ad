"""Webhooks, repositories that are not open to everybody, reports to providers, and accounts elsewhere by which people log in."""

import functools
from json import dumps, loads

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from uuid_utils.compat import uuid7

from models.enums import GitProvider, WebhookOutcome, WebhookReason
from models.secrets import EncryptedJSONField

ENCODER = functools.partial(dumps, separators=(",", ":"))

REPOSITORY = r"""
lower(regexp_replace(regexp_replace(
    case when git_source ->> 'repo_url' ~ '://' then substring(git_source ->> 'repo_url' from
        '^[A-Za-z+]+://(?:[^/@]*@)?((?:\[[^]]*\]|[^/:@]+)(?::[0-9]*)?/.+)$')
    else substring(git_source ->> 'repo_url' from '^(?:[^/@]*@)?([^/:@]+:.+)$') end,
    '^(\[[^]]*\]|[^/:@]+)(?::[0-9]*)?[:/]/*', '\1/'), '/*(\.git)?/*$', '', 'i'))
"""
"""As `models.repositories.key_of` has it."""
REPOSITORIES = f"""
update application set repository = found.key from (select id, {REPOSITORY} as key from application where git_source is not null) found
where found.id = application.id and length(found.key) <= 512 and found.key ~ '/'
"""  # noqa: S608 (constants of our own)
REPORTS = [
    """
    create function report_anew() returns trigger language plpgsql as $$
    begin
        new.report_due := now();
        new.report_tries := 0;
        return new;
    end $$
    """,
    """
    create trigger deployment_ends before update of status on deployment for each row
    when (new.report_due is not null and new.status <> old.status and new.status in ('success', 'failed', 'cancelled'))
    execute function report_anew()
    """,
    "create index deployment_to_report on deployment (report_due) where report_due is not null",
]
"""How a deployment ends is told at once, however long its beginning could not be."""
TALLY_UP = """
create or replace function tally_up(place text, whose uuid, step int) returns void language plpgsql as $$
begin
    execute format('insert into tally as t (project_id, %1$I) select id, $2 from project where id = $1
        on conflict (project_id) do update set %1$I = t.%1$I + $2', place) using whose, step;
end $$
"""
"""When the transaction ends, the project may be gone, too."""
TALLY = [
    TALLY_UP,
    *[
        statement
        for table in ("application", "deployment")
        for statement in (
            f"drop trigger {table}_comes on {table}",
            f"drop trigger {table}_changes on {table}",
            f"""
        create constraint trigger {table}_comes after insert or delete on {table}
        deferrable initially deferred for each row execute function tally_row()
        """,
            f"""
        create constraint trigger {table}_changes after update on {table} deferrable initially deferred for each row
        when ((old.deleted_at is null) <> (new.deleted_at is null) or old.project_id <> new.project_id)
        execute function tally_row()
        """,
        )
    ],
]
"""Counted when the transaction ends: whoever counts first in a project would keep all others waiting until then."""


class Migration(migrations.Migration):
    """What it takes that the outside may knock."""

    dependencies = [("models", "0007_draining")]  # noqa: RUF012 (the shape of a migration)
    operations = [  # noqa: RUF012
        ops.CreateModel(
            name="Identity",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "models.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("issuer", fields.CharField(max_length=512)),
                ("subject", fields.CharField(max_length=255)),
                ("made_account", fields.BooleanField()),
            ],
            options={
                "table": "identity",
                "app": "models",
                "unique_together": (("issuer", "subject"),),
                "pk_attr": "id",
                "table_description": (
                    "An account at an OpenID provider by which somebody logs in: what the provider calls itself, and them."
                ),
            },
            bases=["Row"],
        ),
        ops.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid7, unique=True, db_index=True)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=True)),
                (
                    "application",
                    fields.ForeignKeyField(
                        "models.Application",
                        source_field="application_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "project",
                    fields.ForeignKeyField(
                        "models.Project",
                        source_field="project_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "provider",
                    fields.CharEnumField(
                        description="github: github\ngitlab: gitlab\ngitea: gitea\nbitbucket: bitbucket",
                        enum_type=GitProvider,
                        max_length=16,
                    ),
                ),
                ("delivery", fields.CharField(max_length=255)),
                ("event", fields.CharField(max_length=100)),
                (
                    "outcome",
                    fields.CharEnumField(description="queued: queued\nignored: ignored", enum_type=WebhookOutcome, max_length=16),
                ),
                (
                    "reason",
                    fields.CharEnumField(
                        null=True,
                        description="ping: ping\nevent: event\ntag: tag\nbranch_deleted: branch_deleted\nempty: empty\n"
                        "other_branch: other_branch\nskip_requested: skip_requested\npaths_unchanged: paths_unchanged\n"
                        "no_application: no_application",
                        enum_type=WebhookReason,
                        max_length=32,
                    ),
                ),
                (
                    "deployment",
                    fields.ForeignKeyField(
                        "models.Deployment",
                        source_field="deployment_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.SET_NULL,
                    ),
                ),
                ("push", fields.JSONField(null=True, encoder=ENCODER, decoder=loads)),
            ],
            options={
                "table": "webhook_delivery",
                "app": "models",
                "unique_together": (("application", "provider", "delivery"),),
                "indexes": [
                    Index(fields=["application_id", "created_at"]),
                    Index(fields=["created_at"]),
                    Index(fields=["deployment_id"]),
                    Index(fields=["project_id"]),
                ],
                "pk_attr": "id",
                "table_description": (
                    "What a verified webhook was to one application. `push` is what of it moved, for whoever wants it delivered again."
                ),
            },
            bases=["Row"],
        ),
        ops.AddField(model_name="Application", name="deploy_key", field=fields.TextField(null=True, unique=False)),
        ops.AddField(
            model_name="Application", name="deploy_key_private", field=EncryptedJSONField(null=True, generated=False, unique=False)
        ),
        ops.AddField(model_name="Application", name="git_token", field=EncryptedJSONField(null=True, generated=False, unique=False)),
        ops.AddField(model_name="Application", name="host_keys", field=fields.TextField(null=True, unique=False)),
        ops.AddField(model_name="Application", name="repository", field=fields.CharField(null=True, db_index=True, max_length=512)),
        ops.AddField(
            model_name="Application",
            name="watch_paths",
            field=fields.JSONField(default=list, db_default="[]", encoder=ENCODER, decoder=loads),
        ),
        ops.AddField(model_name="Application", name="webhook_secret", field=EncryptedJSONField(null=True, generated=False, unique=False)),
        ops.AddField(model_name="Deployment", name="report_due", field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
        ops.AddField(model_name="Deployment", name="report_tries", field=fields.IntField(default=0, db_default=0)),
        ops.AddField(model_name="Deployment", name="reported", field=fields.CharField(null=True, max_length=16)),
        ops.AlterField(model_name="User", name="password_hash", field=fields.TextField(null=True, unique=False)),
        ops.RunSQL(TALLY, reverse_sql=""),
        ops.RunSQL(REPOSITORIES, reverse_sql="select 1"),
        ops.RunSQL(REPORTS, reverse_sql=""),
    ]
