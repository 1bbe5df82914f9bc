"""The networks and losses that one can choose, in plain words.

Nothing heavy is imported here, so that a window can show it at once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkWords:
    """What a person who chooses should know of a network.

    Attributes
    ----------
    title : str
        One line.
    about : str
        What is special about it, and when to take it.
    source : str
        Where it was published.
    settings : tuple of str
        The fields of `NetworkConfig` that make a difference to it, besides name,
        ``ndim``, channels and ``coordinates``.
    """

    title: str
    about: str
    source: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class LossWords:
    """What a person who chooses should know of a loss.

    Attributes
    ----------
    title : str
        One line.
    about : str
        What it minds, and when to take it.
    source : str
        Where it was published; empty for common knowledge.
    """

    title: str
    about: str
    source: str = ""


_UNET = (
    "width",
    "depth",
    "batch_norm",
    "skips",
    "flat_levels",
    "down",
    "up",
    "residual",
    "deep_supervision",
    "scales",
    "photo_features",
    "filter_features",
)
_VGG = ("width", "depth", "batch_norm")
_PUBLISHED_UNET = "Ronneberger et al. 2015"
_LONG = "Long et al. 2015"
_SEGNET = "Badrinarayanan et al. 2015"

NETWORK_WORDS: dict[str, NetworkWords] = {
    "unet": NetworkWords(
        "U-Net, padded",
        "The one to begin with. It looks at the image at several magnifications and "
        "joins them, so that it sees both the place of an edge and what lies around.",
        _PUBLISHED_UNET,
        _UNET,
    ),
    "unet-2015": NetworkWords(
        "U-Net as published, on mirrored tiles",
        "The original: 31 million weights, nothing padded, the image mirrored at its "
        "borders. Accurate and slow; on a computer without a GPU make it narrower. "
        "Its own loss is the cross-entropy with border weights.",
        _PUBLISHED_UNET,
        ("width", "depth", "batch_norm", "flat_levels"),
    ),
    "unet-residual": NetworkWords(
        "U-Net with residual blocks",
        "Each block adds what it found to what it was given. That makes deep networks "
        "easier to train.",
        "He et al. 2016",
        _UNET,
    ),
    "unet-strided": NetworkWords(
        "U-Net with strided convolutions for pooling",
        "It learns how to make the image smaller, in place of keeping the brightest "
        "of four pixels.",
        "Springenberg et al. 2015",
        _UNET,
    ),
    "unet-nearest": NetworkWords(
        "U-Net that enlarges by replication",
        "It enlarges by repeating pixels, which cannot leave a chequered pattern.",
        "Odena et al. 2016",
        _UNET,
    ),
    "unet-indices": NetworkWords(
        "U-Net that enlarges to where the maxima were",
        "On the way up it puts values back to where they came from, as SegNet does, "
        "and joins the levels as a U-Net does.",
        _SEGNET,
        _UNET,
    ),
    "unet-deep": NetworkWords(
        "U-Net with deep supervision",
        "The coarse levels learn to predict, too, which helps deep networks at the "
        "beginning of training.",
        "Lee et al. 2015",
        _UNET,
    ),
    "fcn-32s": NetworkWords(
        "FCN, stride 32",
        "A network for naming photographs, made to name pixels. It decides on a grid "
        "of 32 pixels and interpolates: good at what, poor at where.",
        _LONG,
        _VGG,
    ),
    "fcn-16s": NetworkWords(
        "FCN with one skip",
        "As FCN-32s, but scores of a level twice as fine are added.",
        _LONG,
        (*_VGG, "skips"),
    ),
    "fcn-8s": NetworkWords(
        "FCN with two skips",
        "As FCN-16s, with scores of a level finer still. For large objects without "
        "fine detail.",
        _LONG,
        (*_VGG, "skips"),
    ),
    "segnet": NetworkWords(
        "SegNet, with pooling indices",
        "On the way up it only remembers where the brightest pixels were: little "
        "memory, less sharp than a U-Net.",
        _SEGNET,
        _VGG,
    ),
    "cnn": NetworkWords(
        "Plain CNN of 3x3 convolutions",
        "Small and easy to understand: it makes nothing smaller, and sees few pixels. "
        "Enough where texture and colour tell the classes apart.",
        "Pang et al. 2010",
        ("width", "layers", "batch_norm"),
    ),
    "patch": NetworkWords(
        "Patch classifier, made fully convolutional",
        "It judges each pixel by the window around it, as if the window slid over the "
        "image, but in one pass. Slow, since nothing is made smaller for good.",
        "Cireşan et al. 2012",
        _VGG,
    ),
    "unet-pretrained": NetworkWords(
        "U-Net on an encoder trained on photographs",
        "Its first half has learned from photographs what edges and textures are. "
        "Helps most with colour images and few strokes; its weights are downloaded, or "
        "come from a file.",
        "Deng et al. 2009; He et al. 2016",
        ("width", "encoder", "batch_norm"),
    ),
}
"""All networks by name, also those that need an extra package."""

LOSS_WORDS: dict[str, LossWords] = {
    "ce+jaccard": LossWords(
        "Cross-entropy + Jaccard",
        "The one to begin with: learns fast from single pixels, and minds how well "
        "the regions as a whole overlap.",
    ),
    "ce": LossWords(
        "Cross-entropy",
        "How surprised the network is by the true class of each annotated pixel; rare "
        "classes weigh more.",
    ),
    "ce-border": LossWords(
        "Cross-entropy with border weights",
        "Pixels in thin gaps between two objects count most, so that touching objects "
        "come apart. Needs objects annotated as a whole.",
        _PUBLISHED_UNET,
    ),
    "dice": LossWords(
        "Dice",
        "How much the predicted and the true region overlap. Good where a class is "
        "small; slower to start than cross-entropy.",
        "Milletari et al. 2016",
    ),
    "ce+dice": LossWords(
        "Cross-entropy + Dice",
        "Both together, a common choice in medicine.",
    ),
    "jaccard": LossWords(
        "Jaccard",
        "Overlap over union: stricter than Dice with what is half right.",
    ),
    "power-jaccard": LossWords(
        "Power Jaccard",
        "Jaccard that minds unsure pixels more, by an exponent from 1 to 2 after a "
        "colon: power-jaccard:1.5.",
        "Duque-Arias et al. 2021",
    ),
    "focal": LossWords(
        "Focal",
        "Cross-entropy that forgets what is already right and learns from hard pixels. "
        "For classes that are rare and easily missed.",
        "Lin et al. 2017",
    ),
    "ce+cldice": LossWords(
        "Cross-entropy + centreline Dice",
        "For vessels, fibres, membranes: minds that thin lines are unbroken more than "
        "how thick they are. Needs lines annotated as a whole.",
        "Shit et al. 2021",
    ),
    "ce+0.01*boundary": LossWords(
        "Cross-entropy + boundary",
        "A wrong pixel costs the more, the further it is from the true outline. Needs "
        "objects annotated as a whole.",
        "Kervadec et al. 2019",
    ),
}
"""The losses that a window offers; others can be written as sums of terms."""
