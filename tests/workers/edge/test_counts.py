"""What is counted, read off metrics as Caddy 2.11 writes them."""

from uuid import UUID

import pytest

from workers.edge.counts import Count, Counter, by_application, read

APP = UUID("0199a2b4-0000-7000-8000-000000000001")
OTHER = UUID("0199a2b4-0000-7000-8000-000000000002")
PORT = f"app_{APP}_30000"


def metrics(server: str, host: str, **codes: int) -> str:
    """So many requests by code, half of which took 5 ms at most and all 10 ms."""
    lines = []
    for code, number in codes.items():
        labels = f'code="{code[1:]}",handler="reverse_proxy",host="{host}",method="GET",server="{server}"'
        name = "caddy_http_request_duration_seconds"
        buckets = {"0.005": number // 2, "0.01": number, "+Inf": number}
        lines += [f'{name}_bucket{{{labels},le="{le}"}} {count}' for le, count in buckets.items()]
        lines += [f"{name}_sum{{{labels}}} 1.5", f"{name}_count{{{labels}}} {number}"]
    return "\n".join(lines)


HEAD = "# TYPE caddy_http_request_duration_seconds histogram\n"


def test_requests_and_those_that_were_errors_are_read() -> None:
    found = read(HEAD + metrics(PORT, "_other", c200=90, c503=6, c404=4))
    assert (found[PORT, "_other"].requests, found[PORT, "_other"].errors) == (100, 6)


def test_what_was_not_passed_on_is_no_request_of_an_application() -> None:
    text = HEAD + metrics(PORT, "_other", c200=1).replace("reverse_proxy", "static_response")
    assert read(text) == {}


def test_ports_and_domains_of_an_application_are_counted_together() -> None:
    counts = {(PORT, "_other"): Count(3), ("domains", "a.example.com"): Count(4, 1), ("domains", "b.example.com"): Count(5)}
    found = by_application(counts | {("domains", "gone.example.com"): Count(9)}, {"a.example.com": APP, "b.example.com": OTHER})
    assert {id: (count.requests, count.errors) for id, count in found.items()} == {APP: (7, 1), OTHER: (5, 0)}


def test_a_fall_is_a_new_beginning() -> None:
    assert Count(10, 3).since(Count(4, 1)) == Count(6, 2)
    assert Count(3, 1).since(Count(10, 3)) == Count(3, 1)
    assert Count(3).since(None) == Count(3)
    assert Count(12, 0).since(Count(10, 10)) == Count(12, 0), "errors became fewer"


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 0.005), (0.25, 0.0025), (0.75, 0.0075), (1.0, 0.01)])
def test_a_share_of_the_requests_took_no_longer(share: float, seconds: float) -> None:
    found = read(HEAD + metrics(PORT, "_other", c200=100))[PORT, "_other"]
    assert found.seconds(share) == pytest.approx(seconds)


def test_what_took_longer_than_the_histogram_knows_took_that_long_at_least() -> None:
    assert Count(2, 0, {0.005: 1, 0.01: 1, float("inf"): 2}).seconds(0.99) == 0.01  # type: ignore[arg-type]


def test_readings_add_up_over_configurations() -> None:
    counter = Counter()
    for number in (10, 25, 5, 8):
        counter.add(read(HEAD + metrics(PORT, "_other", c200=number)))
    assert counter.added[PORT, "_other"].requests == 10 + 15 + 5 + 3
