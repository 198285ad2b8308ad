"""The edge: how requests from outside find the containers of an application. Caddy serves; what is here tells it whom and where."""
