"""Waiting for conditions, never for a fixed time."""

import time

# Far beyond what anything here takes, even on a machine that is busy with other things.
DEADLINE_S = 15


def wait_until(condition, what="it holds", seconds=DEADLINE_S):
    """Waits until `condition()` is true and yields what it was; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def wait_until_still(value, quiet_s=0.5, seconds=DEADLINE_S):
    """Waits until `value()` has not changed for `quiet_s`, and yields it."""
    deadline = time.monotonic() + seconds
    last, since = value(), time.monotonic()
    while time.monotonic() - since < quiet_s:
        assert time.monotonic() < deadline, f"it still changes after {seconds} s"
        time.sleep(0.02)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last
