"""What the gateway counts about itself."""

from prometheus_client import Counter

planned = Counter("dokploy_graphql_planned", "GraphQL requests that a plan answered by itself.")
completed = Counter("dokploy_graphql_completed", "GraphQL requests whose answer graphql-core worded over the plan's tree.", ["reason"])
