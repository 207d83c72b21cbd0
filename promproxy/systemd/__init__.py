"""What systemd tells us and is told: sockets, readiness, life, and lines for its journal."""
