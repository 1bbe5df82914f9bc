"""What the engine's process runs: connect first, then load what takes seconds.

Started by `napari_fcn.workbench.process`, which writes one line of JSON to its standard
input: where to connect, the key for it, threads and niceness.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from contextlib import suppress
from multiprocessing.connection import Client

import psutil


def main() -> None:
    """Serve the window that started this process."""
    options = json.loads(sys.stdin.readline())
    if options["nice"]:
        _stand_back(options["nice"])
    connection = Client(options["address"], authkey=bytes.fromhex(options["key"]))

    import torch

    from napari_fcn.workbench.protocol import Ready
    from napari_fcn.workbench.server import Server
    from napari_fcn.workbench.warm_up import warm_up

    torch.set_num_threads(options["threads"])
    device = warm_up()
    # what is loaded stays: it is not looked through again, not even at the end
    gc.collect()
    gc.freeze()
    with suppress(OSError):
        connection.send(Ready(device))
        Server(connection).serve()


def _stand_back(nice: int) -> None:
    """Give way to the window."""
    with suppress(OSError, psutil.Error):
        if hasattr(os, "nice"):
            os.nice(nice)
        else:  # Windows
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


if __name__ == "__main__":
    main()
