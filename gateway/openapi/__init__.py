"""The OpenAPI 3.1 document, read off the declared operations: inputs, views, links, errors."""

import functools
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.openapi import browser, errors, files, headers, parameters, webhooks
from gateway.openapi.examples import example
from gateway.openapi.links import links
from gateway.openapi.schemas import Components, answer, body
from gateway.rest import paths
from schema import auth
from schema.access import Role
from schema.operation import Operation
from schema.surface import PREFIX, Bound, Surface, surface

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The token that a login answers with.",
}
_PHRASES = {200: "Done.", 201: "Created.", 202: "Accepted: the rest happens in the background.", 204: "Done; there is nothing to show."}


def _content(bound: Bound, schema: dict[str, Any], components: Components) -> dict[str, Any]:
    owners = (bound.operation.graphql_name, bound.answer.singular if bound.answer else bound.operation.chapter.plural)
    return {"application/json": {"schema": schema, "example": example(schema, components, owners)}}


def _stream(content: dict[str, Any], operation: Operation[Any]) -> dict[str, Any]:
    """A stream of server-sent events, of which each has such content as its data."""
    kind, json = "text/event-stream", content["application/json"]
    described = "Server-sent events; the data of each is what `contentSchema` says, as JSON"
    id = f"id: {json['example']['seq']}\n" if operation.resumes else ""
    numbered = ", and its id the `seq` of that." if operation.resumes else "."
    schema = {"type": "string", "description": described + numbered, "contentMediaType": kind, "contentSchema": json["schema"]}
    return {kind: {"schema": schema, "example": f"{id}data: {msgspec.json.encode(json['example']).decode()}\n\n"}}


def _success(bound: Bound, found: Surface, components: Components) -> dict[str, Any]:
    operation = bound.operation
    response: dict[str, Any] = {"description": _PHRASES[operation.status], "headers": headers.successful(operation)}
    if schema := answer(bound, components):
        content = _content(bound, schema, components)
        response["content"] = _stream(content, operation) if operation.kind == "subscription" else content
    if (stream := found.following.get(operation.id)) and (item := answer(stream, components)):
        response["content"] |= _stream(_content(stream, item, components), stream.operation)
    if linked := links(bound, found.operations):
        response["links"] = linked
    return response


def _successes(bound: Bound, found: Surface, components: Components) -> dict[str, Any]:
    operation = bound.operation
    return files.answers(operation) if operation.downloads else {str(operation.status): _success(bound, found, components)}


def _operation(bound: Bound, found: Surface, components: Components) -> dict[str, Any]:
    operation = bound.operation
    summary, _, more = operation.summary.partition("\n")
    stream = found.following.get(operation.id)
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.chapter.plural],
        "summary": summary.rstrip("."),
        "description": more.strip() or summary,
        "parameters": parameters.parameters(bound) + (parameters.following(stream) if stream else []),
        "responses": {**_successes(bound, found, components), **errors.failed(operation)},
        "security": [] if operation.needs is Role.anonymous else [{"bearer": []}],
    }
    if operation.deprecation is not None:
        described |= {"deprecated": True, "description": f"{described['description']}\n\n{operation.deprecation.reason}"}
    if (model := operation.signature.input) is not None:
        required = any(each.is_required() for each in model.model_fields.values())
        described["requestBody"] = {"required": required, "content": _content(bound, body(model, components), components)}
    if operation.uploads:
        described["requestBody"] = {"required": True, "content": files.content()}
        described["description"] += f"\n\n{files.NOT_REPEATABLE}"
    return described


def document(found: Surface) -> dict[str, Any]:
    """Return the whole document."""
    components: Components = {}
    errors.describe(components)
    naming = [bound for verb in ("get", "list") for bound in found.operations if bound.operation.verb == verb]
    for bound in naming:
        answer(bound, components)
    described: dict[str, Any] = {
        PREFIX + path: {method.lower(): _operation(bound, found, components) for method, bound in by_method.items()}
        for path, by_method in paths(found.operations).items()
    }
    described |= webhooks.paths(PREFIX, components)
    for login in (bound for bound in found.operations if bound.operation is auth.login):
        described |= browser.paths(_success(login, found, components))
    chapters = [bound.operation.chapter for bound in found.operations]
    about = {chapter.plural: chapter.about for chapter in chapters if chapter.about} | {webhooks.TAG: webhooks.ABOUT}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dokploy API",
            "version": version("dokploy"),
            "description": "From a git repository to running, health-checked, observable containers.",
            "contact": {"name": "Dokploy"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This installation."}],
        "tags": [{"name": name, "description": text} for name, text in about.items()],
        "paths": described,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": errors.responses(),
            "parameters": dict(parameters.PARAMETERS),
            "headers": dict(headers.HEADERS),
            "securitySchemes": {"bearer": _BEARER, **webhooks.schemes()},
        },
    }


@functools.cache
def _encoded() -> bytes:
    return msgspec.json.encode(document(surface()))


def routes(found: Surface) -> list[Route]:
    """`/api/openapi.json`, also under `/api/v1`."""

    async def endpoint(request: Request) -> Response:
        return Response(_encoded(), media_type="application/json")

    return [Route(f"{prefix}/openapi.json", endpoint, methods=["GET"]) for prefix in ("/api", "/api/v1")]
