"""How a metric of the user's own is called: with predicted classes, with probabilities, or as scikit-learn's scorer.

What the function asks for is read off its second parameter, and off the labels that it names.
"""

from __future__ import annotations

import dis
import functools
import inspect
import math
import re
import sys
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paribus.config.identity.library import is_library_file
from paribus.records.metrics import is_scorer
from paribus.tasks.pool import Targets

PROBABILITIES = "probabilities"
"""A second parameter of this name gets them, shape (examples, classes), of two classes too."""

_RESPONSES = {
    "y_score": "predict_proba",
    "y_prob": "predict_proba",
    "y_proba": "predict_proba",
    "pred_decision": "decision_function",
}
"""scikit-learn's names of a second parameter -> the method of a classifier that gives it."""

_OF_PROBABILITIES = {"log_loss", "d2_log_loss_score"}
"""Functions of scikit-learn's that take the probabilities of every class, and in its older versions call them `y_pred`.
Of two classes the second's alone would do, but log(1 - p) loses the digits that log p has."""

_UNCLEAR = re.compile(r"(?:^|_)(?:prob(?:a|as|s|abilit(?:y|ies))?|scores?|logits?|decisions?|confidences?)(?:_|$)")
"""Names of a second parameter that ask for more than predicted classes, but not in which form."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a classifier that has no logits answers for a split: class numbers (examples,); probabilities (examples,
    classes), and what scikit-learn's `decision_function` gives, None where it has none."""

    predicted: NDArray[np.int64]
    classes: int
    probabilities: NDArray[np.floating] | None = None
    decision: NDArray[np.floating] | None = None

    @property
    def methods(self) -> set[str]:
        """Those of scikit-learn's that such a classifier has."""
        there = {"predict_proba": self.probabilities, "decision_function": self.decision}
        return {"predict", *(name for name, one in there.items() if one is not None)}


class _NotAnsweredError(Exception):
    """A metric asks for what the classifier does not give."""


def value(metric: Any, logits: NDArray[np.floating] | Answers, y: Targets, labels: Sequence[Any] = ()) -> float:
    """A metric's value on a split, NaN where it asks for probabilities and there are none. `y`: class numbers;
    `labels`: what the user calls them, if anything. Or `y`: floats, and `logits` (examples, 1) the numbers predicted,
    both in the data's units.

    Raises ValueError for a function that cannot be given what it asks for, and whatever the function itself raises.

    >>> from sklearn.metrics import roc_auc_score
    >>> value(roc_auc_score, np.array([[0.3, 0.0], [0.1, 0.0], [0.2, 0.0]]), np.array([0, 1, 1]))
    1.0
    """
    if isinstance(metric, str):
        raise ValueError(f'{metric!r} is a name, no function: give sklearn.metrics.get_scorer("{metric}")')
    if y.dtype.kind == "f":
        assert not isinstance(logits, Answers)
        return _of_numbers(metric, logits[:, 0].astype(np.float64), y.copy())
    count = logits.classes if isinstance(logits, Answers) else logits.shape[1]
    names_labels = _names_labels(metric, labels or range(count))
    classes = as_array(labels) if names_labels and labels else np.arange(count)
    try:
        return _of_classes(metric, logits, y, classes)
    except _NotAnsweredError:
        return math.nan


def _of_classes(metric: Any, logits: NDArray[np.floating] | Answers, y: Targets, classes: NDArray[Any]) -> float:
    truth = classes[y]  # a copy: the function may write into it
    if is_scorer(metric):
        return _scored(metric, logits, truth, classes)
    second = [*inspect.signature(metric).parameters, "", ""][1]
    if second == PROBABILITIES:
        return float(metric(truth, _probabilities(logits)))
    if _is_sklearns(metric, _OF_PROBABILITIES):
        return float(metric(truth, _probabilities(logits), **_columns(metric, classes)))
    if response := _RESPONSES.get(second):
        return _scored(_scorer(metric, response, classes), logits, truth, classes)
    if _UNCLEAR.search(second):
        raise ValueError(
            f"its second parameter is called {second}: call it probabilities for those of every class, y_score for "
            "scikit-learn's form (of two classes, those of the second alone), or predicted for predicted classes"
        )
    if calls := _called_with_scores(metric):
        raise ValueError(
            f"it gets predicted classes and calls {calls}, which takes probabilities or scores: call its second "
            "parameter y_score for scikit-learn's form, or probabilities for those of every class"
        )
    predicted = logits.predicted if isinstance(logits, Answers) else logits.argmax(axis=1)
    return float(metric(truth, classes[predicted]))


