set client_min_messages = warning;
delete from texts where id = 3;
update texts set value = value || ' ' where id = 10;
insert into texts (value) values ('added later');
update blobs set value = set_byte(value, 700000, 255 - get_byte(value, 700000)) where length(value) > 1000000;
update everything set double = 0.0 where id = 2;
drop view a_view_on_a_view;
drop index people_email;
drop procedure extra.rename;
drop function extra.twice(text);
drop trigger people_audit on people;
alter table people enable trigger people_off, drop born, alter active set default false;
alter type extra.mood add value 'angry' before 'sad';
select setval('extra.down', 7), setval('extra.untouched', 77, true), nextval('texts_id_seq') \g /dev/null
create function extra.twice(a int, b int) returns int language sql return a + b;
create or replace function extra.audit() returns trigger language plpgsql as $$ begin return new; end $$;
alter table clerks_ledger owner to app;
revoke select on people from clerk;
drop policy own on visits;
drop table visits_old;
drop table one, two cascade;
select lo_unlink(424243), lo_put(424242, 3, 'changed'), lo_from_bytea(424244, 'later') \g /dev/null
create schema later;
create table later.added (id int references people, note text);
insert into later.added values (100, 'added later');
create view later.dependent as select * from public.everything;
create materialized view later.more as select * from public.texts;
create table two (id text);
refresh materialized view extra.empty;
