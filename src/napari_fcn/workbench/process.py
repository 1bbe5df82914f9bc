"""The window's end of the engine: starts its process, talks to it, notices its death.

The process is started as a program of its own, not forked and not by `multiprocessing`,
which would run the user's script a second time where it lacks a main guard.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Listener
from typing import TYPE_CHECKING

from napari_fcn.workbench.protocol import EngineDied, Shutdown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from napari_fcn.workbench.protocol import Command, Event

_PATIENCE = 5.0
_FEW_CORES = 2
_SHORT_SPIN = {"GOMP_SPINCOUNT": "1000"}
"""OpenMP's threads wait for each other by spinning, which is well as long as each has a
core. Where the window or another program takes one for a while, long spinning makes
training several times slower; so the engine's threads soon go to sleep."""


def default_threads() -> int:
    """Return how many cores the engine uses: all but one, which is the window's.

    Where there are only two it uses both: it gives way to the window by its priority,
    and half the speed would be too high a price.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores - 1 if cores > _FEW_CORES else cores


class EngineProcess:
    """An engine, from its start to its end.

    Parameters
    ----------
    threads : int, optional
        Cores to use; by default as `default_threads` says.
    nice : int
        How far it stands back behind the window (POSIX niceness).
    """

    def __init__(self, threads: int | None = None, nice: int = 10) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the engine
        self._connection: Connection | None = None
        self._unsent: list[Command] = []
        self._lock = threading.Lock()
        self._heard = self._told = self._closed = False
        key = secrets.token_bytes(32)
        self._listener = Listener(authkey=key)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "napari_fcn.workbench.child"],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env={**_SHORT_SPIN, **os.environ},
        )
        options = {
            "address": self._listener.address,
            "key": key.hex(),
            "threads": threads or default_threads(),
            "nice": nice,
        }
        self._greet(json.dumps(options).encode() + b"\n")
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def send(self, command: Command) -> None:
        """Tell the engine something; kept until it is connected, dropped when dead."""
        with self._lock:
            if self._connection is None:
                self._unsent.append(command)
            else:
                with suppress(OSError):
                    self._connection.send(command)

    def events(self) -> Iterator[Event]:
        """Yield what the engine has told since the last call, without waiting.

        When its process has ended by itself, one `EngineDied` is the last event.
        """
        alive = self.alive
        try:
            while self._connection is not None and self._connection.poll(0):
                event = self._connection.recv()
                self._heard = True
                yield event
        except (EOFError, OSError):
            alive = False
        if not alive and not self._told and not self._closed:
            self._told = True
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            yield EngineDied(self._explain())

    def close(self) -> None:
        """End the process: politely, by force where it does not listen."""
        if self._closed:
            return
        self._closed = True
        self.send(Shutdown())
        if not self._listens():
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.close()
        if self._connection is not None:
            self._connection.close()
        self._log.close()

    def log(self) -> str:
        """Return the last lines that the process wrote, for error reports."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 4000))
        return self._log.read().decode(errors="replace")

    def _listens(self) -> bool:
        """Whether it has ever told something; until then it loads what it needs."""
        if self._connection is None:
            return False
        with suppress(OSError):
            self._heard = self._heard or self._connection.poll(0)
        return self._heard

    def _greet(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(line)
            self._process.stdin.close()

    def _accept(self) -> None:
        """Wait for the process to connect, then send what was held back."""
        with suppress(OSError, EOFError):
            connection = self._listener.accept()
            with self._lock:
                for command in self._unsent:
                    connection.send(command)
                self._unsent.clear()
                self._connection = connection

    def _explain(self) -> str:
        code = self._process.poll()
        if code is not None and code < 0:
            with suppress(ValueError):
                name = signal.Signals(-code).name
                return (
                    f"The engine was ended from outside ({name}), often for lack of "
                    "memory; your labels are safe. Press Train to go on from where "
                    "it was."
                )
        last = self.log().strip().splitlines()
        reason = f" ({last[-1]})" if last else ""
        return (
            f"The engine stopped unexpectedly{reason}; your labels are safe. Press "
            "Train to go on from where it was."
        )
