"""Commands of this machine."""

import subprocess


class Failed(Exception):
    """A command did not do what it should; says which and why."""


def run(*words, stdin=None):
    done = subprocess.run(words, input=stdin, text=True, capture_output=True)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def run_if_possible(*words):
    """For what may be gone already."""
    return subprocess.run(words, text=True, capture_output=True).returncode == 0
