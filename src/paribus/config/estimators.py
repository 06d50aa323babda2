"""Estimators of scikit-learn's as a user's model: what one is, what makes it this one, and its seeds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from paribus.config.identity.library import is_library_class
from paribus.config.overrides import SettingsError
from paribus.config.user_code import UserDefined
from paribus.config.user_errors import RAISED, told


def estimator_defined(thing: Any, name: str | None = None) -> UserDefined:
    """An estimator under a name, that of its class by default: a clone, so that nothing it was fitted to goes along.

    Its fingerprint covers its class, its parameters, those of the estimators in it, and the versions of the libraries
    that these come from. Raises SettingsError for one that cannot be cloned.

    >>> from sklearn.svm import SVC
    >>> one = estimator_defined(SVC(C=2))
    >>> one.name, one == estimator_defined(SVC(C=2)), one == estimator_defined(SVC(C=3))
    ('SVC', True, False)
    """
    from sklearn.base import clone

    from paribus.config.identity.walk import identify

    called = name or type(thing).__name__
    try:
        fresh = clone(thing)
        found = identify((fresh, sorted(_versions(fresh))))
    except RAISED as error:  # whatever the user's class does with its parameters
        raise SettingsError(
            [f"model={called} cannot be cloned, and every run fits a clone of its own: {told(error)}"]
        ) from None
    return UserDefined(name=called, fingerprint=found.fingerprint, thing=fresh, reason=found.reason)


def random_states(estimator: Any) -> dict[str, Any]:
    """Every parameter that is called random_state, those of the estimators in it too, with its value.

    >>> from sklearn.ensemble import BaggingClassifier
    >>> from sklearn.svm import SVC
    >>> random_states(BaggingClassifier(SVC(random_state=1)))
    {'estimator__random_state': 1, 'random_state': None}
    """
    return {
        name: value
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state"
    }


def _versions(estimator: Any) -> Iterator[tuple[str, str]]:
    """The libraries that an estimator and those in it come from."""
    found = {type(one) for one in (estimator, *estimator.get_params(deep=True).values()) if hasattr(one, "get_params")}
    for library in {kind.__module__.partition(".")[0] for kind in found if is_library_class(kind)}:
        yield library, str(getattr(sys.modules.get(library), "__version__", ""))
