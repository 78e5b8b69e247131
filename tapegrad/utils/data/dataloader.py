"""`torch.utils.data.dataloader`: names of `tapegrad.data`."""

from ...data import DataLoader, default_collate, default_convert, get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]
