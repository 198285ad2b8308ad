"""The stages, in the order in which task graphs run them."""

from workers.build import build
from workers.clone import clone
from workers.deploy import deploy
from workers.run import Stage

STAGES: tuple[Stage, ...] = (clone, build, deploy)
