"""G3: the models and the features they are built on, before scoring."""

from __future__ import annotations

from expectations.rules import (
    DECIDED,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)
from expectations.suites.features import features_suite
from expectations.suites.switched import model_profile

MOST_CALIBRATION_ERROR = 0.1
# Sums of predictions that are off by a quarter are misleading.
MOST_BIAS = 0.25
# Above it the population has changed (Siddiqi, 2006, Credit Risk Scorecards).
MOST_DRIFT = 0.25
MOST_DRIFTING_SHARE = 0.1


def _listed(models: tuple[str, ...]) -> str:
    listed = ", ".join(f"('{name}')" for name in models)
    return f"expected as (select * from (values {listed}) as listed (model_name))"


def _champion_sql(models: tuple[str, ...]) -> str:
    return f"""
        with
        {_listed(models)},
        signed as (
            select model_name, bool_and(trim(coalesce(promoted_by, '')) <> '') as is_signed
            from meta.model_version
            where version is not null
            group by model_name
        )
        select
            expected.model_name,
            count(distinct evaluation.version) filter (evaluation.champion) as champions,
            count(*) filter (evaluation.champion) as figures,
            count(*) filter (
                evaluation.champion
                and (evaluation.value is null or not isfinite(evaluation.value))
            ) as not_finite,
            count(*) filter (evaluation.champion and evaluation.rule_value is not null)
                as compared_with_rule,
            (not coalesce(bool_and(signed.is_signed), false))::integer as without_promoter
        from expected
        left join meta.model_evaluation as evaluation
            on evaluation.model_name = expected.model_name
        left join signed on signed.model_name = expected.model_name
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
        trained_as_of,
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
        low,
        high,
        case when metric like '%calibration_error%' then value end as calibration_error,
        case when metric like '%bias%' then value end as bias
    from meta.model_evaluation
    where champion and (metric like '%calibration_error%' or metric like '%bias%')
    order by model_name, metric
"""

# A kind that is not judged has no figures.
KIND = "select *, note as detail from meta.model_kind order by model_name, customer_kind"


def _drift_sql(models: tuple[str, ...]) -> str:
    # An index that is no figure is no sign of sameness: it counts as infinite. One that chance
    # alone reaches in a sample of twenty is none.
    return f"""
        with
        {_listed(models)},
        drift as (
            select
                model_name,
                version,
                subject,
                feature,
                noise,
                case
                    when not coalesce(isfinite(psi), false) then 'inf'::double
                    when psi <= noise then 0
                    else psi
                end as psi
            from meta.model_drift
        )
        select
            expected.model_name,
            count(drift.psi) filter (drift.subject = 'feature') as features,
            count(*) filter (drift.subject = 'feature' and drift.psi > {MOST_DRIFT})
                as drifting_features,
            drifting_features / nullif(features, 0) as drifting_share,
            max(drift.psi) filter (drift.subject = 'feature') as largest_psi,
            arg_max(drift.feature, drift.psi) filter (drift.subject = 'feature')
                as largest_psi_feature,
            max(drift.psi) filter (drift.subject = 'score') as score_psi,
            drifting_features || ' of ' || features || ' features above {MOST_DRIFT}; largest '
                || round(largest_psi, 3) || ': ' || largest_psi_feature as detail,
            'chance alone stays below ' || round(max(drift.noise), 3) || ' in 95 of 100 samples'
                as chance
        from expected
        left join meta.model_version as version
            on version.model_name = expected.model_name and version.version is not null
        left join drift
            on drift.model_name = version.model_name and drift.version = version.version
        group by expected.model_name
        order by expected.model_name
    """


def _monitoring_sql(models: tuple[str, ...]) -> str:
    return f"""
        with
        {_listed(models)},
        watched as (
            select monitoring.*
            from meta.model_monitoring as monitoring
            inner join expected on expected.model_name = monitoring.model_name
            inner join meta.model_version as version
                on
                    version.model_name = monitoring.model_name
                    and version.version = monitoring.version
            qualify
                monitoring.cutoff = max(monitoring.cutoff) over (partition by monitoring.model_name)
        )
        select
            model_name,
            judged,
            metric,
            cutoff,
            value,
            low,
            high,
            rows,
            -- A twin's figures are those of its evaluation, which are judged as such.
            case when metric like '%bias%' and judged = 'model' then value end as bias,
            case when metric like '%calibration_error%' and judged = 'model' then value end
                as calibration_error,
            'on ' || rows || ' rows of ' || strftime(cutoff, '%Y-%m') as detail
        from watched
        order by model_name, judged, metric
    """


