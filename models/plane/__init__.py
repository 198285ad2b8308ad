"""The control plane itself as one sealed archive: what is in its database, and the keys under which that can be read."""
