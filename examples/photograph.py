"""Write the photograph that ships with scikit-image (NASA, public domain) as a JPEG."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from skimage.data import astronaut

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/photograph")
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(astronaut()).save(folder / "astronaut.jpg", quality=95)
