"""Trains in the engine until it is killed; run by `test_killed.py`.

Imports everything once. Then, for every line on standard input, a fork of it goes on
with the run of the project, writes a checkpoint after each step, and notes the step in
a log when the checkpoint is written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch._dynamo  # an optimiser loads it: before the forks

from napari_fcn.project import Project
from napari_fcn.workbench import protocol, run


def learn(project: Project, log: Path) -> None:
    torch.set_num_threads(1)
    record = project.record
    command = protocol.Train(
        project=project.folder,
        images=record.images,
        classes=record.classes,
        network=record.network,
        training=record.training,
        checkpoint=project.checkpoint,
        model=project.model,
    )

    def between_steps() -> None:
        learning.keep()
        with log.open("a") as file:
            file.write(f"{learning.trainer.step_number}\n")

    run._CHECKPOINT_EVERY = 1e9  # only the one above
    learning = run.Run(command, lambda _: None, between_steps)
    learning.train()


def main() -> None:
    project, log = Project.open(Path(sys.argv[1])), Path(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            print(os.getpid(), flush=True)  # noqa: T201
            learn(project, log)
        os.waitpid(child, 0)


main()
