// Logs in, makes a project with an application, and prints what it saw as one line of JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

type Failure = components["schemas"]["Error"];

function got<T>(answer: { data?: T; error?: Failure }): T {
  if (answer.data === undefined) {
    throw new Error(JSON.stringify(answer.error));
  }
  return answer.data;
}

const [baseUrl = "", username = "", password = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl });

const login = got(await client.POST("/api/auth/login", { body: { username, password } }));
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${login.token}`);
  },
});

const project = got(await client.POST("/api/projects", { body: { name: "Typescript" } }));
const projects = got(await client.GET("/api/projects", { params: { query: { search: "typescript", limit: 5 } } }));
const made = got(
  await client.POST("/api/applications", {
    params: { header: { "Idempotency-Key": "typescript-1" } },
    body: { name: "typed", projectId: project.id, image: "nginx:latest", ports: [{ containerPort: 8080 }] },
  }),
);
const application = got(await client.GET("/api/applications/{id}", { params: { path: { id: made.id } } }));
const query = { projectId: project.id, statusIn: ["pending" as const, "running" as const] };
const applications = got(await client.GET("/api/applications", { params: { query } }));
const missing = await client.GET("/api/projects/{id}", { params: { path: { id: made.id } } });
const refused = await client.POST("/api/projects", { body: { name: "x" } });
const deleted = await client.DELETE("/api/applications/{id}", { params: { path: { id: made.id } } });

console.log(
  JSON.stringify({
    roles: login.user.roles,
    projects: projects.data.map((each) => each.name),
    total: projects.pagination.total,
    application: [application.name, application.image, application.status, application.ports[0]?.containerPort],
    applications: applications.data.map((each) => each.name),
    missing: missing.error?.error.code,
    refused: refused.error?.error.details.errors?.map((each) => each.field),
    deleted: deleted.response.status,
  }),
);
