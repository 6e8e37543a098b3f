{# What outcomes of customers are taken after: the cut-offs that training, evaluation and refit may use
   (`plan_cutoffs` in orchestration/models/cutoffs.py chooses among them). #}

{# Months of the horizon, the longest first: the first that leaves two of it and the least history. #}
{% macro outcome_horizons() %}{{ return([12, 6]) }}{% endmacro %}
{% macro least_history() %}{{ return(3) }}{% endmacro %}

{# Months between cut-offs, and how many there are at most: four to learn from, one horizon before the
   evaluation, at two origins. #}
{% macro cutoff_step() %}{{ return(3) }}{% endmacro %}
{% macro most_cutoffs() %}{{ return(9) }}{% endmacro %}

{# Months of a new account, that of the opening included. #}
{% macro opening_months() %}{{ return(12) }}{% endmacro %}

{# An amount times a factor, rounded so that a sum does not depend on the order of the rows. #}
{% macro discounted(amount, factor) -%}
    cast(cast({{ amount }} as double) * {{ factor }} as decimal(38, 12))
{%- endmacro %}

{# Most customers, contacts and opened accounts that models learn from: of more a fixed sample, since
   more would improve a model too little to justify time and memory (decision 61). #}
{% macro sampled_customers() %}{{ return(100000) }}{% endmacro %}
{% macro sampled_contacts() %}{{ return(200000) }}{% endmacro %}
{% macro sampled_openings() %}{{ return(160000) }}{% endmacro %}

{# Months before the as-of month with which an alert compares a borrower (MONTHS_BEFORE in
   orchestration/alerts/default_course.py). #}
{% macro course_months() %}{{ return(3) }}{% endmacro %}
