"""Customer segments by value, behaviour and life stage, and the simple rule."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.stats import t
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from ml.estimator import check_frame
from ml.segments.dimensions import DimensionScaler
from ml.segments.naming import name_segments

VALUE_COLUMN, AGE_COLUMN = "contribution_margin_12m", "age"
# Words of the simple rule, the last for all others.
RULE_VALUES = ["value unknown", "loss-making", "low value", "medium value", "high value"]
RULE_STAGES = ["age unknown", "under 30", "30–44", "45–61", "62+"]
# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "1"
FEWEST_SEGMENTS, MOST_SEGMENTS = 5, 10
RESTARTS = 2
# The farthest move with which a segment keeps its id, as a share of the distance to the nearest
# other segment.
MOST_DRIFT = 0.5
# Negligible instability: one customer in a hundred between two groups.
LEAST_INSTABILITY = 0.005
# Rows of the tree that K-means starts from: its cost grows with their square.
TREE = 700
# The largest excess of the sum of squares from the previous centres over that from the best start:
# below it, another start finds the same structure and moves customers without need.
TOLERATED_LOSS = 0.02


def _squared_distances(matrix: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Shape (n, centres)."""
    squares = (
        (matrix**2).sum(axis=1)[:, None] - 2 * matrix @ centres.T + (centres**2).sum(axis=1)[None]
    )
    return np.maximum(squares, 0)


