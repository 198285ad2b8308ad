// Uses the API as the npm client `graphql-ws` does: starts a deployment by a mutation, or takes one that there is, and follows its events.
//
// Arguments: {"url", "token", "application" or "deployment", "afterSeq"} as JSON. One JSON object per line comes out:
// {"deployment": id}, {"event": …} …, and at the end {"complete": true}, {"closed": {"code", "reason"}} or {"errors": […]}.

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const DEPLOY = `mutation Deploy($id: ID!, $input: DeployInput!) {
  deployApplication(id: $id, input: $input) { id status }
}`;
const EVENTS = `subscription Events($id: ID!, $after: Int!) {
  deploymentEvents(deploymentId: $id, afterSeq: $after) { seq timestamp kind status stage progress level message }
}`;

const { url, token, application, deployment, afterSeq } = JSON.parse(process.argv[2]);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function* results(client, query, variables) {
  for await (const { data, errors } of client.iterate({ query, variables })) {
    if (errors) throw errors;
    yield data;
  }
}

async function start(client) {
  for await (const data of results(client, DEPLOY, { id: application, input: {} })) {
    tell({ deployment: data.deployApplication.id });
    return data.deployApplication.id;
  }
}

// An array is what the server answered; a close event is how the socket ended.
const told = (error) =>
  Array.isArray(error) ? { errors: error } : 'code' in error ? { closed: { code: error.code, reason: error.reason } } : { errors: [String(error)] };

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts: 0,
  lazyCloseTimeout: 100,
  connectionParams: { Authorization: `Bearer ${token}` },
});
try {
  const id = deployment ?? (await start(client));
  for await (const data of results(client, EVENTS, { id, after: afterSeq ?? 0 })) tell({ event: data.deploymentEvents });
  tell({ complete: true });
} catch (error) {
  tell(told(error));
} finally {
  await client.dispose();
}
