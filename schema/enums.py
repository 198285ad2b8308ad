"""The closed sets of the models as GraphQL enums: registered here once, then used as the types they are."""

import strawberry

import models

strawberry.enum(models.GlobalRole, description="What somebody may do in the whole installation.")
strawberry.enum(models.RateTier, description="How many requests somebody may send.")
strawberry.enum(models.TeamRole, description="What a member may do with the projects of a team.")
strawberry.enum(models.ApplicationStatus, description="Where an application stands.")
strawberry.enum(models.HealthStatus, description="What the health checks of an application's containers say together.")
strawberry.enum(models.DeploymentStatus, description="The state of a deployment; the last three are final.")
strawberry.enum(models.DeploymentKind, description="Where the image of a deployment comes from.")
strawberry.enum(models.StageName, description="A stage of a task graph.")
strawberry.enum(models.StageStatus, description="The state of one stage of a deployment.")
strawberry.enum(models.EventKind, description="What an event tells.")
strawberry.enum(models.LogLevel, description="How serious a log line is.")
strawberry.enum(models.DatabaseType, description="What kind of server a database is.")
strawberry.enum(models.DatabaseStatus, description="Where a database stands.")
strawberry.enum(models.TaskStatus, description="The state of a backup or a restore; the last three are final.")
strawberry.enum(models.BackupTrigger, description="Why there is a backup.")
strawberry.enum(models.StorageKind, description="Where backups lie.")
strawberry.enum(models.AlertMetric, description="What an application is watched for.")
strawberry.enum(models.AlertSeverity, description="How serious an alert is.")
strawberry.enum(models.AlertStatus, description="Whether an alert is still so.")
strawberry.enum(models.ChannelType, description="By what somebody outside is told.")
strawberry.enum(models.NotificationEvent, description="What somebody outside can be told of.")
strawberry.enum(models.NotificationStatus, description="What became of a notification; the last two are final.")
