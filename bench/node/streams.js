// The same subscription by graphql-ws over ws: events come as lines of JSON over a unix socket and are handed on in memory.
// Variables: PORT, EVENTS (the path of that socket).

import { createServer } from 'node:http'
import { createServer as createDoor } from 'node:net'
import { createInterface } from 'node:readline'
import { buildSchema } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'

const schema = buildSchema(`
  type DeploymentEvent { seq: Int! timestamp: String! kind: String! status: String! stage: String progress: Int! level: String! message: String! }
  type Query { nothing: Boolean }
  type Subscription { deploymentEvents(deploymentId: ID!, afterSeq: Int! = 0): DeploymentEvent! }
`)

const followers = new Set()
let last

class Follower {
  waiting = [last]
  wake = null

  put(event) {
    if (this.wake === null) {
      this.waiting.push(event)
    } else {
      this.wake({ value: event, done: false })
      this.wake = null
    }
  }

  next() {
    if (this.waiting.length > 0) return Promise.resolve({ value: this.waiting.shift(), done: false })
    return new Promise((resolve) => { this.wake = resolve })
  }

  return() {
    followers.delete(this)
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator]() {
    return this
  }
}

const rootValue = {
  deploymentEvents() {
    const follower = new Follower()
    followers.add(follower)
    return follower
  }
}

createDoor((source) => createInterface({ input: source }).on('line', (line) => {
  last = { deploymentEvents: JSON.parse(line) }
  for (const follower of followers) follower.put(last)
})).listen(process.env.EVENTS)

const http = createServer()
const sockets = new WebSocketServer({ server: http, path: '/api/graphql', perMessageDeflate: false })
useServer({ schema, roots: { subscription: rootValue } }, sockets)
http.listen(Number(process.env.PORT), '127.0.0.1')
