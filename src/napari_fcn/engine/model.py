"""A model: network, weights, normalisation and task in one safe file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_fcn.config import ModelConfig
from napari_fcn.data.files import atomic_path
from napari_fcn.engine.device import in_fast_layout
from napari_fcn.errors import UserError
from napari_fcn.networks import ReceptiveField, build_network, receptive_field

if TYPE_CHECKING:
    from torch import nn

_KEY = "napari_fcn"


class Model:
    """A network with its weights and all that a prediction needs.

    Parameters
    ----------
    config : ModelConfig
        Task, classes, normalisation and how the network is built.
    network : nn.Module
        The network with its weights; it is put into evaluation mode.
    field : ReceptiveField, optional
        Of the network, where it is known already.
    """

    def __init__(
        self,
        config: ModelConfig,
        network: nn.Module,
        field: ReceptiveField | None = None,
    ) -> None:
        self.config = config
        self.network = network.eval()
        self._field = field

    @property
    def receptive_field(self) -> ReceptiveField:
        """What one output pixel sees, computed from the network."""
        if self._field is None:
            self._field = receptive_field(self.network, self.config.network.ndim)
        return self._field

    def predict(self, image: Any, **options: Any) -> Any:
        """Predict an array; see `napari_fcn.engine.predict.predict_array`."""
        from napari_fcn.engine.predict import predict_array

        return predict_array(self, image, **options)

    def save(self, path: Path | str) -> None:
        """Write the model to one ``.safetensors`` file, atomically.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        with atomic_path(Path(path)) as temporary:
            temporary.write_bytes(model_bytes(self.config, self.network.state_dict()))

    @classmethod
    def load(cls, path: Path | str) -> Model:
        """Read a model file; see `load_model`."""
        return load_model(path)


def model_bytes(config: ModelConfig, state: dict[str, torch.Tensor]) -> bytes:
    """Return the content of a model file: weights, and the config in its header."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    return save(tensors, metadata={_KEY: config.model_dump_json()})


def load_model(path: Path | str) -> Model:
    """Read a model file. No code from it is run: it holds numbers and JSON only.

    Parameters
    ----------
    path : path
        A file written by `Model.save`.

    Raises
    ------
    UserError
        If the file is missing, truncated, not a model of this program, made by a
        newer version, or if its weights do not fit its own description.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no model file at {path}.")
    try:
        with safe_open(str(path), framework="pt") as file:
            config = _read_config(path, file.metadata() or {})
            network = _empty_network(config)
            _check_shapes(path, network, file)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path.name} is damaged or not a model file ({error}); take another copy."
        ) from error
    network.load_state_dict(state, assign=True)
    return Model(config, in_fast_layout(network, config.network.ndim))


def _read_config(path: Path, metadata: dict[str, str]) -> ModelConfig:
    if _KEY not in metadata:
        raise UserError(
            f"{path.name} holds weights but was not written by napari-fcn; "
            "choose a model saved by napari-fcn."
        )
    try:
        raw = json.loads(metadata[_KEY])
        found = raw.get("format") if isinstance(raw, dict) else None
        if (
            isinstance(found, int)
            and found > ModelConfig.model_fields["format"].default
        ):
            raise UserError(
                f"{path.name} was written by a newer napari-fcn; update napari-fcn."
            )
        return ModelConfig.model_validate(raw)
    except (ValidationError, ValueError, RecursionError) as error:
        raise UserError(
            f"The description inside {path.name} is damaged; take another copy."
        ) from error


def _empty_network(config: ModelConfig) -> nn.Module:
    # On the meta device, so that a hostile description allocates nothing.
    with torch.device("meta"):
        return build_network(config.network)


def _check_shapes(path: Path, network: nn.Module, file: Any) -> None:
    expected = {k: list(v.shape) for k, v in network.state_dict().items()}
    names = list(file.keys())
    found = {name: list(file.get_slice(name).get_shape()) for name in names}
    if expected != found:
        raise UserError(
            f"The weights in {path.name} do not fit the network it describes; take "
            "another copy."
        )
