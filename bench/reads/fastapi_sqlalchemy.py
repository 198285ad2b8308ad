"""The same REST reads by FastAPI, SQLAlchemy and pydantic, as they are usually written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, computed_field
from pydantic.alias_generators import to_camel
from sqlalchemy import URL, ColumnElement, DateTime, ForeignKey, Select, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from models.database import credentials
from models.secrets import token_key
from models.settings import settings


class Base(DeclarativeBase):
    """The tables, as far as they are read here."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 (as SQLAlchemy has it)


class Account(Base):
    __tablename__ = "account"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]


class LoginSession(Base):
    __tablename__ = "session"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    expires_at: Mapped[datetime]


class Membership(Base):
    __tablename__ = "membership"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))


class Project(Base):
    __tablename__ = "project"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    team_id: Mapped[UUID | None]
    deleted_at: Mapped[datetime | None]


class Application(Base):
    __tablename__ = "application"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    image: Mapped[str | None]
    status: Mapped[str]
    replicas: Mapped[int]
    health_status: Mapped[str]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Deployment(Base):
    __tablename__ = "deployment"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    application_id: Mapped[UUID] = mapped_column(ForeignKey("application.id"))
    status: Mapped[str]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


_newest = (
    select(Deployment)
    .where(Deployment.application_id == Application.id, Deployment.deleted_at.is_(None))
    .order_by(Deployment.id.desc())
    .limit(1)
    .correlate(Application)
    .lateral("last_deployment")
)
Last = aliased(Deployment, _newest)


class Answer(BaseModel):
    """A model that is printed in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class LastDeployment(Answer):
    id: UUID
    status: str
    created_at: datetime


class Item(Answer):
    id: UUID
    name: str
    project_id: UUID
    image: str | None
    status: str
    replicas: int
    health_status: str
    created_at: datetime
    last_deployment: LastDeployment | None

    @computed_field(alias="_links")
    @property
    def links(self) -> dict[str, str]:
        return {"self": f"/api/applications/{self.id}", "deploy": f"/api/applications/{self.id}/deploy"}


class Pagination(Answer):
    has_more: bool
    next_cursor: str | None
    prev_cursor: str | None = None
    total: int
    total_capped: bool = False


class Page(Answer):
    data: list[Item]
    pagination: Pagination


_given = credentials(settings().database_url)
_url = URL.create("postgresql+asyncpg", _given["user"], _given["password"], database=_given["database"], query={"host": _given["host"]})
_engine = create_async_engine(_url, pool_size=8, max_overflow=0)
_session = async_sessionmaker(_engine, expire_on_commit=False)
_bearer = HTTPBearer()


async def session() -> AsyncIterator[AsyncSession]:
    """A session of the database for one request."""
    async with _session() as opened:
        yield opened


Database = Annotated[AsyncSession, Depends(session)]


async def caller(database: Database, given: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)]) -> Account:
    """Whoever the token names, as long as their session lasts."""
    try:
        claims = jwt.decode(given.credentials, token_key(), algorithms=["HS256"], audience="dokploy", issuer="dokploy")
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    found = await database.scalar(
        select(Account)
        .join(LoginSession, LoginSession.user_id == Account.id)
        .where(LoginSession.id == UUID(claims["jti"]), LoginSession.expires_at > datetime.now(UTC))
    )
    if found is None:
        raise HTTPException(401)
    return found


Caller = Annotated[Account, Depends(caller)]


def _visible(user: Account) -> ColumnElement[bool]:
    if user.role in ("owner", "admin"):
        return true()
    teams = select(Membership.team_id).where(Membership.user_id == user.id)
    projects = select(Project.id).where(or_(Project.owner_id == user.id, Project.team_id.in_(teams)), Project.deleted_at.is_(None))
    return Application.project_id.in_(projects)


def _with_last(user: Account) -> Select[Any]:
    return select(Application, Last).outerjoin(Last, true()).where(Application.deleted_at.is_(None), _visible(user))


def _item(application: Application, last: Deployment | None) -> Item:
    return Item.model_validate({**{name: getattr(application, name) for name in _COLUMNS}, "last_deployment": last})


_COLUMNS = ("id", "name", "project_id", "image", "status", "replicas", "health_status", "created_at")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await _engine.dispose()


app = FastAPI(lifespan=_lifespan)


@app.get("/api/applications", response_model=Page)
async def applications(database: Database, user: Caller, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Page:
    """A page of applications."""
    newest = _with_last(user).order_by(Application.created_at.desc(), Application.id.desc()).limit(limit + 1)
    rows = (await database.execute(newest)).all()
    total = await database.scalar(select(func.count()).select_from(Application).where(Application.deleted_at.is_(None), _visible(user)))
    more = len(rows) > limit
    return Page(
        data=[_item(*row) for row in rows[:limit]],
        pagination=Pagination(has_more=more, next_cursor="x" if more else None, total=total or 0),
    )


@app.get("/api/applications/{id}", response_model=Item)
async def application(database: Database, user: Caller, id: UUID) -> Item:
    """One application."""
    row = (await database.execute(_with_last(user).where(Application.id == id))).one_or_none()
    if row is None:
        raise HTTPException(404)
    return _item(*row)
