// The same GraphQL reads by mercurius with graphql-jit, over pg. Settings come as variables: PORT, DATABASE (JSON), TOKEN_KEY.

import { createVerifier } from 'fast-jwt'
import Fastify from 'fastify'
import mercurius from 'mercurius'
import pg from 'pg'

const LARGEST = 100
const pool = new pg.Pool({ ...JSON.parse(process.env.DATABASE), max: 8 })
const verify = createVerifier({ key: process.env.TOKEN_KEY, algorithms: ['HS256'], allowedAud: 'dokploy', allowedIss: 'dokploy' })

const schema = `
  scalar DateTime
  type Deployment { id: ID! status: String! createdAt: DateTime! }
  type Application {
    id: ID! name: String! projectId: ID! image: String status: String! replicas: Int! healthStatus: String! createdAt: DateTime!
    lastDeployment: Deployment
  }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type ApplicationPage { nodes: [Application!]! pageInfo: PageInfo! totalCount: Int! }
  type Project { id: ID! name: String! applications(first: Int): ApplicationPage! }
  type ProjectPage { nodes: [Project!]! pageInfo: PageInfo! }
  type Query {
    applications(first: Int): ApplicationPage!
    application(id: ID!): Application!
    projects(first: Int): ProjectPage!
  }
`

const APPLICATION =
  'a.id, a.name, a.project_id as "projectId", a.image, a.status, a.replicas, a.health_status as "healthStatus", a.created_at as "createdAt"'
const NEWEST = 'order by created_at desc, id desc'

// Counters per project, where the database keeps them.
const tally = (await pool.query("select to_regclass('tally') is not null as kept")).rows[0].kept
const counted = tally ? 'coalesce(sum(application), 0)' : 'count(*)'
const counters = tally ? 'tally' : '(select project_id from application where deleted_at is null) living'

// One name per statement, so that Postgres prepares it once per connection.
const statements = {
  session: `select account.id, account.role from session join account on account.id = session.user_id
    where session.id = $1 and session.expires_at > now()`,
  projects: `select id from project where deleted_at is null
    and (owner_id = $1 or team_id in (select team_id from membership where user_id = $1))`,
  allApplications: `select ${APPLICATION} from application a where deleted_at is null ${NEWEST} limit $1`,
  someApplications: `select a.* from unnest($2::uuid[]) visible(id) cross join lateral (
    select ${APPLICATION} from application a where a.project_id = visible.id and deleted_at is null ${NEWEST} limit $1) a
    order by "createdAt" desc, a.id desc limit $1`,
  allCount: `select ${counted}::int as total from ${counters} where true`,
  someCount: `select ${counted}::int as total from ${counters} where project_id = any($1::uuid[])`,
  allApplication: `select ${APPLICATION} from application a where id = $1 and deleted_at is null`,
  someApplication: `select ${APPLICATION} from application a where id = $1 and deleted_at is null and project_id = any($2::uuid[])`,
  allProjects: `select id, name from project where deleted_at is null ${NEWEST} limit $1`,
  someProjects: `select id, name from project where deleted_at is null and id = any($2::uuid[]) ${NEWEST} limit $1`,
  ofProjects: `select k.o - 1 as place, a.* from unnest($1::uuid[]) with ordinality k(id, o) cross join lateral (
    select ${APPLICATION} from application a where a.project_id = k.id and deleted_at is null ${NEWEST} limit $2) a
    order by k.o, a."createdAt" desc, a.id desc`,
  lastDeployments: `select k.o - 1 as place, d.* from unnest($1::uuid[]) with ordinality k(id, o) cross join lateral (
    select id, status, created_at as "createdAt" from deployment
    where application_id = k.id and deleted_at is null order by id desc limit 1) d`
}

async function rows(name, values) {
  return (await pool.query({ name, text: statements[name], values })).rows
}

// The statement for everything, or the one for a list of projects, which comes last.
function seen(context, name, values) {
  return context.visible === null ? rows(`all${name}`, values) : rows(`some${name}`, [...values, context.visible])
}

function claimsOf(token) {
  try {
    return verify(token)
  } catch {
    throw new mercurius.ErrorWithProps('Not logged in', { code: 'UNAUTHORIZED' }, 401)
  }
}

async function context(request) {
  const claims = claimsOf((request.headers.authorization ?? '').replace(/^Bearer /, ''))
  const [user] = await rows('session', [claims.jti])
  if (user === undefined || user.id !== claims.sub) throw new mercurius.ErrorWithProps('Not logged in', { code: 'UNAUTHORIZED' }, 401)
  if (user.role !== 'member') return { visible: null }
  return { visible: (await rows('projects', [user.id])).map((project) => project.id) }
}

// Compiled documents call resolvers only, so the count is a function that the resolver of totalCount calls.
function page(found, size, count) {
  const nodes = found.slice(0, size)
  const pageInfo = { hasNextPage: found.length > size, endCursor: nodes.length > 0 ? nodes.at(-1).id : null }
  return { nodes, pageInfo, count }
}

function size(first) {
  return Math.min(first ?? 20, LARGEST)
}

const resolvers = {
  DateTime: { serialize: (at) => at.toISOString() },
  Query: {
    applications: async (_, { first }, context) => {
      const found = await seen(context, 'Applications', [size(first) + 1])
      return page(found, size(first), () => seen(context, 'Count', []))
    },
    application: async (_, { id }, context) => (await seen(context, 'Application', [id]))[0],
    projects: async (_, { first }, context) => page(await seen(context, 'Projects', [size(first) + 1]), size(first))
  }
}

resolvers.ApplicationPage = { totalCount: async ({ count }) => (await count())[0].total }

// Caching would turn every row into JSON for a key, and no document here asks for one twice.
const opts = { cache: false }

const loaders = {
  Project: {
    applications: {
      opts,
      async loader(queries) {
        const first = size(queries[0].params.first)
        const found = queries.map(() => [])
        for (const row of await rows('ofProjects', [queries.map(({ obj }) => obj.id), first + 1])) found[row.place].push(row)
        return found.map((each, at) => page(each, first, () => rows('someCount', [[queries[at].obj.id]])))
      }
    }
  },
  Application: {
    lastDeployment: {
      opts,
      async loader(queries) {
        const found = queries.map(() => null)
        for (const row of await rows('lastDeployments', [queries.map(({ obj }) => obj.id)])) found[row.place] = row
        return found
      }
    }
  }
}

const app = Fastify()
app.register(mercurius, { schema, resolvers, loaders, context, jit: 1, path: '/api/graphql' })
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
