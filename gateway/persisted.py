"""Persisted documents: a name instead of a text.

Automatically, as Apollo's clients do it: a document is asked for by its SHA-256, and sent once when nobody knows it. Or out of a list
(`DOKPLOY_GRAPHQL_DOCUMENTS`): then nothing else is run. `documentId` is a name of the list, or `sha256:` and the hash (GraphQL over HTTP,
"Persisted Documents").
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.graphql import Asking
from models import valkey
from models.document_limits import DocumentLimits
from schema.context import Context
from schema.documents.refused import Refused, refusal
from schema.documents.valid import valid
from schema.errors import InvalidInput
from schema.plan.catalog import Catalog
from schema.recent import Recent

log = structlog.get_logger()

KEPT = 1_000_000
"""Characters of the documents that a process remembers."""
STORED = 8_000_000
"""Bytes of the documents that all gateways remember; those that were used longest ago go first."""
EVERY_ENTRY = 500
"""Bytes that each takes beside its text."""
TEXTS, USED, WEIGHT = (f"dokploy:documents:{name}" for name in ("texts", "used", "weight"))
KEEP = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
    redis.call('INCRBY', KEYS[3], #ARGV[2] + ARGV[4])
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] .. string.format('%06d', time[2]), ARGV[1])
while tonumber(redis.call('GET', KEYS[3])) > tonumber(ARGV[3]) do
    local oldest = redis.call('ZPOPMIN', KEYS[2])[1]
    if not oldest then
        redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
        return
    end
    redis.call('DECRBY', KEYS[3], redis.call('HSTRLEN', KEYS[1], oldest) + ARGV[4])
    redis.call('HDEL', KEYS[1], oldest)
end
"""
FIND = """
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[2], time[1] .. string.format('%06d', time[2]), ARGV[1])
end
return text
"""
_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = "sha256:"
_FORMAT = "apollo-persisted-query-manifest"

Documents = Mapping[str, str]
"""Texts by name."""


class BadList(ValueError):
    """The list of documents cannot be used."""


def listed(path: Path | None, catalog: Catalog, limits: DocumentLimits) -> Documents | None:
    """The documents of a file: a JSON object of texts by name, or Apollo's manifest. Raises `BadList`."""
    if path is None:
        return None
    try:
        found = _texts(msgspec.json.decode(path.read_bytes()))
    except OSError as error:
        raise BadList(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadList(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise BadList(f"{path} holds neither texts by name nor an {_FORMAT}") from error
    for name, text in found.items():
        if _HASH.fullmatch(name) and name != hashed(text):
            raise BadList(f"{path}: {name} is not the hash of its document")
        try:
            valid(catalog.schema, text, limits)
        except Refused as error:
            raise BadList(f"{path}: {name}: {error}") from error
    return found


def _texts(content: Any) -> dict[str, str]:
    if content.get("format") == _FORMAT:
        return msgspec.convert({each["id"]: each["body"] for each in content["operations"]}, dict[str, str])
    return msgspec.convert(content, dict[str, str])


def hashed(text: str) -> str:
    """The name that a document has by itself."""
    return hashlib.sha256(text.encode()).hexdigest()


class Hash(msgspec.Struct):
    """What Apollo's clients say of a document."""

    version: int
    sha256Hash: str  # noqa: N815 (the protocol's name)


class Persisted:
    """Finds the text of what is asked for by name."""

    def __init__(self, documents: Documents | None) -> None:
        self._documents = None if documents is None else {hashed(text): text for text in documents.values()} | dict(documents)
        self._known: Recent[str, str] = Recent(KEPT)

    async def resolved(self, asked: Asking) -> Asking:
        """What is asked for, with its text. Raises `InvalidInput` when nothing is, `Refused` for what is not known or not allowed."""
        name = _name_of(asked)
        if self._documents is not None:
            return _out_of(self._documents, asked, name)
        if name is None:
            if not asked.query:
                raise InvalidInput("The query is missing.")
            return asked
        if not _HASH.fullmatch(name):
            raise refusal("There is no list of documents.", "DOCUMENT_NOT_FOUND")
        if not asked.query:
            return msgspec.structs.replace(asked, query=await self._text(name))
        if hashed(asked.query) != name:
            raise refusal("The hash is not that of the query.", "PERSISTED_QUERY_HASH_MISMATCH")
        return asked

    async def keep(self, asked: Asking, context: Context) -> None:
        """Remember a valid document that somebody who is logged in has sent with its hash; while Redis is away, in this process."""
        name = _name_of(asked)
        if self._documents is not None or not asked.query or name is None or context.user is None:
            return
        self._known.put(name, asked.query, len(asked.query) + EVERY_ENTRY)
        try:
            await valkey.client().eval(KEEP, 3, TEXTS, USED, WEIGHT, name, asked.query, STORED, EVERY_ENTRY)
        except valkey.AWAY as error:
            log.warning("persisted.redis_away", error=str(error))

    async def _text(self, name: str) -> str:
        text = self._known.get(name)
        if text is None:
            text = await _found(name)
            self._known.put(name, text, len(text) + EVERY_ENTRY)
        return text


def _out_of(documents: Documents, asked: Asking, name: str | None) -> Asking:
    if name is None:
        if asked.query not in documents.values():
            raise refusal("Only the documents of a list are run here.", "DOCUMENT_NOT_ALLOWED")
        return asked
    text = documents.get(name)
    if text is None or asked.query not in ("", text):
        raise refusal("The list has no such document.", "DOCUMENT_NOT_FOUND")
    return msgspec.structs.replace(asked, query=text)


def _name_of(asked: Asking) -> str | None:
    """The name of the list or the hash that is given. Raises `InvalidInput`, and `Refused` for a hash that is none."""
    if asked.documentId is not None:
        return asked.documentId.removeprefix(_PREFIX)
    given = (asked.extensions or {}).get("persistedQuery")
    if given is None:
        return None
    try:
        found = msgspec.convert(given, Hash)
    except msgspec.MsgspecError as error:
        raise InvalidInput("extensions.persistedQuery is not {version, sha256Hash}.") from error
    if found.version != 1 or not _HASH.fullmatch(found.sha256Hash):
        raise refusal("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")
    return found.sha256Hash


async def _found(name: str) -> str:
    """The text of a document that was sent before. Raises `Refused` in the words that clients know."""
    try:
        text = await valkey.client().eval(FIND, 2, TEXTS, USED, name)
    except valkey.AWAY as error:
        log.warning("persisted.redis_away", error=str(error))
        text = None
    if not isinstance(text, bytes):
        raise refusal("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
    return text.decode()