def _probabilities(logits: NDArray[np.floating] | Answers) -> NDArray[np.floating]:
    """Of every class, for a function that may write into them."""
    if not isinstance(logits, Answers):
        return softmax(logits)
    if logits.probabilities is None:
        raise _NotAnsweredError
    return logits.probabilities.copy()


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities, exp(z) / sum exp(z) over the classes, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    powers: NDArray[np.float64] = np.exp(shifted)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _of_numbers(metric: Any, predicted: NDArray[np.float64], y: Targets) -> float:
    """Of numbers predicted."""
    if is_scorer(metric):
        asked = getattr(metric, "_response_method", "predict")
        if asked != "predict" and "predict" not in asked:
            raise ValueError(f"it is a scorer of classes (it asks for {asked}), and these data have numbers to predict")
        return float(metric(_regressor()(), predicted[:, None], y))
    second = [*inspect.signature(metric).parameters, "", ""][1]
    if second in (PROBABILITIES, *_RESPONSES) or _is_sklearns(metric, _OF_PROBABILITIES):
        raise ValueError(f"its second parameter, {second}, asks for classes' scores, and these are numbers to predict")
    return float(metric(y, predicted))


# --- the user's labels -----------------------------------------------------------------------------------------------


def _given(metric: Any) -> Mapping[str, Any]:
    """The keywords that a scorer or a partial gives to its function."""
    if is_scorer(metric):
        return {**_given(getattr(metric, "_score_func", None)), **getattr(metric, "_kwargs", {})}
    if isinstance(metric, partial):
        return {**_given(metric.func), **metric.keywords}
    return {}


def _names_labels(metric: Any, labels: Sequence[Any]) -> bool:
    """Whether a metric names labels of the data, and so has to see them; ValueError if there are no such labels."""
    given = _given(metric)
    named = {key: given[key] for key in ("pos_label", "labels") if given.get(key) is not None}
    for key, one in named.items():
        if any(label not in labels for label in (list(one) if key == "labels" else [one])):
            shown = ", ".join(map(repr, labels[:10])) + (", ..." if len(labels) > 10 else "")
            raise ValueError(f"{key}={one!r} is no label of the data: there is {shown}")
    return bool(named)


def as_array(labels: Sequence[Any]) -> NDArray[Any]:
    """Labels as scikit-learn takes them: numbers or text; others one by one, as they are."""
    if all(isinstance(label, int) for label in labels) or all(isinstance(label, str) for label in labels):
        return np.array(labels)
    found = np.empty(len(labels), dtype=object)
    for place, label in enumerate(labels):
        found[place] = label
    return found


# --- scikit-learn's scorers ------------------------------------------------------------------------------------------


def _is_sklearns(metric: Any, names: set[str] | None = None) -> bool:
    while isinstance(metric, partial):
        metric = metric.func
    module, name = str(getattr(metric, "__module__", "")), getattr(metric, "__name__", "")
    return module.startswith("sklearn.") and (names is None or name in names)


def _called_with_scores(metric: Any) -> str | None:
    """As `_found_calling`, looked for once for each function: it is asked at every evaluation."""
    return _remembered(metric) if isinstance(metric, Hashable) else _found_calling(metric)


@functools.lru_cache(maxsize=64)
def _remembered(metric: Any) -> str | None:
    return _found_calling(metric)


def _found_calling(metric: Any) -> str | None:
    """The function of scikit-learn's that takes more than predicted classes and that a function of the user's calls, as
    far as it is seen: by its name in the code, in functions and comprehensions inside it, in a closure or a default, or
    in other functions of the user's that it names. None where there is none."""
    waiting: list[Any] = [] if _is_sklearns(metric) else [metric]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        while isinstance(one, partial):
            one = one.func
        if _is_sklearns(one):
            if inspect.isfunction(one) and _takes_scores(one):
                return one.__name__
            continue
        function = inspect.unwrap(one) if callable(one) else None
        if function is not None and not inspect.isfunction(function):  # a method, or an object that is called
            function = getattr(function, "__func__", None) or type(function).__dict__.get("__call__")
        if not inspect.isfunction(function) or id(function) in seen or is_library_file(function.__code__.co_filename):
            continue
        seen.add(id(function))
        waiting += _named(function)
    return None


def _takes_scores(function: Any) -> bool:
    second = [*inspect.signature(function).parameters, "", ""][1]
    return second in _RESPONSES or _is_sklearns(function, _OF_PROBABILITIES)


