"""Tunnels: scrapes that clients behind NAT fetch by polling, and answer by pushing."""
