"""The demo tells the whole story, and says itself whether all of it came to pass."""

from __future__ import annotations

import subprocess
import sys

from simulation.wire.system import ROOT

SYSTEMS = ("ServiceNow", "Jira", "DingTalk")


def test_the_demo_goes_from_the_webhooks_of_three_systems_to_answers_that_they_verify():
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written_back = done.stdout.partition("Written back")[2].partition("The clean-up")[0]
    assert all(system in written_back for system in SYSTEMS)
    assert "NOT AS EXPECTED" not in done.stdout