def _nearest(matrix: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return _squared_distances(matrix, centres).argmin(axis=1)


def _kmeans(matrix: np.ndarray, start: int | np.ndarray, starts: int, seed: int) -> KMeans:
    """K-means from `starts` random starts of k-means++, or from given centres."""
    number, first = (start, "k-means++") if isinstance(start, int) else (len(start), start)
    return KMeans(number, init=first, n_init=starts, tol=1e-3, random_state=seed).fit(matrix)


def _best(matrix: np.ndarray, start: np.ndarray, starts: int, seed: int) -> np.ndarray:
    """Centres of the best of given and random starts, shape of `start`."""
    fits = [_kmeans(matrix, start, 1, seed), _kmeans(matrix, len(start), starts, seed)]
    return min(fits, key=lambda fitted: fitted.inertia_).cluster_centers_


def _ward_centres(matrix: np.ndarray, numbers: Iterable[int]) -> dict[int, np.ndarray]:
    """Starts for K-means from Ward's (1963) tree of the first rows, which are in random order.

    One tree serves every number, and it depends only on the customers: with random starts, the
    index of stability depends on chance (0.6 to 0.9 for the same data and number).
    """
    rows = matrix[:TREE]
    tree = linkage(rows, "ward")
    starts = {}
    for number in numbers:
        leaf = fcluster(tree, number, "maxclust")
        means = np.array([rows[leaf == one].mean(axis=0) for one in np.unique(leaf)])
        # With equal rows there are fewer branches than requested: any rows fill up.
        starts[number] = np.concatenate([means, matrix[: number - len(means)]])
    return starts


def _jaccard(one: np.ndarray, other: np.ndarray, number: int) -> np.ndarray:
    """|both| / |either| of each pair of clusters, shape (number, number); 0 for two empty ones."""
    joint = np.zeros((number, number))
    np.add.at(joint, (one, other), 1)
    either = joint.sum(axis=1)[:, None] + joint.sum(axis=0)[None] - joint
    return joint / np.maximum(either, 1)


def _number(segment: str) -> int:
    return int(segment[1:])


def matched(before: np.ndarray, after: np.ndarray, least_overlap: float = 0.5) -> dict[int, str]:
    """Segments of a new clustering that continue an earlier one.

    Pairs are those of the assignment with the most common customers (Kuhn, 1955), kept if the
    Jaccard coefficient, |both| / |either|, reaches `least_overlap` (Hennig, 2007: below one half, a
    cluster has dissolved). A pair above one half is always part of that assignment.

    Parameters
    ----------
    before : array of shape (n,), ids by the previous model
    after : array of shape (n,), numbers of the new clusters of the same customers

    Returns
    -------
    dict, number of the new cluster → id
    """
    ids, row = np.unique(before, return_inverse=True)
    clusters, column = np.unique(after, return_inverse=True)
    joint = np.zeros((len(ids), len(clusters)), dtype=int)
    np.add.at(joint, (row, column), 1)
    either = joint.sum(axis=1)[:, None] + joint.sum(axis=0)[None] - joint
    return {
        int(clusters[j]): str(ids[i])
        for i, j in zip(*linear_sum_assignment(joint, maximize=True), strict=True)
        if joint[i, j] / either[i, j] >= least_overlap
    }


class SegmentModel(BaseEstimator):
    """K-means on the dimensions of three views with equal weight, with permanent ids.

    The number of segments is the largest that is about as stable as the most stable. Instability is
    1 − the mean adjusted Rand index between the clusters of a sample and those of its bootstrap
    resamples (von Luxburg, 2010); up to `tolerance` more of it is accepted for more segments, if
    every segment is recovered, by the Jaccard coefficient with the most similar cluster of the
    resamples (Hennig, 2007). A refresh keeps the number of the previous model unless the most
    stable is better by more than the 95 % interval of the difference, and starts from the previous
    centres unless another start fits clearly better: segments should not change with random draws.

    The file contains only centres, scales and group figures, nothing of a single customer.

    Parameters
    ----------
    seed : int
    segments : int or None
        A fixed number, or None to choose from `fewest` to `most`.
    sample : int
        The most customers used to choose the number and the start.
    resamples : int
        Bootstrap refits for each number.
    starts : int
        Starts of K-means (k-means++), of which the best is kept.
    tolerance : float
        Instability above that of the most stable number, as a share of it, that is accepted for
        more segments.
    least_recovery : float
        Mean Jaccard coefficient over the resamples that every segment of a number must reach
        (Hennig calls clusters from 0.75 stable); if no number does, all are candidates.
    least_share : float
        Numbers with a segment smaller than this share of the sample are not chosen.
    least_overlap : float
        Jaccard coefficient from which a segment keeps its id and name, if its centre has not moved
        by more than `MOST_DRIFT`: customers of a new kind all join the nearest segments, and may
        outnumber the original ones.

    Attributes
    ----------
    names_ : dict, id → name; in the order of descending mean value
    segments_ : list of str, ids in the order of `centres_`
    centres_ : array of shape (segments, dimensions), on the scale of `scaler_`
    columns_ : list of str, the features read
    dimensions_ : list of str
    retired_ : list of str, ids of former segments, which are not reused
    stability_ : dict with segments, mean, low, high: adjusted Rand index of refits with its 95 %
        interval, least_recovery: Jaccard coefficient of the segment with the worst recovery, and
        by_number: number → mean
    overlap_ : dict, id kept → Jaccard coefficient with the previous model's segment
    """

    def __init__(
        self,
        seed: int = 0,
        segments: int | None = None,
        fewest: int = FEWEST_SEGMENTS,
        most: int = MOST_SEGMENTS,
        sample: int = 3_000,
        resamples: int = 8,
        starts: int = 8,
        tolerance: float = 0.5,
        least_recovery: float = 0.75,
        least_share: float = 0.02,
        least_overlap: float = 0.5,
    ) -> None:
        self.seed = seed
        self.segments = segments
        self.fewest = fewest
        self.most = most
        self.sample = sample
        self.resamples = resamples
        self.starts = starts
        self.tolerance = tolerance
        self.least_recovery = least_recovery
        self.least_share = least_share
        self.least_overlap = least_overlap

    def fit(self, frame: pd.DataFrame, previous: SegmentModel | None = None) -> SegmentModel:
        """Segments of the customers of one month.

        Parameters
        ----------
        frame : frame of shape (n, features), a row a customer
        previous : the model of an earlier month, whose ids and names are continued

        Raises
        ------
        ValueError
            When no feature differs, or there are fewer different customers than segments.
        """
        self.scaler_ = DimensionScaler().fit(frame)
        self.columns_ = self.scaler_.columns_
        self.dimensions_ = self.scaler_.dimensions_
        matrix = self.scaler_.transform(frame)
        generator = np.random.default_rng(self.seed)
        sample = matrix[generator.permutation(len(matrix))[: self.sample]]
        different = len(np.unique(sample, axis=0))
        if different < (self.segments or self.fewest):
            raise ValueError(
                f"features are invalid: expected {self.segments or self.fewest} or more different "
                f"customers, got {different}"
            )
        before = None
        if previous is not None:
            # The previous model treats a column that the bank no longer has as missing.
            before = previous.predict(frame.reindex(columns=previous.columns_))
        # For such small fits, several threads cost more than they gain.
        with threadpool_limits(1):
            start = self._choose(sample, previous, different)
            centres = self._centres(matrix, start, before)
        self._identify(matrix, self.scaler_.natural(frame), centres, previous, before, frame)
        return self

    # Numbers and centres.

    def _choose(
        self, sample: np.ndarray, previous: SegmentModel | None, different: int
    ) -> np.ndarray:
        """Centres of the sample, one for each segment."""
        generator = np.random.default_rng(self.seed)
        asked = [self.segments] if self.segments else range(self.fewest, self.most + 1)
        numbers = [number for number in asked if number <= different]
        starts = _ward_centres(sample, numbers)
        centres = {
            number: _best(sample, starts[number], self.starts, self.seed) for number in numbers
        }
        own = {number: _nearest(sample, centres[number]) for number in numbers}
        indices: dict[int, list[float]] = {number: [] for number in numbers}
        found: dict[int, list[np.ndarray]] = {number: [] for number in numbers}
        for turn in range(self.resamples):
            drawn = sample[generator.integers(0, len(sample), len(sample))]
            starts = _ward_centres(drawn, numbers)
            for number in numbers:
                again = _best(drawn, starts[number], RESTARTS, self.seed + turn + 1)
                other = _nearest(sample, again)
                indices[number].append(float(adjusted_rand_score(own[number], other)))
                found[number].append(_jaccard(own[number], other, number).max(axis=1))
        mean = {number: float(np.mean(indices[number])) for number in numbers}
        width = float(t.ppf(0.975, self.resamples - 1) / np.sqrt(self.resamples))
        interval = {number: width * float(np.std(indices[number], ddof=1)) for number in numbers}
        recovery = {number: float(np.mean(found[number], axis=0).min()) for number in numbers}
        smallest = {
            number: np.bincount(own[number], minlength=number).min() / len(sample)
            for number in numbers
        }
        large = [number for number in numbers if smallest[number] >= self.least_share] or numbers
        candidates = [
            number for number in large if recovery[number] >= self.least_recovery
        ] or large
        best = max(candidates, key=lambda number: mean[number])

        allowed = (1 - mean[best]) * (1 + self.tolerance) + LEAST_INSTABILITY
        chosen = max(number for number in candidates if 1 - mean[number] <= allowed)
        if previous is not None and len(previous.segments_) in large:
            kept = len(previous.segments_)
            difference = float(np.hypot(interval[best], interval[kept]))
            chosen = kept if mean[kept] >= mean[best] - difference else chosen
        self.stability_ = {
            "segments": chosen,
            "mean": mean[chosen],
            "low": max(mean[chosen] - interval[chosen], -1.0),
            "high": min(mean[chosen] + interval[chosen], 1.0),
            "least_recovery": recovery[chosen],
            "by_number": {str(number): mean[number] for number in numbers},
        }
        return centres[chosen]

    def _centres(
        self, matrix: np.ndarray, start: np.ndarray, before: np.ndarray | None
    ) -> np.ndarray:
        """Centres of all customers, from the sample's or the previous model's."""
        centres = _kmeans(matrix, start, 1, self.seed)
        if before is None:
            return centres.cluster_centers_
        segments = np.unique(before)
        if len(segments) != len(start):
            return centres.cluster_centers_
        means = np.array([matrix[before == segment].mean(axis=0) for segment in segments])
        continued = _kmeans(matrix, means, 1, self.seed)
        if continued.inertia_ <= centres.inertia_ * (1 + TOLERATED_LOSS):
            return continued.cluster_centers_
        return centres.cluster_centers_

    # Ids, names and profiles.

    def _identify(
        self,
        matrix: np.ndarray,
        natural: pd.DataFrame,
        centres: np.ndarray,
        previous: SegmentModel | None,
        before: np.ndarray | None,
        frame: pd.DataFrame,
    ) -> None:
        assigned = _nearest(matrix, centres)
        # Without values, the largest segment comes first.
        rank_by = natural["value"] if "value" in natural else pd.Series(np.ones(len(natural)))
        order_by = rank_by.groupby(assigned).agg("mean" if "value" in natural else "sum")
        order = [int(cluster) for cluster in order_by.sort_values(ascending=False).index]
        ids: dict[int, str] = {}
        self.retired_: list[str] = []
        used = 0
        self.overlap_: dict[str, float] = {}
        if previous is not None and before is not None:
            drift = self._drift(frame, assigned, previous)
            ids = {
                cluster: segment
                for cluster, segment in matched(before, assigned, self.least_overlap).items()
                if drift[cluster, previous.segments_.index(segment)] < MOST_DRIFT
            }
            for cluster, segment in ids.items():
                new, old = assigned == cluster, before == segment
                self.overlap_[segment] = float((new & old).sum() / (new | old).sum())
            ended = [segment for segment in previous.segments_ if segment not in ids.values()]
            self.retired_ = sorted([*previous.retired_, *ended], key=_number)
            used = max(map(_number, [*previous.segments_, *previous.retired_]))
        for cluster in order:
            if cluster not in ids:
                used += 1
                ids[cluster] = f"S{used}"
        self.segments_: list[str] = [ids[cluster] for cluster in order]
        self.centres_ = centres[order]
        place = np.empty(len(centres), dtype=int)
        place[order] = np.arange(len(order))
        self._describe(natural, place[assigned])
        kept = {} if previous is None else previous.names_
        kept = {segment: kept[segment] for segment in self.segments_ if segment in kept}
        fresh = name_segments(
            {segment: by for segment, by in self._deviations().items() if segment not in kept},
            losing=[
                segment
                for segment, mean in zip(self.segments_, self.means_.get("value", []), strict=False)
                if mean < 0
            ],
            taken=list(kept.values()),
        )
        self.names_: dict[str, str] = {
            segment: kept.get(segment) or fresh[segment] for segment in self.segments_
        }

    def _drift(
        self, frame: pd.DataFrame, assigned: np.ndarray, previous: SegmentModel
    ) -> np.ndarray:
        """Distance of each new centre from each previous one, as a share of the previous one's
        distance to the nearest other previous centre, shape (new, previous).

        On the previous scale, in the dimensions that both models have.
        """
        both = np.isin(previous.dimensions_, self.dimensions_)
        matrix = previous.scaler_.transform(frame.reindex(columns=previous.columns_))[:, both]
        count = assigned.max() + 1
        centres = np.array([matrix[assigned == cluster].mean(axis=0) for cluster in range(count)])
        old = previous.centres_[:, both]
        apart = np.sqrt(_squared_distances(old, old))
        np.fill_diagonal(apart, np.inf)
        return np.sqrt(_squared_distances(centres, old)) / np.maximum(apart.min(axis=0), 1e-12)

    def _deviations(self) -> dict[str, dict[str, float]]:
        return {
            segment: dict(zip(self.dimensions_, map(float, centre), strict=True))
            for segment, centre in zip(
                self.segments_, self.centres_ / self.scaler_.weight_, strict=True
            )
        }

    def _describe(self, natural: pd.DataFrame, place: np.ndarray) -> None:
        count = len(self.segments_)
        self.customers_ = np.bincount(place, minlength=count)
        groups = natural.groupby(place)
        every = range(count)
        means, medians = groups.mean().reindex(every), groups.median().reindex(every)
        self.means_: dict[str, np.ndarray] = {
            name: means[name].to_numpy() for name in self.dimensions_
        }
        self.medians_ = {name: medians[name].to_numpy() for name in self.dimensions_}
        self.population_mean_ = natural.mean().to_dict()
        self.population_median_ = natural.median().to_dict()

    @property
    def profile_(self) -> pd.DataFrame:
        """The segments as fitted, a row each.

        Columns: segment, name, customers, share, value_mean (NaN without values; currency a year),
        and for each dimension its `<dimension>_mean`, `<dimension>_median`, the population's
        `<dimension>_population_mean` and `<dimension>_population_median` (all in the dimension's
        own unit) and `<dimension>_deviation`, the segment's mean less the population's in standard
        deviations of the scale that customers are compared on.
        """
        table: dict[str, object] = {
            "segment": self.segments_,
            "name": [self.names_[segment] for segment in self.segments_],
            "customers": self.customers_,
            "share": self.customers_ / self.customers_.sum(),
            "value_mean": self.means_.get("value", np.full(len(self.segments_), np.nan)),
        }
        deviations = self.centres_ / self.scaler_.weight_
        for number, name in enumerate(self.dimensions_):
            table[f"{name}_mean"] = self.means_[name]
            table[f"{name}_median"] = self.medians_[name]
            table[f"{name}_population_mean"] = self.population_mean_[name]
            table[f"{name}_population_median"] = self.population_median_[name]
            table[f"{name}_deviation"] = deviations[:, number]
        return pd.DataFrame(table)

    # Customers.

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Ids of the nearest segments, shape (n,), str.

        Raises
        ------
        ValueError
            When a column that was there when fitting is missing; names all of them.
        """
        check_is_fitted(self)
        nearest = _nearest(self.scaler_.transform(frame), self.centres_)
        return np.array(self.segments_, dtype=object)[nearest]

    def distance(self, frame: pd.DataFrame) -> np.ndarray:
        """Distances to the own and the second nearest centre, shape (n, 2), in units of the scale;
        near a border they are almost equal."""
        check_is_fitted(self)
        squares = _squared_distances(self.scaler_.transform(frame), self.centres_)
        if squares.shape[1] == 1:
            squares = np.column_stack([squares, np.full(len(squares), np.inf)])
        return np.sqrt(np.partition(squares, 1, axis=1)[:, :2])

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """The dimensions that place each customer nearer to the own centre than to the mean.

        By dimension, the squared distance to the population's mean less that to the own centre: a
        positive one supports the segment, and a row's sum is the difference of the total squared
        distances.

        Returns
        -------
        array of shape (n, dimensions), and the dimensions' names
        """
        check_is_fitted(self)
        matrix = self.scaler_.transform(frame)
        own = self.centres_[_nearest(matrix, self.centres_)]
        return matrix**2 - (matrix - own) ** 2, list(self.dimensions_)

    def explained(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The values behind `contributions`: the dimensions in their own units, a column each."""
        check_is_fitted(self)
        return self.scaler_.natural(frame)


class RuleTiering(BaseEstimator):
    """The simple rule: tier of value × stage of life.

    Value by the contribution margin of twelve months: the upper tenth, the next three tenths, the
    rest, and all customers with a loss. Life by age: under 30, 30–44, 45–61, 62+.

    Attributes
    ----------
    borders_ : array of shape (2,), the least contribution of medium and of high value
    """

    def fit(self, frame: pd.DataFrame) -> RuleTiering:
        """Borders from a frame with contribution_margin_12m.

        Raises
        ------
        ValueError
            When there is no contribution at all.
        """
        check_frame(frame)
        if VALUE_COLUMN not in frame.columns or not frame[VALUE_COLUMN].notna().any():
            raise ValueError(
                f"features are invalid: missing {VALUE_COLUMN}, which value tiers need"
            )
        self.columns_ = [name for name in (VALUE_COLUMN, AGE_COLUMN) if name in frame.columns]
        self.borders_ = np.quantile(frame[VALUE_COLUMN].dropna().to_numpy(dtype=float), [0.6, 0.9])
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Labels such as "high value · 30–44", shape (n,), str."""
        check_is_fitted(self)
        check_frame(frame, [VALUE_COLUMN])
        value = pd.to_numeric(frame[VALUE_COLUMN]).to_numpy(dtype=float, na_value=np.nan)
        age = np.full(len(frame), np.nan)
        if AGE_COLUMN in frame.columns:
            age = pd.to_numeric(frame[AGE_COLUMN]).to_numpy(dtype=float, na_value=np.nan)
        tier = np.select(
            [np.isnan(value), value < 0, value < self.borders_[0], value < self.borders_[1]],
            RULE_VALUES[:-1],
            RULE_VALUES[-1],
        )
        stage = np.select(
            [np.isnan(age), age < 30, age < 45, age < 62],
            RULE_STAGES[:-1],
            RULE_STAGES[-1],
        )
        return np.array([f"{one} · {two}" for one, two in zip(tier, stage, strict=True)], object)
