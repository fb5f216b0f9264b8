"""What the units of a layer know of a label that they were not trained for."""

import warnings

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

FOLDS = 5


def told_apart(peaks: Float[ndarray, "n u"], labels: Int[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Which pictures a linear support vector machine on the units' peaks assigns to the right label.

    Each picture is judged by a machine that has not seen it (five folds, each with the same mixture of labels). The
    peaks are standardised, C is 1.

    Args:
        peaks: highest activation of each unit in each picture, (n, u).
        labels: one per picture, (n,); those that fewer than five pictures carry are left out.

    Returns:
        Of the pictures that count; empty where fewer than two labels do.

    Source: Bau et al. 2017, sec. 3.6 (a linear SVM on a layer's features); the folds are ours.
    """
    counts = np.bincount(labels)
    chosen = counts[labels] >= FOLDS
    known = labels[chosen]
    if len(set(known.tolist())) < 2:
        return np.zeros(0, dtype=bool)
    machine = make_pipeline(StandardScaler(), LinearSVC(C=1.0, random_state=0))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the accuracy does not wait for the last digit
        return cross_val_predict(machine, peaks[chosen].astype(np.float64), known, cv=folds) == known
