// Follows subscriptions as it is told to, over clients that people use, each as it comes but that it does not try again.
//
// Argument: the address of the endpoint. Standard input has one JSON object per line:
// {"follow": id, "over": connection, "client", "token", "query", "variables"}; a connection is made by the first who names it.
// {"stop": id}: nothing is told of it any more.
// Out comes one JSON object per line: {"id", "data"} …, and {"id", "ended": "complete" or the code of an error} when it was not stopped.

import { ApolloClient, ApolloLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client as UrqlClient, subscriptionExchange } from '@urql/core';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { meros } from 'meros/browser';
import { createInterface } from 'node:readline';
import { onEnd, pipe, subscribe } from 'wonka';
import WebSocket from 'ws';

const url = process.argv[2];
globalThis.WebSocket ??= WebSocket; // Apollo compares with its constants; Node.js has it of its own from 22 on

const socket = (token) =>
  createWsClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { Authorization: `Bearer ${token}` } });

const sse = (singleConnection) => (token) => {
  const client = createSseClient({ url, headers: { authorization: `Bearer ${token}` }, singleConnection, retryAttempts: 0 });
  return (query, variables, sink) => client.subscribe({ query, variables }, sink);
};

// A connection is a function (query, variables, {next, error, complete}) → stop.
const clients = {
  'graphql-ws': (token) => {
    const client = socket(token);
    return (query, variables, sink) => client.subscribe({ query, variables }, sink);
  },
  'graphql-sse, distinct connections': sse(false),
  'graphql-sse, single connection': sse(true),
  meros: (token) => (query, variables, sink) => {
    const control = new AbortController();
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'multipart/mixed' };
    const run = async () => {
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query, variables }), signal: control.signal });
      const parts = await meros(answer);
      if (parts === answer) throw (await answer.json()).errors;
      for await (const { json, body } of parts) {
        if (!json) throw new Error(`no JSON: ${body}`);
        if (body.payload) sink.next(body.payload);
      }
    };
    run().then(sink.complete, sink.error);
    return () => control.abort();
  },
  'apollo, graphql-ws': (token) => {
    const link = ApolloLink.from([new GraphQLWsLink(socket(token))]);
    const client = new ApolloClient({ link, cache: new InMemoryCache() });
    return (query, variables, { next, error, complete }) => {
      const told = (result) => (result.error ? error(result.error) : next(result));
      const following = client.subscribe({ query: gql(query), variables }).subscribe({ next: told, error, complete });
      return () => following.unsubscribe();
    };
  },
  'urql, graphql-ws': (token) => {
    const client = socket(token);
    const forwardSubscription = ({ query, variables }) => ({
      subscribe: (sink) => ({ unsubscribe: client.subscribe({ query, variables }, sink) }),
    });
    const urql = new UrqlClient({ url, exchanges: [subscriptionExchange({ forwardSubscription })], preferGetMethod: false });
    return (query, variables, { next, error, complete }) => {
      // One that says nothing but that there is no more repeats what the last one said.
      const told = (result) => (result.error ? error(result.error) : result.hasNext && next(result));
      return pipe(urql.subscription(query, variables), onEnd(complete), subscribe(told)).unsubscribe;
    };
  },
};

// What ended an operation: errors of the server, an answer that refuses, or the reason for which a socket was closed. Of an answer that
// the client has given up already there is only the status.
async function codeOf(error) {
  const errors = Array.isArray(error) ? error : (error.errors ?? error.graphQLErrors ?? []);
  if (errors.length) return errors[0].extensions.code;
  if (error.response) return error.response.json().then((body) => codeOf(body), () => `HTTP ${error.response.status}`);
  if (error.networkError) return codeOf(error.networkError);
  return error.reason ?? /^Socket closed with event \d+ (\w+)$/.exec(error.message)?.[1] ?? String(error);
}

const connections = new Map();
const following = new Map();
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function follow({ follow: id, over, client, token, query, variables }) {
  if (!connections.has(over)) connections.set(over, clients[client](token));
  const of = (told) => (what) => following.has(id) && told(what);
  let failed;
  const end = async (error) => {
    if (!following.delete(id)) return;
    tell({ id, ended: error ? await codeOf(error) : 'complete' });
  };
  following.set(id, () => {});
  const stop = connections.get(over)(query, variables, {
    next: of(({ data, errors }) => (errors ? (failed ??= errors) : tell({ id, data }))),
    error: end,
    complete: () => end(failed),
  });
  if (following.has(id)) following.set(id, stop);
}

function stop({ stop: id }) {
  const end = following.get(id);
  following.delete(id);
  end?.();
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if ('follow' in asked) follow(asked);
  else stop(asked);
}
process.exit(0);
