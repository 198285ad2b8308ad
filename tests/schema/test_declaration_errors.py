"""Each wrong declaration fails, when its chapter is imported or the surface is bound, with a sentence that names it."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

import pytest
import strawberry

import models
from schema.access import Role
from schema.context import Context
from schema.fields import Node, Realm, WrongDeclaration, column, computed, count, entity, entity_of, one, page
from schema.files import Content, File
from schema.inputs import Input
from schema.page import Page, sorting
from schema.resource import Resource
from schema.surface import bind


@entity(models.Team, scope="id")
class Thing:
    """A type to declare operations about."""

    id: strawberry.ID
    name: str


def things() -> Resource:
    return Resource("thing", Thing)


async def act(ctx: Context, thing: models.Team) -> models.Team:
    """Act."""
    return thing


def test_an_operation_without_needs() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.act: needs must say which role it takes$"):
        things().post("/{id}/act")(act)


def test_a_list_without_needs() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.list: needs must say which role it takes$"):
        things().list(view="id")


def test_a_path_without_its_parameter() -> None:
    async def forgotten(ctx: Context) -> models.Team:
        """Act."""
        raise NotImplementedError

    with pytest.raises(WrongDeclaration, match=r"^things\.forgotten: rows in the path /things/\{id\}/act: 1, taken by the function: 0$"):
        things().post("/{id}/act", needs=Role.viewer)(forgotten)


def test_a_parameter_without_its_path() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.act: rows in the path /things: 0, taken by the function: 1$"):
        things().post(needs=Role.viewer)(act)


def test_a_view_naming_an_unknown_field() -> None:
    chapter = things()
    chapter.list(needs=Role.viewer, view="id statsu")
    with pytest.raises(WrongDeclaration, match=r"^things\.list: Cannot query field 'statsu' on type 'Thing'"):
        bind((chapter,), (Thing,))


def test_a_view_that_is_no_selection() -> None:
    chapter = things()
    chapter.list(needs=Role.viewer, view="id {")
    with pytest.raises(WrongDeclaration, match=r"^things\.list: .*Syntax Error"):
        bind((chapter,), (Thing,))


def test_a_row_that_no_entity_stands_for() -> None:
    async def take(ctx: Context, user: models.User) -> models.Team:
        """Act."""
        raise NotImplementedError

    chapter = things()
    chapter.list(needs=Role.viewer, view="id")
    chapter.post("/{id}/take", needs=Role.viewer, view="id")(take)
    with pytest.raises(WrongDeclaration, match=r"^things\.take: no entity stands for User$"):
        bind((chapter,), (Thing,))


def test_a_link_to_a_row_whose_id_the_answer_lacks() -> None:
    chapter, others = things(), Resource("other", Thing)
    others.get(needs=Role.viewer, view="id")
    chapter.list(needs=Role.viewer, view="id", links={"other": "others.get"})
    with pytest.raises(WrongDeclaration, match=r"^things\.list: Cannot query field 'otherId' on type 'Thing'"):
        bind((chapter, others), (Thing,))


def test_an_operation_declared_twice() -> None:
    chapter = things()
    chapter.list(needs=Role.viewer, view="id")
    with pytest.raises(WrongDeclaration, match=r"^things\.list: declared twice$"):
        chapter.list(needs=Role.viewer, view="id")


def test_an_operation_without_a_docstring() -> None:
    async def silent(ctx: Context) -> None:
        pass

    with pytest.raises(WrongDeclaration, match=r"^things\.silent: the docstring must say what it does$"):
        things().post(needs=Role.member)(silent)


def test_a_function_without_its_context() -> None:
    async def lost(input: Input) -> None:
        """Act."""

    with pytest.raises(WrongDeclaration, match=r"^things\.lost: the first parameter must be ctx$"):
        things().post(needs=Role.member)(lost)


def test_a_parameter_without_a_type() -> None:
    async def vague(ctx: Context, deep) -> None:  # type: ignore[no-untyped-def]
        """Act."""

    with pytest.raises(WrongDeclaration, match=r"^things\.vague: parameter 'deep' has no type$"):
        things().post(needs=Role.member)(vague)


def test_an_input_that_is_no_input() -> None:
    async def odd(ctx: Context, input: dict[str, Any]) -> None:
        """Act."""

    with pytest.raises(WrongDeclaration, match=r"^things\.odd: input must be an Input$"):
        things().post(needs=Role.member)(odd)


def test_a_function_that_does_not_say_what_it_returns() -> None:
    async def quiet(ctx: Context):  # type: ignore[no-untyped-def]
        """Act."""

    with pytest.raises(WrongDeclaration, match=r"^things\.quiet: the function does not say what it returns$"):
        things().post(needs=Role.member)(quiet)


def test_a_stream_that_is_no_generator() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.act: a stream must be an async generator, or a function that returns one$"):
        things().stream("/{id}/act", needs=Role.viewer)(act)


def test_a_generator_that_is_no_stream() -> None:
    async def flow(ctx: Context, thing: models.Team) -> AsyncIterator[int]:
        """Act."""
        yield 1

    with pytest.raises(WrongDeclaration, match=r"^things\.flow: only a stream is an async generator, or a function that returns one$"):
        things().query("/{id}/flow", needs=Role.viewer)(flow)


def test_a_download_that_returns_no_file() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.act: a download returns a File$"):
        things().download("/{id}/act", needs=Role.viewer)(act)


def test_a_file_that_is_no_download() -> None:
    async def take(ctx: Context, thing: models.Team) -> File:
        """Act."""
        raise NotImplementedError

    with pytest.raises(WrongDeclaration, match=r"^things\.take: only a download returns a File$"):
        things().query("/{id}/take", needs=Role.viewer)(take)


def test_an_upload_that_takes_no_content() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.act: an upload takes a Content$"):
        things().upload("/{id}/act", needs=Role.viewer)(act)


def test_content_that_is_no_upload() -> None:
    async def give(ctx: Context, content: Content) -> models.Team:
        """Act."""
        raise NotImplementedError

    with pytest.raises(WrongDeclaration, match=r"^things\.give: only an upload takes a Content$"):
        things().post(needs=Role.member)(give)


def test_an_upload_with_an_input() -> None:
    async def give(ctx: Context, content: Content, input: Input) -> models.Team:
        """Act."""
        raise NotImplementedError

    with pytest.raises(WrongDeclaration, match=r"^things\.give: the body is an input or a Content, not both$"):
        things().upload("", needs=Role.member)(give)


def test_an_upload_that_returns_no_row() -> None:
    async def give(ctx: Context, content: Content) -> None:
        """Act."""

    with pytest.raises(WrongDeclaration, match=r"^things\.give: an upload returns a row$"):
        things().upload("", needs=Role.member)(give)


def test_an_upload_whose_row_no_entity_stands_for() -> None:
    async def give(ctx: Context, content: Content) -> models.User:
        """Act."""
        raise NotImplementedError

    chapter = things()
    chapter.list(needs=Role.viewer, view="id")
    chapter.upload("", needs=Role.member, view="id")(give)
    with pytest.raises(WrongDeclaration, match=r"^things\.give: no entity stands for User$"):
        bind((chapter,), (Thing,))


def test_a_sort_by_what_is_no_column() -> None:
    with pytest.raises(WrongDeclaration, match=r"^things\.list: 'height' is no column$"):
        things().list(needs=Role.viewer, view="id", sort=sorting("thing", "height"))


def test_a_filter_by_what_is_no_column() -> None:
    class Filters:
        height: int

    with pytest.raises(WrongDeclaration, match=r"^things\.list: 'height' is no column$"):
        things().list(needs=Role.viewer, view="id", filters=Filters)


def test_a_list_of_a_chapter_without_a_type() -> None:
    with pytest.raises(WrongDeclaration, match=r"^odds\.list: the chapter has no type$"):
        Resource("odd").list(needs=Role.viewer, view="id")


def test_a_field_that_is_no_column() -> None:
    with pytest.raises(WrongDeclaration, match=r"^Wrong\.height: no such column in Team$"):

        @entity(models.Team, scope="id")
        class Wrong:
            id: strawberry.ID
            height: int


def test_a_scope_that_is_no_column() -> None:
    with pytest.raises(WrongDeclaration, match=r"^Wrong: scope 'project_id' is no column of Team$"):

        @entity(models.Team, scope="project_id")
        class Wrong:
            id: strawberry.ID


def test_a_computed_field_of_what_is_no_column() -> None:
    with pytest.raises(WrongDeclaration, match=r"^Wrong\.size: no column 'height' in Team$"):

        @entity(models.Team, scope="id")
        class Wrong:
            id: strawberry.ID
            size: int = computed(len, "height")


def test_a_type_that_is_no_entity() -> None:
    with pytest.raises(WrongDeclaration, match=r"^Context is not an entity$"):
        entity_of(Context)


def test_a_relation_by_what_is_no_column_of_either_side() -> None:
    @entity(models.Project, scope="id")
    class Left:
        id: strawberry.ID
        right: Thing | None = one("right_id")

    chapter = Resource("left", Left)
    chapter.list(needs=Role.viewer, view="id")
    with pytest.raises(WrongDeclaration, match=r"^Left\.right: no column 'right_id' in Project$"):
        bind((chapter,), (Left, Thing))


def bound(type_: type) -> None:
    chapter = Resource("odd", type_)
    chapter.list(needs=Role.viewer, view="id")
    bind((chapter,), (type_,))


def test_a_column_that_can_be_null_under_a_field_that_cannot() -> None:
    @entity(models.Project, scope="id")
    class Odd(Node):
        team_id: strawberry.ID

    with pytest.raises(WrongDeclaration, match=r"^Odd\.team_id: the column can be null, the field cannot$"):
        bound(Odd)


def test_a_field_with_a_permission_class_that_nothing_would_ask() -> None:
    class Never(strawberry.BasePermission):
        def has_permission(self, source: Any, info: Any, **given: Any) -> bool:
            return False

    @entity(models.Project, scope="id")
    class Odd(Node):
        name: str = strawberry.field(permission_classes=[Never])

    with pytest.raises(WrongDeclaration, match=r"^Odd\.name: a field says what it takes by needs"):
        bound(Odd)


def test_a_field_with_a_resolver_that_nothing_would_call() -> None:
    @strawberry.type
    class Part:
        @strawberry.field
        def size(self) -> int:
            return 1

    @entity(models.Project, scope="id")
    class Odd(Node):
        part: Part = computed(len, "name")

    with pytest.raises(WrongDeclaration, match=r"^Part\.size: a field is declared, not resolved$"):
        bound(Odd)


def test_a_role_where_no_row_says_who_has_it() -> None:
    @entity(models.User, scope="id", realm=Realm.person)
    class Odd(Node):
        password_hash: str = column(needs=Role.admin)

    with pytest.raises(WrongDeclaration, match=r"^Odd\.password_hash: there is no row here that says who may read it$"):
        bound(Odd)


def test_an_enum_stored_by_other_names() -> None:
    @strawberry.enum
    class Mood(StrEnum):
        good = "fine"

    @entity(models.Project, scope="id")
    class Odd(Node):
        mood: Mood = computed(len, "name")

    with pytest.raises(WrongDeclaration, match=r"^Mood: a member is stored by another name than it is shown by$"):
        bound(Odd)


def test_a_relation_filtered_by_what_is_no_column() -> None:
    class Filters:
        height: int

    @entity(models.Team, scope="id", realm=Realm.team)
    class Odd(Node):
        projects: Page[Thing] = page("-created_at", fk="id", filters=Filters)

    with pytest.raises(WrongDeclaration, match=r"^Odd\.projects: no column 'height' in Team$"):
        chapter = Resource("odd", Odd)
        chapter.list(needs=Role.viewer, view="id")
        bind((chapter,), (Odd, Thing))


def test_a_count_by_what_is_no_column() -> None:
    @entity(models.Project, scope="id")
    class Odd(Node):
        size: int = count(lambda: Thing, "odd_id")

    with pytest.raises(WrongDeclaration, match=r"^Odd\.size: no column 'odd_id' in Team$"):
        chapter = Resource("odd", Odd)
        chapter.list(needs=Role.viewer, view="id")
        bind((chapter,), (Odd, Thing))
