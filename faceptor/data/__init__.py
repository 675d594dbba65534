"""Prepared records, crops and warps, augmentation, and the multi-task batch."""
