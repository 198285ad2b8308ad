"""The migrations of the schema, applied in order."""
