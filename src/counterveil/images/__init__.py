"""Untrusted bytes in, RGB photos out; clean bytes back. The only room that touches a codec."""

from counterveil.images.encode import decode_clean, encode_mask, encode_png, write_atomic
from counterveil.images.limits import Limits
from counterveil.images.load import load

__all__ = ["Limits", "decode_clean", "encode_mask", "encode_png", "load", "write_atomic"]
