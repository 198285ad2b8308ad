"""The monitor of a host: measures, every few seconds, what runs on it."""
