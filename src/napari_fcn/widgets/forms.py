"""Forms built from the fields of frozen settings, and read back into them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from magicgui.widgets import (
    ComboBox,
    Container,
    FloatSpinBox,
    SpinBox,
    create_widget,
)
from pydantic import BaseModel, ValidationError
from qtpy.QtWidgets import QComboBox

from napari_fcn.errors import UserError
from napari_fcn.widgets.aligned import Aligner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

Settings = TypeVar("Settings", bound=BaseModel)

_BOUNDS = {"ge": "min", "gt": "min", "le": "max", "lt": "max"}


class Form(Generic[Settings]):
    """Controls for some fields of a pydantic model.

    Parameters
    ----------
    settings : BaseModel
        What is shown at first; fields without a control keep their values.
    fields : mapping
        Field name to its words in the form.
    choices : mapping
        Field name to the values one may choose from.
    """

    def __init__(
        self,
        settings: Settings,
        fields: Mapping[str, str],
        choices: Mapping[str, tuple[Any, ...]] | None = None,
    ) -> None:
        self._settings = settings
        descriptions = _descriptions(type(settings))
        self._optional = {
            name
            for name in fields
            if type(settings).model_fields[name].annotation == (int | None)
        }
        controls = []
        for name, words in fields.items():
            control = self._control(name, words, (choices or {}).get(name))
            control.tooltip = descriptions.get(name, "")
            controls.append(control)
        self.container: Container[Any] = Container(widgets=controls, labels=True)
        Aligner(self.container.native)
        self._shown: dict[str, Any] = {}
        self.show(settings)

    def _control(self, name: str, words: str, choices: tuple[Any, ...] | None) -> Any:
        info = type(self._settings).model_fields[name]
        if name in self._optional:
            return _number_or_auto(name, words, _options(info))
        shown = {
            "name": name,
            "label": words,
            "value": getattr(self._settings, name),
        }
        control: Any
        if choices:  # None may be one of them
            control = ComboBox(choices=choices, **shown)
        else:
            control = create_widget(
                annotation=info.annotation, options=_options(info), **shown
            )
        if isinstance(control, FloatSpinBox):  # one digit more than the default has
            control.native.setDecimals(max(2, 1 - _magnitude(info.default)))
        if isinstance(control, ComboBox):  # long names must not widen the dock
            control.native.setMinimumContentsLength(8)
            control.native.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        return control

    def value(self) -> Settings:
        """Return the settings as the form shows them.

        What has not been touched keeps its value, even where a control would round it.

        Raises
        ------
        UserError
            If they do not go together.
        """
        changes = {
            control.name: self._read(control)
            for control in self.container
            if control.value != self._shown[control.name]
        }
        try:
            return type(self._settings).model_validate(
                {**self._settings.model_dump(), **changes}
            )
        except ValidationError as error:
            raise UserError(self._explain(error)) from error

    def _read(self, control: Any) -> Any:
        if control.name not in self._optional:
            return control.value
        return None if control.value == control.min else int(control.value)

    def show(self, settings: Settings) -> None:
        """Show other settings."""
        self._settings = settings
        with self.container.changed.blocked():
            for control in self.container:
                value = getattr(settings, control.name)
                left_open = value is None and control.name in self._optional
                _display(control, control.min if left_open else value)
        self._shown = {control.name: control.value for control in self.container}

    def _explain(self, error: ValidationError) -> str:
        reason = error.errors()[0]
        why = reason["msg"].removeprefix("Value error, ")
        place = [str(part) for part in reason["loc"]]
        if not place:
            return f"The settings do not go together ({why}); change one of them."
        name = next((c.label for c in self.container if c.name == place[0]), place[0])
        return f"The setting “{name}” does not fit ({why}); change it."


def _number_or_auto(name: str, words: str, options: dict[str, Any]) -> FloatSpinBox:
    """Make the control of a whole number that may be left open.

    Its lowest position, below all numbers that one may choose, reads "auto". The
    control that magicgui has for whole numbers cannot show words.
    """
    lowest = options["min"] - 1
    control = FloatSpinBox(
        value=lowest, name=name, label=words, min=lowest, max=options["max"], step=1
    )
    control.native.setDecimals(0)
    control.native.setSpecialValueText("auto")
    return control


def _display(control: Any, value: Any) -> None:
    """Show a value, if need be one that the control would not have offered."""
    if isinstance(control, ComboBox) and value not in control.choices:
        control.set_choice(str(value), value)
    if isinstance(control, FloatSpinBox):
        needed = -int(Decimal(str(value)).normalize().as_tuple().exponent)
        control.native.setDecimals(max(needed, control.native.decimals()))
    if isinstance(control, SpinBox | FloatSpinBox):
        value = min(max(value, control.min), control.max)
    control.value = value


def _options(info: FieldInfo) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for constraint in info.metadata:
        for name, bound in _BOUNDS.items():
            if hasattr(constraint, name):
                options[bound] = getattr(constraint, name)
    if info.annotation is float:
        options["step"] = 10 ** _magnitude(info.default)
    if info.annotation in (int, int | None) and "max" in options:
        options["max"] = min(options["max"], 2**31 - 1)
    return options


def _magnitude(value: Any) -> int:
    """Return the power of ten that a value should be changed by."""
    text = f"{float(value or 0.1):e}"
    return int(text.split("e")[1]) - (0 if text[0] != "1" else 1)


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Read what each field means from the docstring of its class."""
    found: dict[str, str] = {}
    name = ""
    for line in (model.__doc__ or "").split("Attributes")[-1].splitlines():
        text = line.strip().replace("``", "")
        if " : " in text:
            name = text.split(" : ")[0]
            for part in name.split(", "):
                found[part] = ""
        elif text and name and not text.startswith("-"):
            for part in name.split(", "):
                found[part] = f"{found[part]} {text}".strip()
    return found
