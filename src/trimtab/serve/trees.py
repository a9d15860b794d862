"""Merges the trees of a `HistGradientBoosting*` model into one, so that a row takes one call instead of one per tree."""

from itertools import pairwise
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

Floats = npt.NDArray[np.float64]

_MAX_COPIES = 2**15
"""Copies of rows that one call predicts: a few megabytes for any number of trees."""


class MergedTrees:
    """The raw predictions of a fitted `HistGradientBoosting*`, equal to its own to the bit.

    All trees hang below a balanced tree that splits on one more feature, the tree's number. Each row is copied once
    per tree, with that number, and one call predicts all copies. The leaves are added in the order of the trees, as in
    scikit-learn, because the sum of floats depends on the order.

    Args:
        estimator: Fitted. Its private attributes are read, so the caller has to compare the predictions.
    """

    def __init__(self, estimator: Any) -> None:
        trees = [tree for stage in estimator._predictors for tree in stage]
        self._baseline = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
        self._numbers = np.arange(len(trees), dtype=np.float64)
        self._merged = _merged(trees, estimator.n_features_in_)
        self._category_bits, map_of = estimator._bin_mapper.make_known_categories_bitsets()
        self._map_of = np.append(map_of, map_of.dtype.type(0))

    def raw(self, codes: Floats) -> Floats:
        """Return the sum of the leaves for each row, shape `(n, outputs)`.

        Args:
            codes: Shape `(n, features)`, encoded as for the trees.
        """
        most = max(1, _MAX_COPIES // len(self._numbers))
        parts = [self._raw(codes[start : start + most]) for start in range(0, len(codes), most)]
        # scikit-learn's softmax adds in the order of memory.
        return np.asfortranarray(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def _raw(self, codes: Floats) -> Floats:
        rows, features = codes.shape
        outputs, trees = len(self._baseline), len(self._numbers)
        copies = np.empty((rows, trees, features + 1))
        copies[:, :, :-1] = codes[:, None, :]
        copies[:, :, -1] = self._numbers
        leaves = self._merged.predict(copies.reshape(rows * trees, -1), self._category_bits, self._map_of, 1)
        sums = np.empty((rows, trees // outputs + 1, outputs))
        sums[:, 0] = self._baseline
        sums[:, 1:] = leaves.reshape(rows, -1, outputs)
        return cast(Floats, np.add.accumulate(sums, axis=1)[:, -1])


def _merged(trees: list[TreePredictor], feature: int) -> TreePredictor:
    """Hang trees below splits on `feature`, which holds a tree's number."""
    ends = np.cumsum([len(trees) - 1, *(len(tree.nodes) for tree in trees)])
    nodes = np.zeros(ends[-1], dtype=trees[0].nodes.dtype)
    bitsets = 0
    for tree, (start, end) in zip(trees, pairwise(ends), strict=True):
        part = nodes[start:end]
        part[:] = tree.nodes
        split = part["is_leaf"] == 0
        for name, offset in (("left", start), ("right", start), ("bitset_idx", bitsets)):
            part[name][split] += np.uint32(offset)
        bitsets += len(tree.raw_left_cat_bitsets)
    _join(nodes, [int(start) for start in ends[:-1]], 0, feature, 0)
    sets = np.concatenate([tree.raw_left_cat_bitsets for tree in trees])
    return TreePredictor(nodes=nodes, binned_left_cat_bitsets=sets, raw_left_cat_bitsets=sets)


def _join(
    nodes: npt.NDArray[Any], roots: list[int], first_tree: int, feature: int, unused: int
) -> tuple[int, int]:
    """Join trees by splits on their numbers, in the nodes from `unused` on; return the root and the next unused node."""
    if len(roots) == 1:
        return roots[0], unused
    half = len(roots) // 2
    left, after_left = _join(nodes, roots[:half], first_tree, feature, unused + 1)
    right, after_right = _join(nodes, roots[half:], first_tree + half, feature, after_left)
    node = nodes[unused]
    node["feature_idx"], node["num_threshold"] = feature, first_tree + half - 0.5
    node["left"], node["right"] = left, right
    return unused, after_right
