-- A setting of the extension that does not exist is refused, and so is an invalid value.
set pg_trickle.refresh_timout = '5s';
alter role current_user set pg_trickle.default_schedul = '5s';
alter system set pg_trickle.default_schedule = 'soon';
select name, setting, unit, context from pg_settings where name like 'pg\_trickle.%' and context <> 'internal' order by name;