def _named(function: types.FunctionType) -> list[Any]:
    """What a function reaches: values of its globals, its closure and its defaults; and what its code takes out of
    `sklearn.metrics`, which it names by a global or imports."""
    codes, names, globals_ = [function.__code__], set[str](), set[str]()
    for code in codes:  # grows as it goes
        names |= set(code.co_names)
        globals_ |= {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
        codes += [one for one in code.co_consts if isinstance(one, types.CodeType)]
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell.cell_contents is not function]
    found = [function.__globals__[name] for name in globals_ if name in function.__globals__]
    found += [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    library = sys.modules.get("sklearn.metrics")
    modules = [one.__name__ for one in found if isinstance(one, types.ModuleType)]
    if library is not None and any(name.split(".")[0] == "sklearn" for name in [*modules, *names]):
        found += [getattr(library, name) for name in names if hasattr(library, name)]
    return [one for one in found if callable(one)]


def _columns(metric: Any, classes: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """What tells one of scikit-learn's functions the classes of the columns: a split need not hold every class."""
    labels = inspect.signature(metric).parameters.get("labels")
    return {"labels": classes} if labels is not None and labels.default is None and _is_sklearns(metric) else {}


def _scorer(metric: Any, response: str, classes: NDArray[Any]) -> Any:
    """A function as a scorer, which knows the forms of two and of more classes."""
    from sklearn.metrics import make_scorer

    return make_scorer(metric, response_method=response, **_columns(metric, classes))


def _scored(scorer: Any, logits: NDArray[np.floating] | Answers, truth: NDArray[Any], classes: NDArray[Any]) -> float:
    function, given = getattr(scorer, "_score_func", None), _given(scorer)
    multi_class = inspect.signature(function).parameters.get("multi_class") if callable(function) else None
    if len(classes) > 2 and multi_class is not None and given.get("multi_class", multi_class.default) == "raise":
        raise ValueError(
            f'of {len(classes)} classes it needs multi_class="ovr" or "ovo", as in functools.partial(roc_auc_score, '
            'multi_class="ovr") or get_scorer("roc_auc_ovr")'
        )
    asked = getattr(scorer, "_response_method", "predict")
    if isinstance(logits, Answers):
        if not {asked} & logits.methods if isinstance(asked, str) else not logits.methods.intersection(asked):
            raise _NotAnsweredError
        rows = np.arange(len(truth))[:, None]
        return float(scorer(_answering()(classes, logits), rows, truth))
    decides = set([asked] if isinstance(asked, str) else asked) == {"decision_function"}
    return float(scorer(_classifiers()[decides](classes), logits, truth))


@functools.cache
def _regressor() -> Callable[[], Any]:
    """An estimator whose inputs are the numbers that it predicts."""
    from sklearn.base import BaseEstimator, RegressorMixin

    class Regressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def predict(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
            return predicted[:, 0]

    return Regressor


@functools.cache
def _answering() -> Callable[..., Any]:
    """A classifier whose inputs are the rows' numbers, and that has what the one that answered has."""
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.metaestimators import available_if

    def has(method: str) -> Any:
        return available_if(lambda self: method in self.answers.methods)

    class Answering(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, classes: NDArray[Any], answers: Answers) -> None:
            self.classes = self.classes_ = classes
            self.answers = answers

        def predict(self, rows: NDArray[np.int64]) -> NDArray[Any]:
            found: NDArray[Any] = self.classes_[self.answers.predicted[rows[:, 0]]]
            return found

        @has("predict_proba")  # type: ignore[untyped-decorator]
        def predict_proba(self, rows: NDArray[np.int64]) -> Any:
            return self.answers.probabilities[rows[:, 0]]  # type: ignore[index]  # it is there

        @has("decision_function")  # type: ignore[untyped-decorator]
        def decision_function(self, rows: NDArray[np.int64]) -> Any:
            return self.answers.decision[rows[:, 0]]  # type: ignore[index]  # as above

    return Answering


@functools.cache
def _classifiers() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Two classifiers whose inputs are the network's logits: without and with a decision function.

    The second is for who asks for nothing else. Where probabilities will do they are what is taken, so that a scorer
    and its function give one value.
    """
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, classes: NDArray[Any]) -> None:
            self.classes = self.classes_ = classes

        def predict(self, logits: NDArray[np.floating]) -> NDArray[Any]:
            found: NDArray[Any] = self.classes_[logits.argmax(axis=1)]
            return found

        def predict_proba(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
            return softmax(logits)

    class Deciding(Classifier):
        def decision_function(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
            """Of two classes the log-odds of the second, else the logits."""
            z = logits.astype(np.float64)
            return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z

    return Classifier, Deciding
