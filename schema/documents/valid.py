"""Whether a document can be run."""

from graphql import DocumentNode, GraphQLSchema, parse, validate

from models.document_limits import DocumentLimits
from schema.documents.extent import parsed
from schema.documents.refused import Refused

MOST_PROBLEMS = 20


def valid(schema: GraphQLSchema, text: str, limits: DocumentLimits) -> DocumentNode:
    """The tree of a valid document, without locations. Raises `Refused` with all that is wrong, and where."""
    tree = parsed(text, limits)
    if validate(schema, tree, max_errors=MOST_PROBLEMS, hide_suggestions=True):
        raise Refused(validate(schema, parse(text), max_errors=MOST_PROBLEMS, hide_suggestions=True))
    return tree
