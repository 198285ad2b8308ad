"""What the ORM cannot say: the guards of the pipeline and of names, and the indexes of the lists."""

from tortoise import migrations
from tortoise.migrations import operations as ops

ACTIVE = "status not in ('pending', 'success', 'failed', 'cancelled')"

GUARDS = [
    "create unique index project_name_in_team on project (team_id, name) where team_id is not null and deleted_at is null",
    "create unique index project_name_of_owner on project (owner_id, name) where team_id is null and deleted_at is null",
    "create unique index application_name on application (project_id, name) where deleted_at is null",
    f"create unique index one_active_deployment on deployment (application_id) where {ACTIVE}",
    "create index project_by_team on project (team_id)",
    "create index project_by_owner on project (owner_id)",
    "create index membership_by_user on membership (user_id)",
    "create index session_by_user on session (user_id)",
    "create index application_by_project on application (project_id, created_at desc, id desc)",
    "create index application_unsettled on application (id) where wished > granted",
    "create index deployment_by_project on deployment (project_id, created_at desc, id desc)",
    "create index deployment_by_application on deployment (application_id, id desc)",
    "create index deployment_unfinished on deployment (id) where status not in ('success', 'failed', 'cancelled')",
]


class Migration(migrations.Migration):
    """Partial unique indexes are the guards: one active deployment per application, one living name per place."""

    dependencies = [("models", "0001_initial")]  # noqa: RUF012 (the shape of a migration)
    operations = [ops.RunSQL(GUARDS, reverse_sql="")]  # noqa: RUF012
