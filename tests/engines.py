"""An engine for tests in which none plays a role."""

from __future__ import annotations


class NoEngine:
    """Notes what it is asked, and tells nothing."""

    pid = None

    def __init__(self) -> None:
        self.asked: list = []

    def send(self, command) -> None:
        """Note a command."""
        self.asked.append(command)

    def events(self) -> list:
        """Tell nothing."""
        return []

    def close(self) -> None:
        """Do nothing."""
