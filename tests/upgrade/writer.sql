-- A script of pgbench: writes before, during and after the update.
\set id random(1, 9)
\set v random(0, 25)
begin;
update base_row set v = :v where id = :id;
delete from base_row where id = :id + 100;
insert into base_row values (:id + 100, :v);
end;
