"""Tasks whose targets are numbers to predict: `diabetes` and `friedman` from scikit-learn, `sine`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paribus.config.tasks import Diabetes, Friedman, Sine
from paribus.tasks.pool import Arrays, Pool, cached


def diabetes(settings: Diabetes) -> Pool:  # noqa: ARG001 (it has no settings of its own)
    """442 patients, 10 measurements, and a measure of the disease a year later, from 25 to 346.

    Source: Efron, Hastie, Johnstone and Tibshirani, Least angle regression (Annals of Statistics 2004).

    >>> pool = diabetes(Diabetes())
    >>> pool.x.shape, pool.classes, pool.y[:2].tolist()
    ((442, 10), 0, [151.0, 75.0])
    """

    def make() -> Arrays:
        from sklearn.datasets import load_diabetes

        x, y = load_diabetes(return_X_y=True)
        return x, y.astype(np.float64)

    return cached("load_diabetes()", make)


def friedman(settings: Friedman) -> Pool:
    """y = 10 sin(pi x0 x1) + 20 (x2 - 1/2)^2 + 10 x3 + 5 x4 + noise, inputs even between 0 and 1.

    Source: Friedman, Multivariate adaptive regression splines (Annals of Statistics 1991), as scikit-learn draws it.
    """

    def make() -> Arrays:
        from sklearn.datasets import make_friedman1

        arrays: Arrays = make_friedman1(
            n_samples=settings.n,
            n_features=settings.features,
            noise=settings.noise,
            random_state=settings.random_state,
        )
        return arrays

    call = (
        f"make_friedman1(n_samples={settings.n}, n_features={settings.features}, noise={settings.noise}, "
        f"random_state={settings.random_state})"
    )
    return cached(call, make)


def sine(settings: Sine) -> Pool:
    """y = sin(x) + noise, x even between -pi and pi.

    >>> pool = sine(Sine(noise=0))
    >>> pool.x.shape, bool((pool.y == np.sin(pool.x[:, 0])).all())
    ((400, 1), True)
    """
    # NumPy keeps RandomState's stream for ever (NEP 19)
    generator = np.random.RandomState(settings.random_state)
    x = generator.uniform(-np.pi, np.pi, (settings.n, 1))
    y = np.sin(x[:, 0]) + settings.noise * generator.standard_normal(settings.n)
    x.flags.writeable = y.flags.writeable = False
    source = f"sin(x) + {settings.noise:g} noise, {settings.n} examples, random_state={settings.random_state}"
    return Pool(x=x, y=y, classes=0, source=source, function=_sine)


def _sine(x: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.sin(x[:, 0].astype(np.float64))
