"""What `dokploy demo` brings along: the sample's base image and its git repository. Like `gateway.embedded`, it may start processes."""
