"""Declaring operations: a chapter is a resource, and each of its methods declares one operation. `schema.operation` has the rules."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, get_origin

from pydantic import BaseModel
from strawberry.types.base import get_object_definition
from tortoise.models import Model

from schema.access import Role
from schema.fields import Listing, WrongDeclaration, columns_of, entity_of
from schema.files import Content, File
from schema.filters import filters_of
from schema.operation import Deprecation, F, Operation, Parameter, Signature

_DECISIONS = re.compile(r" \(DECISIONS [^)]*\)")
"""What a docstring tells the readers of the code only."""


def _read_signature(name: str, handler: Callable[..., Any], path: str) -> Signature:
    in_path = re.findall(r"{(\w+)}", path)
    rows: dict[str, type[Model]] = {}
    body: type[BaseModel] | None = None
    content: str | None = None
    parameters: list[Parameter] = []
    signature = inspect.signature(handler, eval_str=True)
    context, *rest = signature.parameters.values()
    if context.name != "ctx":
        raise WrongDeclaration(f"{name}: the first parameter must be ctx")
    for parameter in rest:
        annotation = parameter.annotation
        if annotation is inspect.Parameter.empty:
            raise WrongDeclaration(f"{name}: parameter '{parameter.name}' has no type")
        if isinstance(annotation, type) and issubclass(annotation, Model):
            rows[parameter.name] = annotation
        elif parameter.name == "input":
            if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                raise WrongDeclaration(f"{name}: input must be an Input")
            body = annotation
        elif annotation == Content:
            content = parameter.name
        else:
            parameters.append(Parameter(parameter.name, annotation, parameter.default))
    if len(in_path) != len(rows):
        raise WrongDeclaration(f"{name}: rows in the path {path}: {len(in_path)}, taken by the function: {len(rows)}")
    if signature.return_annotation is inspect.Signature.empty:
        raise WrongDeclaration(f"{name}: the function does not say what it returns")
    return Signature(rows, body, tuple(parameters), signature.return_annotation, content)


def _check_files(name: str, carries: str, signature: Signature) -> None:
    downloads, uploads = signature.returns is File, signature.content is not None
    if downloads != (carries == "download"):
        raise WrongDeclaration(f"{name}: {'only a download returns' if downloads else 'a download returns'} a File")
    if uploads != (carries == "upload"):
        raise WrongDeclaration(f"{name}: {'only an upload takes' if uploads else 'an upload takes'} a Content")
    if uploads and signature.input is not None:
        raise WrongDeclaration(f"{name}: the body is an input or a Content, not both")
    if uploads and not (isinstance(signature.returns, type) and issubclass(signature.returns, Model)):
        raise WrongDeclaration(f"{name}: an upload returns a row")


class Resource:
    """A chapter: operations under one path, the type they are about, and a sentence on what they do (`about`; else the type's)."""

    def __init__(
        self, singular: str, type_: type | None = None, *, plural: str = "", path: str | None = None, about: str | None = None
    ) -> None:
        self.singular = singular
        self.about = about or (inspect.getdoc(type_) if type_ else None) or ""
        self.plural = plural or f"{singular}s"
        self.type = type_
        self.path = f"/{self.plural}" if path is None else path
        self.operations: list[Operation[Any]] = []

    def _add(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        needs: Role | None,
        status: int,
        view: str | None,
        links: tuple[str, ...] | Mapping[str, str],
        signature: Signature,
        summary: str,
        handler: Any = None,
        listing: Listing | None = None,
        atomic: bool = True,
        relation: str | None = None,
        discloses: bool = False,
        follows: Operation[Any] | None = None,
        items: int | None = None,
    ) -> Operation[Any]:
        name = f"{self.plural}.{verb}"
        if needs is None:
            raise WrongDeclaration(f"{name}: needs must say which role it takes")
        if handler is None and needs > Role.operator:
            raise WrongDeclaration(f"{name}: what operators may see, each of them may see")
        if any(operation.verb == verb for operation in self.operations):
            raise WrongDeclaration(f"{name}: declared twice")
        if not summary:
            raise WrongDeclaration(f"{name}: the docstring must say what it does")
        if not isinstance(links, Mapping):
            links = {link: f"{self.plural}.{'get' if link == 'self' else link}" for link in links}
        operation = Operation(
            self,
            verb,
            method,
            self.path + path,
            needs,
            status,
            view,
            links,
            signature,
            summary,
            handler,
            listing,
            atomic,
            relation,
            discloses,
            follows=follows,
            items=items,
        )  # fmt: skip
        self.operations.append(operation)
        return operation

    def deprecate(self, operation: Operation[Any], deprecation: Deprecation) -> Operation[Any]:
        """Declare that an operation will go, twelve months from now at the earliest."""
        if operation.relation is not None:
            raise WrongDeclaration(f"{operation.id}: in GraphQL it is a field of a type, which this does not mark")
        since = deprecation.since
        earliest = since.replace(year=since.year + 1, day=28 if (since.month, since.day) == (2, 29) else since.day)
        if deprecation.sunset < earliest:
            raise WrongDeclaration(f"{operation.id}: what is deprecated is kept for twelve months")
        found = replace(operation, deprecation=deprecation)
        self.operations[self.operations.index(operation)] = found
        return found

    def list(
        self,
        *,
        view: str,
        needs: Role | None = None,
        filters: type | None = None,
        sort: type[Enum] | None = None,
        default: str = "-created_at",
        search: bool = False,
        links: tuple[str, ...] | Mapping[str, str] = (),
    ) -> Operation[Any]:
        """Declare the list of the rows that the caller may see; the view is that of one item."""
        if self.type is None:
            raise WrongDeclaration(f"{self.plural}.list: the chapter has no type")
        listing = Listing(default, sort, filters_of(filters), search)
        columns = columns_of(entity_of(self.type).model)
        for column in (*listing.sort, *(each.column for each in listing.filters.values()), default.lstrip("-")):
            if column not in columns:
                raise WrongDeclaration(f"{self.plural}.list: '{column}' is no column")
        return self._add(
            "list", "GET", "", needs=needs, status=200, view=view, links=links, listing=listing,
            signature=Signature(), summary=f"List {self.plural}.",
        )  # fmt: skip

    def related(
        self, name: str, *, view: str, needs: Role | None = None, links: tuple[str, ...] | Mapping[str, str] = ()
    ) -> Operation[Any]:
        """Declare the list of a row's relation, under its path; the view is that of one item."""
        fields = get_object_definition(self.type, strict=True).fields if self.type else ()
        listing = next((each.metadata.get("source") for each in fields if each.python_name == name), None)
        if self.type is None or not isinstance(listing, Listing):
            raise WrongDeclaration(f"{self.plural}.{name}: the chapter's type has no page of this name")
        return self._add(
            name, "GET", f"/{{id}}/{name.replace('_', '-')}", needs=needs, status=200, view=view, links=links, listing=listing,
            relation=name, signature=Signature({self.singular: entity_of(self.type).model}),
            summary=f"List a {self.singular}'s {name.replace('_', ' ')}.",
        )  # fmt: skip

    def get(self, *, view: str, needs: Role | None = None, links: tuple[str, ...] | Mapping[str, str] = ()) -> Operation[Any]:
        """Declare the reading of one row by its id."""
        if self.type is None:
            raise WrongDeclaration(f"{self.plural}.get: the chapter has no type")
        model = entity_of(self.type).model
        return self._add(
            "get", "GET", "/{id}", needs=needs, status=200, view=view, links=links,
            signature=Signature({self.singular: model}, None, (), model), summary=f"Get one {self.singular}.",
        )  # fmt: skip

    def part(self, name: str, *, view: str, needs: Role | None = None) -> Operation[Any]:
        """Declare the reading of a part of one row, under its path; in GraphQL it is fields of that row and nothing else."""
        if self.type is None:
            raise WrongDeclaration(f"{self.plural}.{name}: the chapter has no type")
        model = entity_of(self.type).model
        return self._add(
            name, "GET", f"/{{id}}/{name}", needs=needs, status=200, view=view, links=(), relation=name,
            signature=Signature({self.singular: model}, None, (), model), summary=f"Get a {self.singular}'s {name}.",
        )  # fmt: skip

    def _decorator(self, method: str, path: str, *, carries: str = "", **declared: Any) -> Callable[[F], Operation[F]]:
        def declare(handler: F) -> Operation[F]:
            verb = handler.__name__.strip("_")
            signature = _read_signature(f"{self.plural}.{verb}", handler, self.path + path)
            _check_files(f"{self.plural}.{verb}", carries, signature)
            streams = not inspect.iscoroutinefunction(handler)
            if streams != (method == "STREAM"):
                what = "an async generator, or a function that returns one"
                raise WrongDeclaration(f"{self.plural}.{verb}: {'only a stream is' if streams else 'a stream must be'} {what}")
            if streams and get_origin(signature.returns) is None:
                raise WrongDeclaration(f"{self.plural}.{verb}: a stream returns an AsyncIterator of a type")
            summary = _DECISIONS.sub("", inspect.getdoc(handler) or "")
            return self._add(verb, method, path, signature=signature, summary=summary, handler=handler, **declared)

        return declare

    def query(
        self,
        path: str,
        *,
        needs: Role | None = None,
        view: str | None = None,
        links: tuple[str, ...] | Mapping[str, str] = (),
        discloses: bool = False,
        items: int | None = None,
    ) -> Callable[[F], Operation[F]]:
        """Declare a read that is more than rows; `items` is how long its lists may be."""
        return self._decorator("GET", path, needs=needs, status=200, view=view, links=links, discloses=discloses, items=items)

    def download(self, path: str, *, needs: Role | None = None) -> Callable[[F], Operation[F]]:
        """Declare the reading of a file, which is entered in the audit trail."""
        return self._decorator(
            "GET", path, carries="download", needs=needs, status=200, view=None, links=(), atomic=False, discloses=True
        )  # fmt: skip

    def upload(
        self,
        path: str,
        *,
        needs: Role | None = None,
        status: int = 201,
        view: str | None = None,
        links: tuple[str, ...] | Mapping[str, str] = (),
    ) -> Callable[[F], Operation[F]]:
        """Declare an action whose body is a file."""
        return self._decorator("POST", path, carries="upload", needs=needs, status=status, view=view, links=links, atomic=False)

    def stream(
        self, path: str, *, needs: Role | None = None, view: str | None = None, follows: Operation[Any] | None = None
    ) -> Callable[[F], Operation[F]]:
        """Declare a subscription, which REST serves as server-sent events."""
        declare = self._decorator("STREAM", path, needs=needs, status=200, view=view, links=(), follows=follows)

        def checked(handler: F) -> Operation[F]:
            operation = declare(handler)
            if follows is not None and (follows.kind, follows.path) != ("query", operation.path):
                raise WrongDeclaration(f"{operation.id}: a stream follows a query of its own path")
            if follows is not None and follows.signature.parameters != operation.signature.parameters:
                raise WrongDeclaration(f"{operation.id}: it takes other parameters than the query that it follows")
            return operation

        return checked

    def post(
        self,
        path: str = "",
        *,
        needs: Role | None = None,
        status: int = 201,
        view: str | None = None,
        links: tuple[str, ...] | Mapping[str, str] = (),
        atomic: bool = True,
        discloses: bool = False,
    ) -> Callable[[F], Operation[F]]:
        """Declare an action."""
        declared: dict[str, Any] = {"needs": needs, "status": status, "view": view, "links": links}
        return self._decorator("POST", path, atomic=atomic, discloses=discloses, **declared)

    def patch(
        self,
        path: str,
        *,
        needs: Role | None = None,
        view: str | None = None,
        links: tuple[str, ...] | Mapping[str, str] = (),
        atomic: bool = True,
    ) -> Callable[[F], Operation[F]]:
        """Declare a change."""
        return self._decorator("PATCH", path, needs=needs, status=200, view=view, links=links, atomic=atomic)

    def put(self, path: str, *, needs: Role | None = None, view: str | None = None) -> Callable[[F], Operation[F]]:
        """Declare a replacement."""
        return self._decorator("PUT", path, needs=needs, status=200, view=view, links=())

    def delete(self, path: str, *, needs: Role | None = None) -> Callable[[F], Operation[F]]:
        """Declare a removal."""
        return self._decorator("DELETE", path, needs=needs, status=204, view=None, links=())
