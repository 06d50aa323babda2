"""The 8x8 images of handwritten digits that come with scikit-learn."""

from __future__ import annotations

from dataclasses import replace

from paribus.config.tasks import Digits
from paribus.tasks.pool import Arrays, Pool, cached


def digits(settings: Digits) -> Pool:
    """1,797 images, 64 pixels from 0 to 1, 10 classes, or those of the first so many.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), as scikit-learn has it.

    >>> pool = digits(Digits())
    >>> pool.x.shape, pool.classes, float(pool.x.max())
    ((1797, 64), 10, 1.0)
    """

    def make() -> Arrays:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        return x / 16, y

    pool = cached("load_digits() / 16", make)
    if settings.classes == pool.classes:
        return pool
    kept = pool.y < settings.classes
    source = f"{pool.source}; the first {settings.classes} classes"
    return replace(pool, x=pool.x[kept], y=pool.y[kept], classes=settings.classes, source=source)
