"""Views: what REST shows of an operation's answer, compiled when the surface is bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import SelectionSetNode

from schema.context import Context
from schema.documents.outline import Selection
from schema.links import Link
from schema.names import api_name
from schema.operation import Operation
from schema.page import LARGEST
from schema.plan.build import Sight
from schema.plan.catalog import Catalog, answer_field, answer_type
from schema.plan.compile import Function, answered
from schema.plan.document import Document
from schema.plan.execute import called, sight_of
from schema.plan.select import Scope
from schema.plan.values import Trouble

PART = "part"
WORDS = {"first": "limit", "after": "cursor", "last": "limit", "before": "cursor"}
"""What REST calls the arguments of a page."""
SIGHTS = (Sight.everything, Sight.some, Sight.nothing)


@dataclass(frozen=True)
class View:
    """What REST shows of an operation's answer: the plan of a canned document, or of the value that its function returns."""

    shape: Selection
    document: Document | None
    functions: Mapping[Sight, Function]
    part: bool = False
    """Whether the document reads a row for one of its relations."""

    async def read(self, values: Mapping[str, Any], context: Context) -> Any:
        """The JSON value of a read. Raises what went wrong."""
        if self.document is None:
            raise TypeError("this view shows what a function returns")
        plan = self.document.plan(values, sight_of(context))
        if plan.reads is None:
            raise TypeError(self.document.text)
        trouble: Trouble = []
        (found,) = (await called(plan.reads, values, context, trouble)).values()
        _settle(trouble)
        return found[PART] if self.part else found

    def pure(self, context: Context) -> bool:
        """Whether what it shows depends on nothing but the value."""
        return self.functions[sight_of(context)].pure

    async def show(self, value: Any, context: Context) -> Any:
        """The JSON value of what an operation's function returned. Raises what went wrong."""
        trouble: Trouble = []
        found = await called(self.functions[sight_of(context)], {}, context, trouble, value)
        _settle(trouble)
        return found


def _settle(trouble: Trouble) -> None:
    """Raise what went wrong, if anything did: REST has no partial answers."""
    for error in trouble:
        raise error or TypeError("a value is missing where none may be")


def view_of(
    catalog: Catalog, operation: Operation[Any], shape: Selection, sets: SelectionSetNode, text: str, links: tuple[Link, ...]
) -> View:
    """Compile the view of an operation; `text` selects what `sets` are, links aside. Raises when it does not compile."""
    if operation.kind == "query" and operation.handler is None:
        document = Document(catalog, _canned(catalog, operation, text), None, links, WORDS)
        for sight in SIGHTS:
            document.plan({"id": "", "first": LARGEST}, sight)
        return View(shape, document, {}, operation.lists_relation)
    scope, type_ = Scope(catalog.schema, {}, {}), answer_type(catalog, operation)
    return View(shape, None, {sight: answered(catalog, scope, type_, [sets], sight, links=links) for sight in SIGHTS})


def _canned(catalog: Catalog, operation: Operation[Any], text: str) -> str:
    """A document that reads what an operation reads, each argument a variable."""
    arguments = {name: str(argument.type) for name, argument in answer_field(catalog, operation).args.items()}
    passed = ", ".join(f"{name}: ${name}" for name in arguments)
    if operation.lists_relation and operation.relation:
        arguments["id"] = "ID!"
        answer = f"{operation.chapter.singular}(id: $id) {{ {PART}: {api_name(operation.relation)}({passed}) {{ {text} }} }}"
    else:
        name = operation.graphql_name if operation.relation is None else operation.chapter.singular
        answer = f"{name}({passed}) {{ {text} }}"
    declared = ", ".join(f"${name}: {type_}" for name, type_ in arguments.items())
    return f"query({declared}) {{ answer: {answer} }}"
