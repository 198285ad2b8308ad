set sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', foreign_key_checks = 1;
create user if not exists 'clerk'@'%' identified by 'clerk''s own';

create table texts (id bigint unsigned auto_increment primary key, value longtext character set utf8mb4 collate utf8mb4_bin not null);
create table blobs (id int auto_increment primary key, value longblob) auto_increment = 50;
insert into texts (id, value) values (0, 'zero');

create table `naïve ``table` (
    `key with space` int primary key comment 'it''s "quoted" \\ 中文',
    `select` varchar(20) default 'it''s "\\"' collate utf8mb4_general_ci,
    latin varchar(20) character set latin1,
    `größe` decimal(5, 2) not null default 12.50
) comment = 'has ''quotes'' and a ß';
insert into `naïve ``table` (`key with space`, latin) values (-1, 'é'), (2, null);

create table everything (
    id int primary key,
    tiny tinyint, small smallint unsigned, medium mediumint, large bigint, huge bigint unsigned, `exact` decimal(65, 30), single float, `double` double,
    truth boolean, bits bit(11), filled int(7) unsigned zerofill,
    day date, moment datetime(6), stamp timestamp(6) null, clock time(6), year year,
    fixed char(5), variable varchar(100), `binary` binary(4), varied varbinary(100), tiny_text tinytext, small_blob blob,
    choice enum('a', 'it''s', 'ü,x'), choices set('x', 'y', 'z'), document json, place point, shape geometry
);
insert into everything (id) values (0);
insert into everything values (
    1, -128, 0, -8388608, -9223372036854775808, 18446744073709551615, concat('-', repeat('9', 35), '.', repeat('9', 30)), -3.40282e38, 2.2250738585072014e-308,
    false, b'10000000001', 7,
    '1000-01-01', '1000-01-01 00:00:00.000001', '1970-01-01 00:00:01.000001', '-838:59:59.000000', 1901,
    'a', 'trailing space ', x'00ff0027', x'0027225c0a0d1a00', '', x'',
    'it''s', '', '{"b": 1, "a": "\\u0000 \\" 🐘", "n": 1e2}', point(1e-300, -0.5), st_geomfromtext('polygon((0 0, 1 0, 1 1, 0 0))')
), (
    2, 127, 65535, 8388607, 9223372036854775807, 0, 1e-30, 0.1, 1.7976931348623157e308,
    true, b'0', 4294967295,
    '9999-12-31', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999', '838:59:59.000000', 2155,
    '🐘🐘🐘🐘🐘', 'quote'' \\ "x" %', x'ffffffff', x'80', repeat('é', 127), repeat(x'00', 65535),
    'ü,x', 'x,z', 'null', null, null
), (
    3, 0, 0, 0, 0, 0, 0, 1.5, 0.1e0 + 0.2e0,
    null, b'11111111111', 0,
    '2024-02-29', '2024-12-31 23:59:59.500000', '2024-10-27 00:30:00', '00:00:00', 2000,
    '', '', x'00', null, null, null, 'a', 'x,y,z', '[]', null, st_geomfromtext('geometrycollection(point(1 1), linestring(0 0, 1 1))')
);

create table people (
    id int unsigned auto_increment primary key,
    name varchar(100) not null,
    email varchar(190) character set ascii,
    boss int unsigned,
    about text,
    born date,
    shown varchar(300) generated always as (concat(upper(name), ' <', ifnull(email, ''), '>')) stored,
    initial char(1) generated always as (left(name, 1)) virtual,
    unique key people_email (email),
    key people_name (name(10) desc, born),
    key people_initial (initial),
    fulltext key people_about (about),
    constraint people_boss foreign key (boss) references people (id) on delete set null on update cascade,
    constraint people_born check (born > '1800-01-01')
) auto_increment = 100 comment = 'people';
insert into people (name, email, about, born) values ('Ada', 'ada@example.org', 'full text of the first', '1815-12-10'), ('Björk', null, null, null);
insert into people (name, email, boss, about) values ('Ünal', 'u@example.org', 100, 'text; with a semicolon');

create table one (id int primary key, other int);
create table two (id int primary key, other int, constraint two_one foreign key (other) references one (id));
insert into one values (1, 1);
insert into two values (1, 1);
alter table one add constraint one_two foreign key (other) references two (id);

create table visits (at date not null, note varchar(50), primary key (at))
    partition by range (year(at)) (partition old values less than (2020), partition new values less than maxvalue);
insert into visits values ('2019-12-31', 'old'), ('2020-01-01', 'new');
create table audited (id int auto_increment primary key, what varchar(200)) row_format = compressed;

delimiter //
create function twice(x int) returns int deterministic no sql comment 'it''s twice' begin
    -- "quotes" 'quotes' `back`; and a semicolon 中文
    declare result int default 0;
    set result = x * 2;
    return result;
end//
create definer = 'clerk'@'%' procedure rename_person(in person int unsigned, inout new_name varchar(100), out changed int) sql security invoker modifies sql data
begin
    declare exit handler for sqlexception begin rollback; resignal; end;
    start transaction;
    update people set name = new_name where id = person;
    set changed = row_count();
    commit;
end//
create trigger people_insert after insert on people for each row begin
    insert into audited (what) values (concat('insert ', new.name, ' '';'' "\\"'));
end//
create trigger people_update before update on people for each row set new.name = trim(new.name)//
create trigger people_update_too before update on people for each row follows people_update insert into audited (what) values ('update')//
create event tidy on schedule every 1 week starts '2037-01-01 02:03:04' on completion preserve disable comment 'it''s tidy' do begin delete from audited where id < 0; end//
create event once on schedule at '2037-06-01 00:00:00' do set @x = 'a;b'//
delimiter ;
insert into people (name) values ('Audited');

create view z_people as select id, name, twice(id) as `double` from people where born is not null or email is not null with cascaded check option;
create sql security invoker view a_view_on_a_view as select count(*) as `how many`, 'it''s \\ a "text"' as text from z_people;

grant select, insert on people to 'clerk'@'%' with grant option;
grant update (name, email) on people to 'clerk'@'%';
grant execute on procedure rename_person to 'clerk'@'%';
