\set QUIET on
\pset fieldsep ' | '
\set hidden '(select oid from pg_namespace where nspname ~ ''^pg_'' or nspname = ''information_schema'')'
begin transaction isolation level repeatable read;
set local search_path = pg_catalog;
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local extra_float_digits = 3;
set local bytea_output = 'hex';
set local row_security = off;
set local quote_all_identifiers = on;

-- What was made here has an OID from 16384 on. No OID is shown, since a restored database has others.
select 'schema', nspname, obj_description(oid, 'pg_namespace')
from pg_namespace where oid not in :hidden order by nspname;

select 'relation', c.oid::regclass, relkind, relpersistence, reloptions, relrowsecurity, relforcerowsecurity, relreplident, relispopulated,
    pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid), (select inhparent::regclass from pg_inherits where inhrelid = c.oid),
    am.amname, obj_description(c.oid, 'pg_class')
from pg_class c left join pg_am am on am.oid = relam
where c.oid >= 16384 and relkind not in ('t', 'i', 'I') and relnamespace not in :hidden order by c.oid::regclass::text;

select 'column', attrelid::regclass, row_number() over (partition by attrelid order by attnum), quote_ident(attname),
    format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid),
    attstorage, attcompression, nullif(attstattarget, -1), attoptions, col_description(attrelid, attnum)
from pg_attribute join pg_class c on c.oid = attrelid left join pg_attrdef on (adrelid, adnum) = (attrelid, attnum)
where attrelid >= 16384 and attnum > 0 and not attisdropped and relkind not in ('t', 'i', 'I', 'S')
order by attrelid::regclass::text, attnum;

select 'constraint', conrelid::regclass, contypid::regtype, quote_ident(conname), convalidated, condeferrable, condeferred,
    pg_get_constraintdef(oid)
from pg_constraint where oid >= 16384 and contype <> 'n' order by conrelid::regclass::text, contypid::regtype::text, conname;

select 'index', indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident
from pg_index join pg_class c on c.oid = indexrelid where indexrelid >= 16384 and relnamespace not in :hidden order by indexrelid::regclass::text;

select 'view', oid::regclass, pg_get_viewdef(oid) from pg_class where oid >= 16384 and relkind in ('v', 'm') order by oid::regclass::text;

select 'function', oid::regprocedure, case when prokind <> 'a' then pg_get_functiondef(oid) end, obj_description(oid, 'pg_proc')
from pg_proc where oid >= 16384 order by oid::regprocedure::text;

select 'aggregate', a.aggfnoid::regprocedure, aggkind, aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype, agginitval
from pg_aggregate a where a.aggfnoid >= 16384 order by a.aggfnoid::regprocedure::text;

select 'operator', oid::regoperator, oprcode from pg_operator where oid >= 16384 order by oid::regoperator::text;

select 'trigger', tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid)
from pg_trigger where not tgisinternal order by tgrelid::regclass::text, tgname;

select 'event trigger', evtname, evtevent, evtenabled, evttags, evtfoid::regprocedure from pg_event_trigger order by evtname;

select 'rule', ev_class::regclass, rulename, ev_enabled, pg_get_ruledef(oid)
from pg_rewrite where oid >= 16384 and rulename <> '_RETURN' order by ev_class::regclass::text, rulename;

select 'policy', polrelid::regclass, polname, polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
from pg_policy order by polrelid::regclass::text, polname;

select 'statistics', pg_get_statisticsobjdef(oid), stxstattarget from pg_statistic_ext order by 2;

select 'type', oid::regtype, typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault, obj_description(oid, 'pg_type')
from pg_type where oid >= 16384 and typnamespace not in :hidden order by oid::regtype::text;
select 'label', enumtypid::regtype, row_number() over (partition by enumtypid order by enumsortorder), enumlabel
from pg_enum order by enumtypid::regtype::text, enumsortorder;

select 'collation', oid::regcollation, collprovider, collcollate, collctype, collisdeterministic from pg_collation where oid >= 16384 order by 2;

select 'extension', extname, extversion from pg_extension order by extname;

select 'sequence', seqrelid::regclass, seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle,
    (select refobjid::regclass || '.' || refobjsubid from pg_depend
     where (classid, objid, refclassid) = ('pg_class'::regclass, seqrelid, 'pg_class'::regclass) and deptype in ('a', 'i'))
from pg_sequence order by seqrelid::regclass::text;
select format('select %L, last_value, is_called from %s', 'value ' || seqrelid::regclass, seqrelid::regclass)
from pg_sequence order by seqrelid::regclass::text \gexec

-- The text of a row is exact: floats are written so that they can be read back.
select format('select %L, count(*), md5(string_agg(md5(t::text), null order by md5(t::text) collate "C")) from only %s t',
    'rows ' || oid::regclass, oid::regclass)
from pg_class where oid >= 16384 and (relkind = 'r' or relkind = 'm' and relispopulated) and relpersistence <> 't'
order by oid::regclass::text \gexec

select 'large object', oid, md5(lo_get(oid)), obj_description(oid, 'pg_largeobject') from pg_largeobject_metadata order by oid;

\if :ownership
create function pg_temp.granted(aclitem[], "char", oid) returns text language sql as $$
    select string_agg(case grantee when 0 then 'public' else grantee::regrole::text end || ' ' || privilege_type || ' ' || is_grantable, ', '
        order by grantee::regrole::text, privilege_type)
    from aclexplode(coalesce($1, acldefault($2, $3)))
$$;
select 'owned schema', nspname, nspowner::regrole, pg_temp.granted(nspacl, 'n', nspowner)
from pg_namespace where oid not in :hidden order by nspname;
select 'owned relation', oid::regclass, relowner::regrole, pg_temp.granted(relacl, case relkind when 'S' then 's'::"char" else 'r' end, relowner)
from pg_class where oid >= 16384 and relkind not in ('t', 'i', 'I') and relnamespace not in :hidden order by oid::regclass::text;
select 'granted column', attrelid::regclass, attname, pg_temp.granted(attacl, 'c', 0)
from pg_attribute where attrelid >= 16384 and attacl is not null order by attrelid::regclass::text, attname;
select 'owned function', oid::regprocedure, proowner::regrole, pg_temp.granted(proacl, 'f', proowner)
from pg_proc where oid >= 16384 and pronamespace not in :hidden order by oid::regprocedure::text;
select 'owned type', oid::regtype, typowner::regrole, pg_temp.granted(typacl, 'T', typowner)
from pg_type where oid >= 16384 and typnamespace not in :hidden order by oid::regtype::text;
select 'owned large object', oid, lomowner::regrole, pg_temp.granted(lomacl, 'L', lomowner) from pg_largeobject_metadata order by oid;
select 'granted by default', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, pg_temp.granted(defaclacl, defaclobjtype, defaclrole)
from pg_default_acl order by 2, 3, 4;
\endif
rollback;
