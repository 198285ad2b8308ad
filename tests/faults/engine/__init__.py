"""A stand-in for Docker in this process: the Engine's API, a docker command line, and a swarm that does what it is told, or does not."""

from tests.faults.engine.call import Call
from tests.faults.engine.rules import Rule, Rules
from tests.faults.engine.stand_in import StandIn

__all__ = ["Call", "Rule", "Rules", "StandIn"]
