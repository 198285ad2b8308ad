"""From declared fields to data: which rows are fetched, and how a view or a GraphQL selection is rendered from them."""
