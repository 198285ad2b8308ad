// An OpenID provider, certified as such, with forms that let anybody log in under any name and password.
//
// Argument: {"port", "client_id", "client_secret", "redirect_uri"} as JSON. Whoever logs in as `name` is called so, has the verified address
// `name@corp.example`, and belongs to the group `name-group`; these are told at the userinfo endpoint. A line comes out once it listens.

import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const HOST = '127.0.0.1';
const { port, client_id, client_secret, redirect_uri } = JSON.parse(process.argv[2]);

const provider = new Provider(`http://${HOST}:${port}`, {
  clients: [{ client_id, client_secret, redirect_uris: [redirect_uri], grant_types: ['authorization_code'], response_types: ['code'] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'groups'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@corp.example`, email_verified: true, preferred_username: id, groups: [`${id}-group`] }),
  }),
  cookies: { keys: ['of this test alone'] },
});

createServer(provider.callback()).listen(port, HOST, () => console.log('listening'));
