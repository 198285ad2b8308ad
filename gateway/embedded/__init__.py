"""What `dokploy up` brings along: Postgres, Valkey and the Docker Engine, supervised; the only place in `gateway` that starts processes.

`up` is the command; `stack` the servers alone. From the ground up: `accounts`, `processes`, `probes` and `children` know about the
operating system; `supervisor` keeps children running; `directory` is the data directory; `binaries`, `postgres` and `valkey` are the
servers; `engine`, with `engine_install` and `engine_remains`, the Docker Engine. Nothing here imports a client library or a framework:
this process idles beside everything else for as long as the stack runs.
"""
