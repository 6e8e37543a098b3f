select table_name
from information_schema.tables
where table_schema = 'profile' and table_catalog = current_database()
