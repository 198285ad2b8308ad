"""`dokploy backup` and `dokploy restore`: the control plane to a file and back."""
