"""Data: datasets, and batches of them."""

from .dataset import Dataset, Subset, TensorDataset, collate, random_split
from .loader import DataLoader

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "collate", "random_split"]
