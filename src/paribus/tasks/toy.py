"""Toy tasks in the plane, from scikit-learn: `moons`, `circles`, `blobs`."""

from __future__ import annotations

from paribus.config.tasks import Blobs, Circles, Moons
from paribus.tasks.pool import Arrays, Pool, cached


def moons(settings: Moons) -> Pool:
    """Two interleaved half circles, as `sklearn.datasets.make_moons` draws them.

    >>> pool = moons(Moons())
    >>> pool.x.shape, pool.classes
    ((1000, 2), 2)
    """

    def make() -> Arrays:
        from sklearn.datasets import make_moons

        arrays: Arrays = make_moons(settings.n, shuffle=True, noise=settings.noise, random_state=settings.random_state)
        return arrays

    call = (
        f"make_moons(n_samples={settings.n}, noise={settings.noise}, shuffle=True, "
        f"random_state={settings.random_state})"
    )
    return cached(call, make)


def circles(settings: Circles) -> Pool:
    """A circle inside another, as `sklearn.datasets.make_circles` draws them."""

    def make() -> Arrays:
        from sklearn.datasets import make_circles

        arrays: Arrays = make_circles(
            settings.n,
            shuffle=True,
            noise=settings.noise,
            random_state=settings.random_state,
            factor=settings.factor,
        )
        return arrays

    call = (
        f"make_circles(n_samples={settings.n}, noise={settings.noise}, factor={settings.factor}, shuffle=True, "
        f"random_state={settings.random_state})"
    )
    return cached(call, make)


def blobs(settings: Blobs) -> Pool:
    """Normal clouds, one a class, as `sklearn.datasets.make_blobs` draws them."""

    def make() -> Arrays:
        from sklearn.datasets import make_blobs

        arrays: Arrays = make_blobs(
            n_samples=settings.n,
            n_features=settings.features,
            centers=settings.centers,
            cluster_std=settings.cluster_std,
            random_state=settings.random_state,
        )
        return arrays

    call = (
        f"make_blobs(n_samples={settings.n}, n_features={settings.features}, centers={settings.centers}, "
        f"cluster_std={settings.cluster_std}, random_state={settings.random_state})"
    )
    return cached(call, make)
