"""A login by an OpenID provider that begins at one gateway and ends at another."""

import json

import httpx2

from gateway.embedded.stack import Stack
from tests.services.conftest import Api
from tests.services.gateways import gateways
from tests.services.hostile_provider import hostile


async def test_any_gateway_takes_a_browser_back_but_only_one_of_them_and_once(api: Api, stack: Stack) -> None:
    async with hostile() as provider:
        environment = {"DOKPLOY_OIDC": json.dumps([provider.settings()]), "DOKPLOY_RATE_LIMITS": "off"}
        async with gateways(stack, 2, **environment) as (first, second), httpx2.AsyncClient() as browser:
            begun = await browser.get(f"{first.url}/api/auth/oidc/login", params={"provider": "corp"})
            cookie = begun.headers["set-cookie"].partition(";")[0]
            back = provider.authorized(begun.headers["location"])
            answers = [
                await browser.get(f"{each.url}/api/auth/oidc/callback", params=back, headers={"Cookie": cookie})
                for each in (second, first, second)
            ]
            assert [each.status_code for each in answers] == [200, 401, 401]
            token = answers[0].json()["token"]
            me = await browser.get(f"{first.url}/api/users/me", headers={"Authorization": f"Bearer {token}"})
            assert me.json()["username"] == "alice"
