select table_name
from profile.landing_table
where not required and rows = 0
