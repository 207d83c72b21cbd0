"""Random input for a while. Run as ``python -m tests.fuzz --seconds N``.

Requests as callers send them, answers as targets give them, and whatever every parser of outside
data may be given, all of it nearly right. Nothing may raise another error than it promises, hang,
leave something behind, or make of a broken answer a whole one. What goes wrong is printed with how
to see it again; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import faulthandler
import secrets
import sys

from twisted.logger import globalLogBeginner

from tests.fuzz.parsers import ParsersWorld
from tests.fuzz.runner import Runner
from tests.fuzz.scrapes import ScrapesWorld

KINDS = {"scrapes": ScrapesWorld, "parsers": ParsersWorld}


def main() -> None:
    """Run it, tell what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="default 60")
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument(
        "--world", nargs=2, metavar=("KIND", "NUMBER"), help="run only this, as once told"
    )
    asked = parser.parse_args()
    faulthandler.enable()
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    runner = Runner(KINDS, seed)
    if asked.world is None:
        runner.run(asked.seconds)
    else:
        runner.run_world(asked.world[0], int(asked.world[1]))
    counts = ", ".join(f"{count} {kind}" for kind, count in runner.cases.items())
    slowest, name = runner.slowest
    print(f"{counts}; the slowest took {slowest * 1000:.0f} ms ({name})")
    for text in runner.wrong:
        print(f"WRONG: {text}")
    print("something is wrong" if runner.wrong else "all is well")
    sys.exit(1 if runner.wrong else 0)


if __name__ == "__main__":
    main()
