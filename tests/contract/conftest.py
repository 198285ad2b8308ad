"""The state that the specification's examples are sent to."""

import httpx2
import pytest

from models import passwords
from tests.contract.state import PASSWORD, State, made


@pytest.fixture(scope="session")
async def password_hash() -> str:
    """The hash of everybody's password, computed once."""
    return await passwords.hashed(PASSWORD)


@pytest.fixture
async def state(gateway: httpx2.AsyncClient, password_hash: str) -> State:
    return await made(gateway, password_hash)
