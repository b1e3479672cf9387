"""Transforms of pictures: (C, H, W), or batches (N, C, H, W), of which each picture gets draws of its own.

They take arrays or Tensors and return the same; what they are given is never written to. Random ones draw from the
default generator (`tinygrad_nn.manual_seed`) unless given one. Names and arguments are torchvision's where it has them.
"""

from ...core.moved import publish
from .affine import RandomAffine, RandomRotation
from .base import Compose, Lambda, RandomApply, Transform
from .pixels import Flatten, GaussianNoise, Normalize, ToDtype, ToTensor
from .places import CenterCrop, Pad, RandomCrop, RandomHorizontalFlip, RandomShift, RandomVerticalFlip

__all__ = [
    "CenterCrop",
    "Compose",
    "Flatten",
    "GaussianNoise",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomAffine",
    "RandomApply",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomShift",
    "RandomVerticalFlip",
    "ToDtype",
    "ToTensor",
    "Transform",
]

publish(globals())
