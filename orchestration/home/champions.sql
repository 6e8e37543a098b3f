-- The champions of MLflow's store, with the folders of their model and run and their tags.
select
    version.name,
    version.version,
    version.storage_location,
    runs.artifact_uri,
    json_group_object(tag.key, tag.value) as tags
from registered_model_aliases as alias
inner join model_versions as version
    on alias.name = version.name and alias.version = version.version
inner join runs on version.run_id = runs.run_uuid
left join model_version_tags as tag
    on version.name = tag.name and version.version = tag.version
where alias.alias = 'champion'
group by 1, 2, 3, 4
order by 1
