"""The doors of webhooks in the OpenAPI document: one operation for each provider, proved by a header of its own."""

from typing import Any, Final

from gateway.openapi.errors import shared
from gateway.openapi.examples import example
from gateway.openapi.headers import ALWAYS, referred
from gateway.openapi.schemas import Components, component, object_of
from gateway.webhooks import PROVIDERS
from gateway.webhooks.contract import Provider
from gateway.webhooks.route import PREFIX
from models import WebhookReason

TAG: Final = "webhooks"
ABOUT: Final = "Where providers of repositories tell of pushes. The names of the headers are theirs; the body is what they send."
REFUSALS: Final = (400, 401, 413, 429, 500, 503)
_EVENT: Final = {"ref": "refs/heads/main", "after": "6113728f27ae82c7b1a177c8d03f9e96e0adf246"}
_ID: Final = {"type": "string", "format": "uuid"}


def schemes() -> dict[str, Any]:
    """How each provider proves that it knows an application's secret."""
    return {
        f"{each.name.value}Webhook": {
            "type": "apiKey",
            "in": "header",
            "name": each.signature[-1],
            "description": f"What {each.title} makes of an application's webhook secret.",
        }
        for each in PROVIDERS
    }


def paths(prefix: str, components: Components) -> dict[str, Any]:
    """The paths."""
    started = component(components, "WebhookDeployment", object_of({"applicationId": _ID, "deploymentId": _ID}))
    deployments = {"type": "array", "items": started}
    queued = component(components, "WebhookQueued", object_of({"deploymentId": _ID, "status": _only("queued"), "deployments": deployments}))
    reason = {"type": "string", "enum": [each.value for each in WebhookReason]}
    ignored = component(components, "WebhookIgnored", object_of({"status": _only("ignored"), "reason": reason}))
    answer = component(components, "WebhookAnswer", {"oneOf": [queued, ignored]})
    shown = example(queued, components, ("webhookAnswer",))
    return {f"{prefix}{PREFIX}{each.name.value}": {"post": _operation(each, answer, shown)} for each in PROVIDERS}


def _only(value: str) -> dict[str, Any]:
    return {"type": "string", "enum": [value]}


def _operation(provider: Provider, answer: dict[str, Any], shown: Any) -> dict[str, Any]:
    success = {"description": "Accepted, or ignored for a reason.", "headers": referred(ALWAYS)}
    success["content"] = {"application/json": {"schema": answer, "example": shown}}
    return {
        "operationId": f"{TAG}.{provider.name.value}",
        "tags": [TAG],
        "summary": f"Take a webhook of {provider.title}",
        "description": "A push to the branch that an application follows deploys it; the same delivery is answered as it was at first.",
        "parameters": [
            _parameter(provider.event[-1], "The kind of event.", "push"),
            _parameter(provider.delivery[-1], "What the delivery is called.", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}, "example": _EVENT}}},
        "responses": {"202": success, **shared(*REFUSALS)},
        "security": [{f"{provider.name.value}Webhook": []}],
    }


def _parameter(name: str, description: str, example: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}, "example": example}
