"""Decodes untrusted image files and encodes clean ones. No other room uses a codec for files."""

from counterveil.images.decode import load
from counterveil.images.encode import decode_clean, encode_mask, encode_png
from counterveil.images.limits import Limits

__all__ = ["Limits", "decode_clean", "encode_mask", "encode_png", "load"]
