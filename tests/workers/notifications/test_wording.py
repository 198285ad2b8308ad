"""What people are told, and how it is meant."""

import pytest

from models import NotificationEvent
from tests.workers.notifications.messages import message
from workers.notifications.wording import LONGEST_TEXT, LONGEST_TITLE, Tone

WORDS = {
    "deployment_succeeded": ("web: deployed", Tone.good),
    "deployment_failed": ("web: deployment failed", Tone.bad),
    "deployment_cancelled": ("web: deployment cancelled", Tone.neutral),
    "alert_raised": ("web: critical memory alert", Tone.bad),
    "alert_resolved": ("web: memory alert is over", Tone.good),
    "test": ("A test of this channel", Tone.neutral),
}


def test_every_event_has_words() -> None:
    assert set(WORDS) == {event.value for event in NotificationEvent}
    assert {event: (message(event).title, message(event).tone) for event in WORDS} == WORDS


def test_a_warning_is_less_than_what_is_critical() -> None:
    assert message("alert_raised", severity="warning").tone is Tone.warning


def test_a_deployment_is_told_with_what_failed_and_its_commit() -> None:
    assert message().text == "The build failed.\nmain 6113728: Make it <fast> & small\nIt took 12 s."


def test_an_alert_is_told_by_its_message() -> None:
    assert message("alert_raised").text == "485 of 512 MiB of memory for 60 s"


def test_what_is_not_known_is_left_out() -> None:
    bare = dict.fromkeys(("branch", "commitSha", "commitMessage", "duration", "errorMessage"))
    assert message("deployment_succeeded", **bare).text == ""
    assert message("deployment_succeeded", **bare | {"branch": "main"}).text == "main"


@pytest.mark.parametrize("event", [event.value for event in NotificationEvent])
def test_a_title_is_one_short_line_whatever_stands_in_the_data(event: str) -> None:
    title = message(event, applicationName="a\r\nBcc: x@example.com\u2028\0" + "b" * 500, metric="\n", severity="\x85").title
    assert title.isprintable() and len(title) <= LONGEST_TITLE


def test_a_text_has_an_end_and_no_control_characters() -> None:
    text = message(errorMessage="\x1b[31mred\x1b[0m\n" * 1000).text
    assert len(text) == LONGEST_TEXT and text.endswith("…") and text.startswith("[31mred[0m\n[31mred[0m\n")
