"""Webhooks: pushes that become deployments. What a provider must be, and who they are.

A provider is one module with one frozen `Provider` (`contract.py`) and its place in `PROVIDERS`:

- It names the headers that carry the proof, the kind of event and the name of the delivery.
- `verify(value, body, secret)` looks at the raw bytes as they came, takes the same time wherever they differ from what they should be, and
  parses nothing. It is asked with the secret of one application at a time, and never with an empty one.
- `parse(event, document)` is asked only about what was verified. It reads the JSON by msgspec structs that name what is needed and nothing
  else, so that whatever does not fit raises `msgspec.DecodeError`, which is answered with 400. It returns a `Notice`: the URLs of the
  repository as keys, and either the branches that moved or the reason why nothing follows. It does not know any application.

`POST /api/webhooks/<name>`, its place in the OpenAPI document, matching, deliveries, limits and answers follow (`route.py`,
`schema/receiving.py`), and the suite `tests/services/test_webhooks.py` runs over it once it has payloads in `tests/webhooks/`.
"""

from typing import Final

from gateway.webhooks.bitbucket import BITBUCKET
from gateway.webhooks.contract import Provider
from gateway.webhooks.gitea import GITEA
from gateway.webhooks.github import GITHUB
from gateway.webhooks.gitlab import GITLAB

PROVIDERS: Final[tuple[Provider, ...]] = (GITHUB, GITLAB, GITEA, BITBUCKET)