def models_suite(models: tuple[str, ...] = ("clv",)) -> Suite:
    """G3, before scoring: the features, and the models built on them.

    `models` names those that are on. Reads what `features_suite` reads, `meta.model_evaluation`,
    `meta.model_version`, `meta.model_kind`, `meta.model_drift` and `meta.model_monitoring`; the
    last three need not have rows of every model. Metrics are identified by name:
    `…calibration_error…` (share of one), `…bias…` (predicted over actual total, minus one). With no
    model on, the models' rules pass with that reason.
    """
    built_on = features_suite()
    listed = models or ("none",)

    def profile(sql: str, key: tuple[str, ...], *tables: str) -> Profile:
        means = "no model is on for this source"
        about = "models.{model_name}"
        return model_profile(
            sql, on=bool(models), off_means=means, key=key, about=about, needs=tables
        )

    evaluation, version = "meta.model_evaluation", "meta.model_version"
    profiles: dict[str, Profile | str] = {
        "model_champion": profile(_champion_sql(listed), ("model_name",), evaluation, version),
        "model_comparison": profile(COMPARISON, ("model_name", "metric"), evaluation),
        "model_calibration": profile(CALIBRATION, ("model_name", "metric"), evaluation),
        "model_kind": profile(KIND, ("model_name", "customer_kind"), "meta.model_kind"),
        "model_drift": profile(_drift_sql(listed), ("model_name",), "meta.model_drift", version),
        "model_monitoring": profile(
            _monitoring_sql(listed),
            ("model_name", "judged", "metric"),
            "meta.model_monitoring",
            version,
        ),
    }
    rules = (
        Rule(
            "model_champion",
            ("expect_column_values_to_be_in_set", {"column": "champions", "value_set": [1]}),
            "fail",
            "every model that is on has one champion",
            "train the model; the simple rule becomes champion if no model beats it",
        ),
        Rule(
            "model_champion",
            column_between("figures", low=1),
            "fail",
            "every champion is evaluated on a later period",
            "evaluate the champion on this build",
        ),
        Rule(
            "model_champion",
            column_zero("not_finite"),
            "fail",
            "every figure of a champion is finite",
            "check the evaluation's later period: it may be empty or hold one class only",
        ),
        Rule(
            "model_champion",
            column_between("compared_with_rule", low=1),
            "warn",
            "every champion is compared with the simple rule",
            "train the model again (make train): training makes the comparison",
            figure="figures compared with the simple rule's",
        ),
        Rule(
            "model_champion",
            column_zero("without_promoter"),
            "fail",
            "every champion was promoted by the policy or a person",
            "train again (make train), or promote a version with an approver and a reason (make"
            " promote)",
            binding=DECIDED,
        ),
        Rule(
            "model_comparison",
            row_count_at_least(1),
            "warn",
            "a comparison with the simple rule exists",
            "train the models again (make train): training makes the comparison",
            figure="comparisons with a simple rule",
        ),
        Rule(
            "model_comparison",
            column_between("best_case_ahead_of_rule", low=0.0),
            "fail",
            "no champion is worse than the simple rule beyond chance",
            "roll back to an earlier version, or make the rule the champion",
        ),
        Rule(
            "model_calibration",
            column_between("calibration_error", high=MOST_CALIBRATION_ERROR),
            "warn",
            f"probabilities are off by at most {MOST_CALIBRATION_ERROR} on average, or not beyond"
            " chance",
            "train again on the latest labels (make train); until then use the ranking only",
            nulls="pass",
            figure="calibration error",
            interval=("low", "high"),
        ),
        Rule(
            "model_calibration",
            column_between("bias", low=-MOST_BIAS, high=MOST_BIAS),
            "warn",
            f"predicted totals are within {MOST_BIAS:.0%} of actual totals, or not beyond chance",
            "the level moved between training and evaluation: use the ranking, not the sums;"
            " expected loss takes the rating table instead of default",
            nulls="pass",
            figure="predicted total over actual total, less 1,",
            interval=("low", "high"),
        ),
        Rule(
            "model_kind",
            column_between("bias", low=-MOST_BIAS, high=MOST_BIAS),
            "warn",
            f"the predicted total of each kind of customer is within {MOST_BIAS:.0%} of the actual"
            " total, or not beyond chance",
            "the level of this kind differs from that of the others: use its ranking, not its sums,"
            " and train again (make train) when more of its outcomes are known",
            nulls="pass",
            figure="predicted total over actual total of a kind, less 1,",
            interval=("bias_low", "bias_high"),
        ),
        Rule(
            "model_drift",
            column_between("score_psi", high=MOST_DRIFT),
            "warn",
            f"scores have the distribution of the training data (stability index ≤ {MOST_DRIFT})",
            "find the features that moved; train again (make train) if the customers changed",
            nulls="pass",
            figure="stability index of the scores",
        ),
        Rule(
            "model_drift",
            column_between("drifting_share", high=MOST_DRIFTING_SHARE),
            "warn",
            f"at most {MOST_DRIFTING_SHARE:.0%} of a model's features have a stability index above"
            f" {MOST_DRIFT}",
            "find out whether the bank or the delivery changed; then train again (make train)",
            nulls="pass",
            figure=f"share of features with a stability index above {MOST_DRIFT}",
        ),
        Rule(
            "model_monitoring",
            column_between("bias", low=-MOST_BIAS, high=MOST_BIAS),
            "warn",
            f"on the newest customers whose outcome is known, totals are within {MOST_BIAS:.0%}, or"
            " not beyond chance",
            "the level moved: train again (make train); until then use the ranking, not the sums;"
            " expected loss takes the rating table instead of default",
            nulls="pass",
            figure="predicted total over actual total, less 1,",
            interval=("low", "high"),
        ),
        Rule(
            "model_monitoring",
            column_between("calibration_error", high=MOST_CALIBRATION_ERROR),
            "warn",
            "on the newest customers whose outcome is known, probabilities are off by at most"
            f" {MOST_CALIBRATION_ERROR}, or not beyond chance",
            "train again on the latest labels (make train); until then use the ranking only",
            nulls="pass",
            figure="calibration error",
            interval=("low", "high"),
        ),
    )
    return Suite("G3", "models", {**built_on.profiles, **profiles}, built_on.rules + rules)
