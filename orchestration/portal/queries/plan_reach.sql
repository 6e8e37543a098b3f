-- Who may be contacted, and why others may not.
select
    coalesce(
        suppression,
        case
            when is_universal_control then 'universal_control'
            when is_campaign_control then 'campaign_control'
            else 'free'
        end
    ) as standing,
    count(*) as customers
from contacts.contactability
group by standing
order by customers desc, standing asc
