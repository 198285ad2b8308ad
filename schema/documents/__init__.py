"""GraphQL documents before they are planned: how much they are, whether they are valid, and what is said of those that are not run."""
