-- name: names_of_tables
SELECT name FROM sqlite_schema WHERE type = 'table';

-- name: count_schema_entries
SELECT count(*) FROM sqlite_schema;
