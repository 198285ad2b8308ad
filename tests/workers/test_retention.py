"""Which images are ours, by their names."""

from uuid import UUID

import pytest

from workers.desired import image_of
from workers.retention import deployment_of

ID = "01941702-1500-7e75-8a92-5d4eaf6b8c05"


def test_the_name_of_an_image_tells_its_deployment() -> None:
    assert deployment_of(image_of("app-1", f"{ID}-3")) == UUID(ID)


@pytest.mark.parametrize(
    "name", ["busybox:1", f"dokploy/app:{ID}", "dokploy/app:latest", f"other/app:{ID}-1", f"dokploy/a:{ID}-1x", "<none>:<none>"]
)
def test_what_is_named_otherwise_is_not_ours(name: str) -> None:
    assert deployment_of(name) is None
