"""Applications that senders know the secret of, and webhooks on their way to them."""

from typing import Any

import httpx2

import models
from tests.services.conftest import Api
from tests.webhooks.senders import SECRET, Sender, Sending


async def sent(api: Api, request: Sending, **headers: str) -> httpx2.Response:
    """What a webhook is answered."""
    return await api.anonymous.call("POST", request.path, content=request.body, headers=request.headers | headers)


async def hooked(api: Api, sender: Sender, secret: str = SECRET, **more: Any) -> dict[str, Any]:
    """An application of a sender's repository whose secret is known."""
    source = {"repoUrl": sender.repo_url, "branch": "main"} | more.pop("gitSource", {})
    application = await api.application(image=None, gitSource=source, **more)
    await models.Application.filter(id=application["id"]).update(webhook_secret={"secret": secret})
    return application


async def deployments(application: dict[str, Any]) -> list[models.Deployment]:
    """Those of an application, the oldest first."""
    return await models.Deployment.filter(application_id=application["id"]).order_by("id")
