set group_concat_max_len = 1000000, time_zone = '+00:00', session character_set_results = utf8mb4;

select 'database', default_character_set_name, default_collation_name from information_schema.schemata where schema_name = database();

select 'column', table_name, ordinal_position, column_name, column_type, character_set_name, collation_name, is_nullable, column_default, extra,
    generation_expression, column_comment
from information_schema.columns where table_schema = database() order by table_name, ordinal_position;

select 'index', table_name, index_name, seq_in_index, column_name, non_unique, collation, sub_part, index_type, index_comment
from information_schema.statistics where table_schema = database() order by table_name, index_name, seq_in_index;

select 'trigger', trigger_name, event_object_table, event_manipulation, action_timing, action_order, action_statement, definer, sql_mode,
    character_set_client, collation_connection
from information_schema.triggers where trigger_schema = database() order by trigger_name;

select 'event', event_name, event_type, event_definition, execute_at, interval_value, interval_field, starts, ends, status, on_completion,
    time_zone, definer, sql_mode, event_comment
from information_schema.events where event_schema = database() order by event_name;

select 'routine', routine_type, routine_name, dtd_identifier, routine_definition, is_deterministic, sql_data_access, security_type, definer,
    sql_mode, routine_comment, character_set_client, collation_connection
from information_schema.routines where routine_schema = database() order by routine_type, routine_name;
select 'parameter', specific_name, ordinal_position, parameter_mode, parameter_name, dtd_identifier, character_set_name, collation_name
from information_schema.parameters where specific_schema = database() order by specific_name, routine_type, ordinal_position;

select 'view', table_name, replace(view_definition, concat('`', database(), '`.'), ''), check_option, is_updatable, definer, security_type, character_set_client, collation_connection
from information_schema.views where table_schema = database() order by table_name;

-- Who may run a routine goes with the routine, and is in no dump.
select 'granted table', grantee, table_name, privilege_type, is_grantable
from information_schema.table_privileges where table_schema = database() order by grantee, table_name, privilege_type;
select 'granted column', grantee, table_name, column_name, privilege_type, is_grantable
from information_schema.column_privileges where table_schema = database() order by grantee, table_name, column_name, privilege_type;
select 'granted database', grantee, privilege_type, is_grantable
from information_schema.schema_privileges where table_schema = database() order by grantee, privilege_type;

-- Statements that are still to be run: how each table is made, and a hash of each of its rows.
select concat('run show create table `', replace(table_name, '`', '``'), '`;')
from information_schema.tables where table_schema = database() and table_type <> 'VIEW' order by table_name;
select concat('run select ', quote(concat('row of ', table_name)), ', sha2(concat_ws('','', ', group_concat(concat('ifnull(sha2(',
        case
            when data_type in ('char', 'varchar', 'binary', 'varbinary') or data_type like '%text' or data_type like '%blob' then column_name
            when data_type = 'float' then concat('cast(cast(', column_name, ' as double) as char)')
            when data_type in ('point', 'geometry') then concat('st_asbinary(', column_name, ')')
            when data_type = 'bit' then concat('bin(', column_name, ')')
            else concat('cast(', column_name, ' as char character set utf8mb4)')
        end,
        ', 256), ''null'')') order by ordinal_position), '), 256) as hash from ', table_name_quoted, ' order by hash;')
from (
    select table_name, concat('`', replace(table_name, '`', '``'), '`') as table_name_quoted, ordinal_position, data_type,
        concat('`', replace(column_name, '`', '``'), '`') as column_name
    from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_schema = database() and table_type <> 'VIEW'
) as columns group by table_name, table_name_quoted order by table_name;
