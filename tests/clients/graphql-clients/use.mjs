// Uses a GraphQL server as clients do, each as it comes: a query, a mutation, a list page by page, and a subscription.
//
// Arguments: the client's name, and {"url", "token", "name", "deployment"} as JSON. One JSON object comes out:
// {"me": username, "made": name of the new project, "pages": [[name, …], …], "events": [seq, …], "refused": code of an error}.

import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { createPersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { relayStylePagination } from '@apollo/client/utilities';
import { Client as UrqlClient, fetchExchange } from '@urql/core';
import { createHash } from 'node:crypto';
import { createClient as createSseClient } from 'graphql-sse';
import { meros } from 'meros/browser';

const ME = 'query Me { me { username } }';
const MAKE = 'mutation Make($name: String!) { createProject(input: { name: $name }) { id name } }';
const PAGE = `query Page($after: String) {
  projects(first: 2, after: $after, sort: name, order: asc) { edges { cursor node { id name } } pageInfo { hasNextPage endCursor } }
}`;
const EVENTS = 'subscription Events($id: ID!) { deploymentEvents(deploymentId: $id) { seq status } }';
const REFUSED = 'query Refused { application(id: "00000000-0000-0000-0000-000000000000") { id } }';

const [name, { url, token, name: project, deployment }] = [process.argv[2], JSON.parse(process.argv[3])];
const headers = { authorization: `Bearer ${token}` };

// What every client but Apollo's is asked, by two functions: one result, and results that follow each other.
async function used({ once, follow }) {
  const found = { pages: [], events: [] };
  found.me = (await once(ME, {})).data.me.username;
  found.made = (await once(MAKE, { name: project })).data.createProject.name;
  let after;
  do {
    const { edges, pageInfo } = (await once(PAGE, { after })).data.projects;
    found.pages.push(edges.map((edge) => edge.node.name));
    after = pageInfo.hasNextPage ? pageInfo.endCursor : undefined;
  } while (after);
  for await (const { data } of follow(EVENTS, { id: deployment })) found.events.push(data.deploymentEvents.seq);
  found.refused = (await once(REFUSED, {})).errors[0].extensions.code;
  return found;
}

async function sse(singleConnection) {
  const client = createSseClient({ url, headers, singleConnection, retryAttempts: 0 });
  const follow = (query, variables) => client.iterate({ query, variables });
  const once = async (query, variables) => {
    for await (const result of follow(query, variables)) return result;
  };
  const found = await used({ once, follow });
  client.dispose();
  return found;
}

async function multipart() {
  const asked = (query, variables) => ({
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', accept: 'multipart/mixed;subscriptionSpec=1.0, application/json' },
    body: JSON.stringify({ query, variables }),
  });
  const once = async (query, variables) => (await fetch(url, asked(query, variables))).json();
  async function* follow(query, variables) {
    for await (const part of await meros(await fetch(url, asked(query, variables)))) {
      if (!part.json) throw new Error(`no JSON: ${part.body}`);
      if (part.body.payload) yield part.body.payload;
    }
  }
  return used({ once, follow });
}

async function urql() {
  const client = new UrqlClient({ url, exchanges: [fetchExchange], fetchSubscriptions: true, fetchOptions: { headers }, preferGetMethod: false });
  const plain = ({ data, error }) => ({ data, errors: error?.graphQLErrors });
  const once = async (query, variables) => plain(await (query.startsWith('mutation') ? client.mutation(query, variables) : client.query(query, variables)).toPromise());
  async function* follow(query, variables) {
    const results = [];
    let over = false;
    let wake = () => {};
    client.subscription(query, variables).subscribe((result) => {
      results.push(plain(result));
      over ||= result.hasNext === false || Boolean(result.error);
      wake();
    });
    while (true) {
      while (results.length) {
        const result = results.shift();
        yield result;
        if (['success', 'failed', 'cancelled'].includes(result.data?.deploymentEvents.status)) return;
      }
      if (over) return;
      await new Promise((resolve) => { wake = resolve; });
    }
  }
  return used({ once, follow });
}

async function apollo(persisted) {
  const hashes = createPersistedQueryLink({ sha256: (text) => createHash('sha256').update(text).digest('hex') });
  const http = new HttpLink({ uri: url, headers });
  const cache = new InMemoryCache({ typePolicies: { Query: { fields: { projects: relayStylePagination(['sort', 'order']) } } } });
  const client = new ApolloClient({ cache, link: persisted ? hashes.concat(http) : http });
  const found = { pages: [], events: [] };
  found.me = (await client.query({ query: gql(ME) })).data.me.username;
  found.made = (await client.mutate({ mutation: gql(MAKE), variables: { name: project } })).data.createProject.name;
  const list = client.watchQuery({ query: gql(PAGE) });
  let { projects } = await new Promise((resolve) => list.subscribe(({ data, loading }) => loading || resolve(data)));
  found.pages.push(projects.edges.map((edge) => edge.node.name));
  while (projects.pageInfo.hasNextPage) {
    await list.fetchMore({ variables: { after: projects.pageInfo.endCursor } });
    const before = projects.edges.length;
    ({ projects } = client.readQuery({ query: gql(PAGE) }));
    found.pages.push(projects.edges.slice(before).map((edge) => edge.node.name));
  }
  await new Promise((resolve, reject) => {
    client.subscribe({ query: gql(EVENTS), variables: { id: deployment } }).subscribe({
      next: ({ data, error }) => (error ? reject(error) : found.events.push(data.deploymentEvents.seq)),
      error: reject,
      complete: resolve,
    });
  });
  const refused = await client.query({ query: gql(REFUSED), errorPolicy: 'all' });
  found.refused = refused.error.errors[0].extensions.code;
  client.stop();
  return found;
}

const clients = {
  'graphql-sse, distinct connections': () => sse(false),
  'graphql-sse, single connection': () => sse(true),
  meros: multipart,
  urql,
  apollo: () => apollo(false),
  'apollo, persisted queries': () => apollo(true),
};
process.stdout.write(`${JSON.stringify(await clients[name]())}\n`);
process.exit(0);
