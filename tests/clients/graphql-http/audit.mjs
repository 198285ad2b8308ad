// Audits a GraphQL server over HTTP. Prints one JSON line for each rule: its id, its sentence, and what became of it.
import { serverAudits } from "graphql-http";

const { url, token } = JSON.parse(process.argv[2]);
const fetchFn = (address, options = {}) =>
  fetch(address, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } });

for (const audit of serverAudits({ url, fetchFn })) {
  const { status, reason = "" } = await audit.fn();
  console.log(JSON.stringify({ id: audit.id, rule: audit.name, status, reason }));
}
