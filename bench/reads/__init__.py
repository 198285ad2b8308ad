"""Reads under load: the product beside a hand-written handler, its stock resolvers, FastAPI with SQLAlchemy, and mercurius."""
