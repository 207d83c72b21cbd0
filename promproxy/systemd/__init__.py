"""What systemd is told: readiness, life, and log lines for its journal."""
