"""What the compiler knows of each field of the schema: whose it is, where its data comes from, where it leads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationType,
    get_named_type,
    is_non_null_type,
)
from strawberry.types.field import StrawberryField

from schema.access import Role
from schema.fields import Column, Computed, Count, Entity, Extreme, Listing, One, Realm, Source, WrongDeclaration, columns_of, entity_of
from schema.names import api_name
from schema.operation import Operation


@dataclass(frozen=True)
class Declared:
    """A field, as its declaration says."""

    name: str
    """`Application.deployments`; cursors name their list by it."""
    python_name: str
    owner: Entity | None
    source: Source | None
    target: Entity | None


@dataclass(frozen=True)
class Catalog:
    """The schema as the compiler reads it."""

    schema: GraphQLSchema
    entities: Mapping[str, Entity]
    """By the names of their types."""
    operations: Mapping[tuple[str, str], Operation[Any]]
    """By kind and name of their root fields."""
    fields: Mapping[tuple[str, str], Declared]
    """By type and name."""

    def root(self, kind: str) -> GraphQLObjectType:
        """The root type of `query`, `mutation` or `subscription`. Raises `WrongDeclaration` when the schema has none."""
        found = self.schema.get_root_type(OperationType(kind))
        if found is None:
            raise WrongDeclaration(f"there is no {kind} type")
        return found

    def target(self, type_: Any) -> Entity | None:
        """The entity that a type, or the nodes of a page, belong to."""
        return _target(get_named_type(type_), self.entities)


def catalog(schema: GraphQLSchema, entities: Mapping[str, Entity], operations: Iterable[Operation[Any]]) -> Catalog:
    """Read the schema.

    Raises `WrongDeclaration` for a relation without its column, a column that can be null where the field cannot, an enum
    whose members are stored by other names, and for what a plan would skip: permission classes, extensions, resolvers.
    """
    fields: dict[tuple[str, str], Declared] = {}
    root_types = {schema.query_type, schema.mutation_type, schema.subscription_type}
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLEnumType):
            _check_enum(type_)
        if not isinstance(type_, GraphQLObjectType) or type_ in root_types or type_.name.startswith("__"):
            continue
        for name, field in type_.fields.items():
            definition: StrawberryField = field.extensions["strawberry-definition"]
            source = definition.metadata.get("source")
            target = entity_of(source.of()) if isinstance(source, Count | Extreme) else _target(get_named_type(field.type), entities)
            declared = Declared(f"{type_.name}.{name}", definition.python_name, entities.get(type_.name), source, target)
            _check(declared, definition, is_non_null_type(field.type))
            fields[type_.name, name] = declared
    roots = {(each.kind, each.graphql_name): each for each in operations if each.is_root_field}
    return Catalog(schema, entities, roots, fields)


def answer_type(catalog: Catalog, operation: Operation[Any]) -> GraphQLOutputType:
    """The type of an operation's field: one of a root type, or of a row's relation; of an upload, which has none, that of its row.

    Raises `WrongDeclaration` when no entity stands for that.
    """
    if operation.uploads:
        return _row_type(catalog, operation)
    return answer_field(catalog, operation).type


def _row_type(catalog: Catalog, operation: Operation[Any]) -> GraphQLOutputType:
    model = operation.signature.returns
    for title, entity in catalog.entities.items():
        found = catalog.schema.get_type(title)
        if entity.model is model and isinstance(found, GraphQLObjectType):
            return GraphQLNonNull(found)
    raise WrongDeclaration(f"{operation.id}: no entity stands for {model.__name__}")


def answer_field(catalog: Catalog, operation: Operation[Any]) -> GraphQLField:
    """The field that an operation is in GraphQL."""
    root = catalog.root(operation.kind)
    found: GraphQLField = root.fields[operation.graphql_name if operation.relation is None else operation.chapter.singular]
    if operation.lists_relation and operation.relation:
        named: Any = get_named_type(found.type)
        found = named.fields[api_name(operation.relation)]
    return found


def _target(named: Any, entities: Mapping[str, Entity]) -> Entity | None:
    if named.name not in entities and isinstance(named, GraphQLObjectType) and "nodes" in named.fields:
        named = get_named_type(named.fields["nodes"].type)
    return entities.get(named.name)


def _check(declared: Declared, definition: StrawberryField, non_null: bool) -> None:
    name, owner, source = f"{declared.name.partition('.')[0]}.{declared.python_name}", declared.owner, declared.source
    if definition.permission_classes or definition.extensions:
        raise WrongDeclaration(f"{name}: a field says what it takes by needs, not by permission classes or extensions")
    if source is None and definition.base_resolver is not None:
        raise WrongDeclaration(f"{name}: a field is declared, not resolved")
    unruled = owner is None or owner.realm is Realm.person
    if isinstance(source, Column | Computed) and source.needs > Role.viewer and unruled:
        raise WrongDeclaration(f"{name}: there is no row here that says who may read it")
    if isinstance(source, Column | None) and owner is not None and non_null and column_kind(owner, declared.python_name).null:
        raise WrongDeclaration(f"{name}: the column can be null, the field cannot")
    if isinstance(source, One | Listing | Count | Extreme):
        _check_relation(name, declared, source)


def _check_relation(name: str, declared: Declared, source: One | Listing | Count | Extreme) -> None:
    if declared.target is None:
        raise WrongDeclaration(f"{name}: a relation leads to an entity")
    points = isinstance(source, One) and not source.order
    holder = declared.owner if points else declared.target
    if source.fk not in (columns_of(holder.model) if holder else ()):
        raise WrongDeclaration(f"{name}: no column '{source.fk}' in {holder.model.__name__ if holder else 'it'}")
    if isinstance(source, Listing):
        for each in (source.default.lstrip("-"), *source.sort, *(each.column for each in source.filters.values())):
            if each not in columns_of(declared.target.model):
                raise WrongDeclaration(f"{name}: no column '{each}' in {declared.target.model.__name__}")


def column_kind(entity: Entity, name: str) -> Any:
    """The Tortoise field of a column; of one that points to another row, also before the models are connected, the relation's."""
    fields = entity.model._meta.fields_map
    return fields[name] if name in fields else fields[name.removesuffix("_id")]


def _check_enum(type_: GraphQLEnumType) -> None:
    definition = type_.extensions.get("strawberry-definition")
    members = definition.wrapped_cls if definition and issubclass(definition.wrapped_cls, str) else ()
    if any(member.name != member.value for member in members):
        raise WrongDeclaration(f"{type_.name}: a member is stored by another name than it is shown by")
