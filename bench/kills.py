"""Does ``kill -9`` damage a file? Run as ``python -m bench.kills --kills 50``.

A daemon whose targets change all the time is killed at random moments, from the first of its start
on, and every third time while a file is half written. After each the saved state and the file for
file_sd must be whole. Exits with status 1 where one is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from promproxy.errors import PromproxyError
from tests.integration.kills import TARGETS, Victim


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="default 50")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promproxy-kills-") as folder:
        victim = Victim(Path(folder))
        began = time.monotonic()
        try:
            victim.kill_at_random(asked.kills)
        except (AssertionError, ValueError, KeyError, PromproxyError) as error:
            print(f"WRONG, after {victim.kills} kills: {error!r}")
            sys.exit(1)
    print(
        f"{victim.kills} kills in {time.monotonic() - began:.0f} s, {victim.while_writing} of them "
        f"while a file was half written ({TARGETS} targets): all files were whole"
    )


if __name__ == "__main__":
    main()
