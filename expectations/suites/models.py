"""G3: the models that are to score, and the features they are built on."""

from __future__ import annotations

from expectations.rules import Profile, Rule, Suite, column_between, column_zero, row_count_at_least
from expectations.suites.features import features_suite

MOST_CALIBRATION_ERROR = 0.1
MOST_BIAS = 0.25


def _champion_sql(models: tuple[str, ...]) -> str:
    listed = ", ".join(f"('{name}')" for name in models)
    return f"""
        with expected as (select * from (values {listed}) as listed (model_name))
        select
            expected.model_name,
            count(distinct evaluation.version) filter (evaluation.champion) as champions,
            count(*) filter (evaluation.champion) as figures,
            count(*) filter (
                evaluation.champion
                and (evaluation.value is null or not isfinite(evaluation.value))
            ) as not_finite,
            count(*) filter (evaluation.champion and evaluation.rule_value is not null)
                as compared_with_rule
        from expected
        left join meta.model_evaluation as evaluation
            on evaluation.model_name = expected.model_name
        group by expected.model_name
        order by expected.model_name
    """


# Worse than the rule beyond chance: the whole interval of the difference, champion less rule on the
# same customers, lies on the wrong side.
COMPARISON = """
    select
        model_name,
        version,
        metric,
        value,
        low,
        high,
        rule_value,
        better,
        horizon_months,
        trained_as_of,
        case when better = 'higher' then value - rule_value else rule_value - value end
            as ahead_of_rule,
        case
            when better = 'higher' then coalesce(difference_high, value - rule_value)
            else -coalesce(difference_low, value - rule_value)
        end as best_case_ahead_of_rule,
        coalesce(note, '') as detail
    from meta.model_evaluation
    where champion and rule_value is not null
    order by model_name, metric
"""

CALIBRATION = """
    select
        model_name,
        metric,
        value,
        case when metric like '%calibration_error%' then value end as calibration_error,
        case when metric like '%bias%' then value end as bias,
        coalesce(note, '') as detail
    from meta.model_evaluation
    where champion and (metric like '%calibration_error%' or metric like '%bias%')
    order by model_name, metric
"""


def models_suite(models: tuple[str, ...] = ("clv",)) -> Suite:
    """G3, before scoring: the features, and the models built on them.

    `models` names those that are on. Reads what `features_suite` reads and `meta.model_evaluation`.
    Its metrics are known by name: `…calibration_error…` (share of one), `…bias…` (predicted over
    actual total, minus one). With no model on, the models' rules pass and say so.
    """
    built_on = features_suite()
    evaluation = ("meta.model_evaluation",)
    off = "select true" if not models else ""
    means = "no model is on for this source"
    profiles: dict[str, Profile | str] = {
        "model_champion": Profile(
            _champion_sql(models or ("none",)),
            key=("model_name",),
            needs=evaluation if models else (),
            off_when=off,
            off_means=means,
        ),
        "model_comparison": Profile(
            COMPARISON,
            key=("model_name", "metric"),
            needs=evaluation if models else (),
            off_when=off,
            off_means=means,
        ),
        "model_calibration": Profile(
            CALIBRATION,
            key=("model_name", "metric"),
            needs=evaluation if models else (),
            off_when=off,
            off_means=means,
        ),
    }
    rules = (
        Rule(
            "model_champion",
            ("expect_column_values_to_be_in_set", {"column": "champions", "value_set": [1]}),
            "fail",
            "every model that is on has one champion",
            "train the model; the simple rule is registered as champion where no model beats it",
        ),
        Rule(
            "model_champion",
            column_between("figures", low=1),
            "fail",
            "every champion was evaluated on a later period",
            "evaluate the champion on this build",
        ),
        Rule(
            "model_champion",
            column_zero("not_finite"),
            "fail",
            "every figure of a champion is finite",
            "look at the evaluation's later period: it may be empty or hold one class only",
        ),
        Rule(
            "model_champion",
            column_between("compared_with_rule", low=1),
            "warn",
            "every champion was compared with the simple rule it must beat",
            "evaluate the rule on the same period",
        ),
        Rule(
            "model_comparison",
            row_count_at_least(1),
            "warn",
            "a comparison with the simple rule exists",
            "evaluate the rule on the same period",
        ),
        Rule(
            "model_comparison",
            column_between("best_case_ahead_of_rule", low=0.0),
            "fail",
            "no champion is worse than the simple rule beyond chance",
            "roll back to an earlier version, or make the rule the champion",
        ),
        Rule(
            "model_comparison",
            column_between("ahead_of_rule", low=0.0),
            "warn",
            "every champion's figures are at least the simple rule's",
            "the difference is within chance; say so to those who use the scores",
        ),
        Rule(
            "model_calibration",
            column_between("calibration_error", high=MOST_CALIBRATION_ERROR),
            "warn",
            f"probabilities are off by at most {MOST_CALIBRATION_ERROR} on average",
            "recalibrate on the latest labels; until then use the ranking only",
            nulls="pass",
        ),
        Rule(
            "model_calibration",
            column_between("bias", low=-MOST_BIAS, high=MOST_BIAS),
            "warn",
            f"predicted totals are within {MOST_BIAS:.0%} of what happened",
            "the level moved between training and evaluation: use the ranking, not the sums",
            nulls="pass",
        ),
    )
    return Suite("G3", "models", {**built_on.profiles, **profiles}, built_on.rules + rules)
