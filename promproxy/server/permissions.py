"""What callers may be allowed, and which page takes what."""

from __future__ import annotations

SCRAPE, ADMIN, TUNNEL = PERMISSIONS = ("scrape", "admin", "tunnel")

#: The permission that a page takes. A resource names its page in its attribute ``page``; one that
#: names none takes `SCRAPE`, so that a stranger does not learn which paths there are.
PAGES = {
    "status": SCRAPE,
    "discovery": SCRAPE,
    "scrape": SCRAPE,
    "merged": SCRAPE,
    "metrics": SCRAPE,
    "targets": SCRAPE,
    "healthy": SCRAPE,
    "ready": SCRAPE,
    "clients": SCRAPE,
    "refresh": ADMIN,
    "reload": ADMIN,
    "invalidate": ADMIN,
    "tunnel": TUNNEL,
}

#: Those that may be opened to everyone: a tunnel is not, since it takes a name that may be claimed.
OPENABLE = tuple(page for page, permission in PAGES.items() if permission != TUNNEL)
