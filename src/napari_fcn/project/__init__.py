"""The project folder: images, labels, predictions and models of one piece of work."""

from napari_fcn.project.folder import Project
from napari_fcn.project.image import ProjectImage

__all__ = ["Project", "ProjectImage"]
