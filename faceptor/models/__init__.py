"""Models: modules that take numbers, and `build`, which knows the configuration.

Shape legend of this package: B images, C channels, h w patch grid, L encoder layers, N queries, H heads, M memory
tokens (L * h * w). Each file says what else its letters mean.
"""

from faceptor._compat import ensure_torchvision

ensure_torchvision()  # timm imports torchvision, whose compiled part may not match this torch
