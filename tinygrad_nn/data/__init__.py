"""Data: datasets, and batches of them; digits, pictures, and transforms that make more of them."""

from ..core.moved import publish
from . import transforms
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate, default_collate, random_split
from .digits import Digits, mnist
from .download import FetchError, fetch
from .idx import read_idx, write_idx
from .images import ImageFolder, read_image, save_image
from .loader import DataLoader
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .seeding import WorkerInfo, get_worker_info
from .transformed import Transformed, augment

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FetchError",
    "ImageFolder",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "Transformed",
    "WeightedRandomSampler",
    "WorkerInfo",
    "augment",
    "collate",
    "default_collate",
    "fetch",
    "get_worker_info",
    "mnist",
    "random_split",
    "read_idx",
    "read_image",
    "save_image",
    "transforms",
    "write_idx",
]

publish(globals())
