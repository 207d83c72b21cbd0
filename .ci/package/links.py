"""Usage: links.py FOLDER. Fails where a relative link in a page below it leads to no file."""

import re
import sys
from pathlib import Path

dead = []
for page in Path(sys.argv[1]).rglob("*.md"):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in link and not (page.parent / link).exists():
            dead.append(f"{page}: {link}")
sys.exit("\n".join(dead) or 0)
