-- Written by scripts/upgrade-from 0.1.0.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA pgtrickle;
create extension pg_trickle version '0.1.0';
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE pgtrickle_changes.changes_1 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_1 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE TABLE pgtrickle_changes.changes_2 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_2 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE TABLE pgtrickle_changes.changes_3 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_3 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE TABLE pgtrickle_changes.changes_4 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_4 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE UNLOGGED TABLE pgtrickle_changes.changes_5 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_5 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE TABLE pgtrickle_changes.changes_6 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_6 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE TABLE pgtrickle_changes.changes_7 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_7 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE TABLE pgtrickle_changes.changes_8 (
    chunk bytea NOT NULL
)
WITH (toast_tuple_target='8160', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500', autovacuum_vacuum_insert_threshold='-1', autovacuum_vacuum_cost_delay='0', autovacuum_analyze_threshold='2000000000');
ALTER TABLE ONLY pgtrickle_changes.changes_8 ALTER COLUMN chunk SET STORAGE EXTERNAL;
CREATE VIEW pgtrickle_changes.pending_1 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.id,
    c.grp,
    c.price,
    c.name
   FROM pgtrickle.pending_changes(1) c(action text, copies bigint, xid xid8, id integer, grp integer, price numeric, name text);
CREATE VIEW pgtrickle_changes.pending_2 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.id,
    c.parent,
    c.label
   FROM pgtrickle.pending_changes(2) c(action text, copies bigint, xid xid8, id integer, parent integer, label text);
CREATE VIEW pgtrickle_changes.pending_3 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.id,
    c.v
   FROM pgtrickle.pending_changes(3) c(action text, copies bigint, xid xid8, id integer, v integer);
CREATE VIEW pgtrickle_changes.pending_4 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.region,
    c.amount
   FROM pgtrickle.pending_changes(4) c(action text, copies bigint, xid xid8, region text, amount bigint);
CREATE VIEW pgtrickle_changes.pending_5 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.hits
   FROM pgtrickle.pending_changes(5) c(action text, copies bigint, xid xid8, hits integer);
CREATE VIEW pgtrickle_changes.pending_6 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.at,
    c.grp
   FROM pgtrickle.pending_changes(6) c(action text, copies bigint, xid xid8, at timestamp with time zone, grp integer);
CREATE VIEW pgtrickle_changes.pending_7 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.grp,
    c.n
   FROM pgtrickle.pending_changes(7) c(action text, copies bigint, xid xid8, grp integer, n bigint);
CREATE VIEW pgtrickle_changes.pending_8 AS
 SELECT c.action,
    c.copies,
    c.xid,
    c.n
   FROM pgtrickle.pending_changes(8) c(action text, copies bigint, xid xid8, n bigint);
CREATE TABLE public.st_recompute (
    grp integer,
    names text
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_10_1 (
    grp integer,
    n bigint,
    string_agg text
)
WITH (fillfactor='80');
CREATE TABLE public.st_cube (
    grp integer,
    nameless boolean,
    n bigint
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_11_1 (
    grp integer,
    key boolean,
    n bigint
)
WITH (fillfactor='80');
CREATE TABLE pgtrickle_state.n_11_2 (
    key boolean,
    n bigint
)
WITH (fillfactor='80');
CREATE TABLE pgtrickle_state.n_11_3 (
    grp integer,
    n bigint
)
WITH (fillfactor='80');
CREATE TABLE pgtrickle_state.n_11_4 (
    n bigint
)
WITH (fillfactor='80');
CREATE TABLE public.st_distinct (
    grp integer
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_12_1 (
    grp integer,
    n bigint
)
WITH (fillfactor='80');
CREATE TABLE public.st_union (
    id integer
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_13_1 (
    id integer,
    n bigint
)
WITH (fillfactor='80');
CREATE TABLE public.st_except (
    grp integer
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_14_1 (
    grp integer,
    n bigint,
    lefts bigint,
    rights bigint
)
WITH (fillfactor='80');
CREATE TABLE public.st_window (
    id integer,
    place bigint
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_15_1 (
    id integer,
    place bigint,
    grp integer
)
WITH (fillfactor='80');
CREATE TABLE public.st_scalar (
    id integer
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_17_1 (
    n bigint,
    avg_sum numeric
)
WITH (fillfactor='80');
CREATE TABLE public.st_lateral (
    id integer,
    item integer
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_18_1 (
    id integer,
    key integer
)
WITH (fillfactor='80');
CREATE TABLE public.st_part (
    region text,
    amount numeric
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_21_1 (
    region text,
    n bigint,
    sum_count bigint,
    sum numeric
)
WITH (fillfactor='80');
CREATE TABLE public.st_hot (
    hits bigint
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_23_1 (
    n bigint,
    sum bigint
)
WITH (fillfactor='80');
CREATE TABLE public.st_whole (
    grp integer,
    value double precision
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_25_1 (
    grp integer,
    n bigint,
    sum double precision
)
WITH (fillfactor='80');
CREATE TABLE public.st_reader_of_reader (
    most bigint
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_27_1 (
    n bigint,
    max bigint
)
WITH (fillfactor='80');
CREATE TABLE public.st_sum (
    grp integer,
    n bigint,
    total numeric,
    mean numeric,
    low numeric,
    high text
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_8_1 (
    grp integer,
    n bigint,
    sum numeric,
    min numeric,
    max text
)
WITH (fillfactor='80');
CREATE TABLE public.st_nested (
    n bigint,
    groups bigint
)
WITH (fillfactor='90');
CREATE TABLE pgtrickle_state.n_9_1 (
    grp integer,
    n bigint,
    sum numeric
)
WITH (fillfactor='80');
CREATE TABLE public.item (
    id integer NOT NULL,
    grp integer NOT NULL,
    price numeric(10,2) NOT NULL,
    name text
);
CREATE TABLE public.st_filter (
    id integer,
    twice numeric
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_1 AS
 SELECT item.id,
    (item.price * (2)::numeric) AS twice
   FROM public.item
  WHERE (item.grp <> 3);
CREATE VIEW pgtrickle_state.q_10 AS
 SELECT item.grp,
    string_agg(item.name, ','::text ORDER BY item.id) AS names
   FROM public.item
  GROUP BY item.grp;
CREATE VIEW pgtrickle_state.q_11 AS
 SELECT item.grp,
    (item.name IS NULL) AS nameless,
    count(*) AS n
   FROM public.item
  GROUP BY CUBE(item.grp, (item.name IS NULL));
CREATE VIEW pgtrickle_state.q_12 AS
 SELECT DISTINCT item.grp
   FROM public.item
  WHERE (item.price < (50)::numeric);
CREATE TABLE public.base_row (
    id integer NOT NULL,
    v integer
);
CREATE VIEW pgtrickle_state.q_13 AS
 SELECT item.id
   FROM public.item
UNION
 SELECT base_row.id
   FROM public.base_row;
CREATE TABLE public.grp (
    id integer NOT NULL,
    parent integer,
    label text NOT NULL
);
CREATE VIEW pgtrickle_state.q_14 AS
 SELECT item.grp
   FROM public.item
EXCEPT ALL
 SELECT grp.id AS grp
   FROM public.grp
  WHERE (grp.parent = 0);
CREATE VIEW pgtrickle_state.q_15 AS
 SELECT item.id,
    row_number() OVER (PARTITION BY item.grp ORDER BY item.price DESC, item.id) AS place
   FROM public.item;
CREATE TABLE public.st_top (
    id integer,
    price numeric(10,2)
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_16 AS
 SELECT item.id,
    item.price
   FROM public.item
  ORDER BY item.price DESC, item.id
 LIMIT 5;
CREATE VIEW pgtrickle_state.q_17 AS
 SELECT item.id
   FROM public.item
  WHERE (item.price > ( SELECT avg(item_1.price) AS avg
           FROM public.item item_1));
CREATE VIEW pgtrickle_state.q_18 AS
 SELECT g.id,
    t.id AS item
   FROM (public.grp g
     CROSS JOIN LATERAL ( SELECT i.id
           FROM public.item i
          WHERE (i.grp = g.id)
          ORDER BY i.id
         LIMIT 2) t);
CREATE TABLE public.st_series (
    id integer,
    s integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_19 AS
 SELECT b.id,
    s.s
   FROM (public.base_row b
     CROSS JOIN LATERAL generate_series(1, b.v) s(s))
  WHERE (b.v < 20);
CREATE TABLE public.st_bag (
    name text
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_2 AS
 SELECT item.name
   FROM public.item;
CREATE TABLE public.st_tree (
    id integer,
    depth integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_20 AS
 WITH RECURSIVE t(id, depth) AS (
         SELECT grp.id,
            0 AS "?column?"
           FROM public.grp
          WHERE (grp.parent IS NULL)
        UNION ALL
         SELECT g.id,
            (t_1.depth + 1)
           FROM (t t_1
             JOIN public.grp g ON ((g.parent = t_1.id)))
        )
 SELECT t.id,
    t.depth
   FROM t;
CREATE TABLE public.part (
    id integer NOT NULL,
    region text NOT NULL,
    amount bigint
)
PARTITION BY LIST (region);
CREATE VIEW pgtrickle_state.q_21 AS
 SELECT part.region,
    sum(part.amount) AS amount
   FROM public.part
  GROUP BY part.region;
CREATE TABLE public.st_children (
    id integer,
    v integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_22 AS
 SELECT base_row.id,
    base_row.v
   FROM public.base_row
  WHERE (base_row.v > 3);
CREATE UNLOGGED TABLE public.hot (
    id integer NOT NULL,
    hits integer NOT NULL
);
CREATE VIEW pgtrickle_state.q_23 AS
 SELECT sum(hot.hits) AS hits
   FROM public.hot;
CREATE TABLE public.event (
    at timestamp with time zone NOT NULL,
    grp integer NOT NULL,
    value double precision
);
CREATE TABLE public.st_recent (
    grp integer,
    n bigint
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_24 AS
 SELECT event.grp,
    count(*) AS n
   FROM public.event
  WHERE (event.at > (now() - '100 years'::interval))
  GROUP BY event.grp;
CREATE VIEW pgtrickle_state.q_25 AS
 SELECT event.grp,
    sum(event.value) AS value
   FROM public.event
  GROUP BY event.grp;
CREATE TABLE public.st_reader (
    grp integer,
    n bigint,
    label text
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_26 AS
 SELECT s.grp,
    s.n,
    g.label
   FROM (public.st_sum s
     JOIN public.grp g ON ((g.id = s.grp)));
CREATE VIEW pgtrickle_state.q_27 AS
 SELECT max(st_reader.n) AS most
   FROM public.st_reader;
CREATE TABLE public.st_suspended (
    id integer,
    quotient integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_28 AS
 SELECT item.id,
    (1 / (item.id - 1000)) AS quotient
   FROM public.item;
CREATE TABLE public.st_paused (
    n bigint
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_29 AS
 SELECT count(*) AS n
   FROM public.item;
CREATE TABLE public.st_join (
    id integer,
    name text,
    label text
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_3 AS
 SELECT i.id,
    i.name,
    g.label
   FROM (public.item i
     JOIN public.grp g ON ((g.id = i.grp)));
CREATE TABLE public.st_left (
    id integer,
    label text,
    item integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_4 AS
 SELECT g.id,
    g.label,
    i.id AS item
   FROM (public.grp g
     LEFT JOIN public.item i ON (((i.grp = g.id) AND (i.price > (60)::numeric))));
CREATE TABLE public.st_full (
    id integer,
    v integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_5 AS
 SELECT g.id,
    b.v
   FROM (public.grp g
     FULL JOIN public.base_row b ON ((b.id = g.id)));
CREATE TABLE public.st_semi (
    id integer,
    label text
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_6 AS
 SELECT g.id,
    g.label
   FROM public.grp g
  WHERE (EXISTS ( SELECT
           FROM public.item i
          WHERE ((i.grp = g.id) AND (i.price > (70)::numeric))));
CREATE TABLE public.st_anti (
    id integer
)
WITH (fillfactor='90');
CREATE VIEW pgtrickle_state.q_7 AS
 SELECT i.id
   FROM public.item i
  WHERE (NOT (i.grp IN ( SELECT g.id
           FROM public.grp g
          WHERE (g.parent = 1))));
CREATE VIEW pgtrickle_state.q_8 AS
 SELECT item.grp,
    count(*) AS n,
    sum(item.price) AS total,
    avg(item.price) AS mean,
    min(item.price) AS low,
    max(item.name) AS high
   FROM public.item
  GROUP BY item.grp;
CREATE VIEW pgtrickle_state.q_9 AS
 SELECT t.n,
    count(*) AS groups
   FROM ( SELECT item.grp,
            count(*) AS n
           FROM public.item
          GROUP BY item.grp
         HAVING (sum(item.price) > (100)::numeric)) t
  GROUP BY t.n;
CREATE TABLE public.child_row (
)
INHERITS (public.base_row);
CREATE TABLE public.part_north (
    id integer NOT NULL,
    region text NOT NULL,
    amount bigint
);
CREATE TABLE public.part_rest (
    id integer NOT NULL,
    region text NOT NULL,
    amount bigint
);
ALTER TABLE ONLY public.part ATTACH PARTITION public.part_north FOR VALUES IN ('north');
ALTER TABLE ONLY public.part ATTACH PARTITION public.part_rest DEFAULT;
COPY pgtrickle.pgt_sources (source_id, relid, layout) FROM stdin;
1	public.item	2
3	public.base_row	4
2	public.grp	5
4	public.part	6
5	public.hot	7
6	public.event	9
7	public.st_sum	10
8	public.st_reader	11
\.
COPY pgtrickle.pgt_stream_tables (pgt_id, pgt_relid, definition, defining_query, canonical, schedule, refresh_mode, status, search_path, settings, full_reason, full_hint, node_count, fingerprint, not_null, temporal, polled, created_at) FROM stdin;
1	public.st_filter	pgtrickle_state.q_1	select id, price * 2 as twice from item where grp <> 3	 SELECT item.id,\n    (item.price * (2)::numeric) AS twice\n   FROM public.item\n  WHERE (item.grp <> 3)	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	5220836149246163346	{id}	f	{}	2026-11-29 09:25:26.246482+00
2	public.st_bag	pgtrickle_state.q_2	select name from item	 SELECT item.name\n   FROM public.item	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	7184954707517172347	{}	f	{}	2026-11-29 09:25:26.295985+00
3	public.st_join	pgtrickle_state.q_3	select i.id, i.name, g.label from item i join grp g on g.id = i.grp	 SELECT i.id,\n    i.name,\n    g.label\n   FROM (public.item i\n     JOIN public.grp g ON ((g.id = i.grp)))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-7343833036636498569	{id,label}	f	{}	2026-11-29 09:25:26.316281+00
4	public.st_left	pgtrickle_state.q_4	select g.id, g.label, i.id as item from grp g left join item i on i.grp = g.id and i.price > 60	 SELECT g.id,\n    g.label,\n    i.id AS item\n   FROM (public.grp g\n     LEFT JOIN public.item i ON (((i.grp = g.id) AND (i.price > (60)::numeric))))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-8340995289498998274	{id,label}	f	{}	2026-11-29 09:25:26.344637+00
5	public.st_full	pgtrickle_state.q_5	select g.id, b.v from grp g full join base_row b on b.id = g.id	 SELECT g.id,\n    b.v\n   FROM (public.grp g\n     FULL JOIN public.base_row b ON ((b.id = g.id)))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-3398158663568203933	{}	f	{}	2026-11-29 09:25:26.367371+00
6	public.st_semi	pgtrickle_state.q_6	select g.id, g.label from grp g where exists (select from item i where i.grp = g.id and i.price > 70)	 SELECT g.id,\n    g.label\n   FROM public.grp g\n  WHERE (EXISTS ( SELECT\n           FROM public.item i\n          WHERE ((i.grp = g.id) AND (i.price > (70)::numeric))))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-3725042964278573953	{id,label}	f	{}	2026-11-29 09:25:26.394893+00
7	public.st_anti	pgtrickle_state.q_7	select i.id from item i where i.grp not in (select g.id from grp g where g.parent = 1)	 SELECT i.id\n   FROM public.item i\n  WHERE (NOT (i.grp IN ( SELECT g.id\n           FROM public.grp g\n          WHERE (g.parent = 1))))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-2689396824044085360	{id}	f	{}	2026-11-29 09:25:26.412997+00
8	public.st_sum	pgtrickle_state.q_8	select grp, count(*) as n, sum(price) as total, avg(price) as mean, min(price) as low, max(name) as high from item group by grp	 SELECT item.grp,\n    count(*) AS n,\n    sum(item.price) AS total,\n    avg(item.price) AS mean,\n    min(item.price) AS low,\n    max(item.name) AS high\n   FROM public.item\n  GROUP BY item.grp	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-4420862535662971995	{grp,n}	f	{}	2026-11-29 09:25:26.434825+00
9	public.st_nested	pgtrickle_state.q_9	select n, count(*) as groups from (select grp, count(*) as n from item group by grp having sum(price) > 100) t group by n	 SELECT t.n,\n    count(*) AS groups\n   FROM ( SELECT item.grp,\n            count(*) AS n\n           FROM public.item\n          GROUP BY item.grp\n         HAVING (sum(item.price) > (100)::numeric)) t\n  GROUP BY t.n	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	4360619288262989890	{n,groups}	f	{}	2026-11-29 09:25:26.462599+00
10	public.st_recompute	pgtrickle_state.q_10	select grp, string_agg(name, ',' order by id) as names from item group by grp	 SELECT item.grp,\n    string_agg(item.name, ','::text ORDER BY item.id) AS names\n   FROM public.item\n  GROUP BY item.grp	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	3517245310306846151	{grp}	f	{}	2026-11-29 09:25:26.486678+00
11	public.st_cube	pgtrickle_state.q_11	select grp, name is null as nameless, count(*) as n from item group by cube (grp, name is null)	 SELECT item.grp,\n    (item.name IS NULL) AS nameless,\n    count(*) AS n\n   FROM public.item\n  GROUP BY CUBE(item.grp, (item.name IS NULL))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	4	-2477516850500796293	{n}	f	{}	2026-11-29 09:25:26.590598+00
12	public.st_distinct	pgtrickle_state.q_12	select distinct grp from item where price < 50	 SELECT DISTINCT item.grp\n   FROM public.item\n  WHERE (item.price < (50)::numeric)	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-1388318555999710946	{grp}	f	{}	2026-11-29 09:25:26.635399+00
13	public.st_union	pgtrickle_state.q_13	select id from item union select id from base_row	 SELECT item.id\n   FROM public.item\nUNION\n SELECT base_row.id\n   FROM public.base_row	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	1742526192416354845	{id}	f	{}	2026-11-29 09:25:26.660335+00
14	public.st_except	pgtrickle_state.q_14	select grp from item except all select id from grp where parent = 0	 SELECT item.grp\n   FROM public.item\nEXCEPT ALL\n SELECT grp.id\n   FROM public.grp\n  WHERE (grp.parent = 0)	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-6405420072708839705	{grp}	f	{}	2026-11-29 09:25:26.686591+00
15	public.st_window	pgtrickle_state.q_15	select id, row_number() over (partition by grp order by price desc, id) as place from item	 SELECT item.id,\n    row_number() OVER (PARTITION BY item.grp ORDER BY item.price DESC, item.id) AS place\n   FROM public.item	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-3672777764221803996	{id,place}	f	{}	2026-11-29 09:25:26.710631+00
16	public.st_top	pgtrickle_state.q_16	select id, price from item order by price desc, id limit 5	 SELECT item.id,\n    item.price\n   FROM public.item\n  ORDER BY item.price DESC, item.id\n LIMIT 5	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-172965877265786	{id,price}	f	{}	2026-11-29 09:25:26.745981+00
17	public.st_scalar	pgtrickle_state.q_17	select id from item where price > (select avg(price) from item)	 SELECT item.id\n   FROM public.item\n  WHERE (item.price > ( SELECT avg(item_1.price) AS avg\n           FROM public.item item_1))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-6134794480687636498	{id}	f	{}	2026-11-29 09:25:26.770207+00
18	public.st_lateral	pgtrickle_state.q_18	select g.id, t.id as item from grp g cross join lateral (select i.id from item i where i.grp = g.id order by i.id limit 2) t	 SELECT g.id,\n    t.id AS item\n   FROM (public.grp g\n     CROSS JOIN LATERAL ( SELECT i.id\n           FROM public.item i\n          WHERE (i.grp = g.id)\n          ORDER BY i.id\n         LIMIT 2) t)	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-4025011290176719481	{id,item}	f	{}	2026-11-29 09:25:26.797481+00
19	public.st_series	pgtrickle_state.q_19	select b.id, s from base_row b cross join lateral generate_series(1, b.v) s where b.v < 20	 SELECT b.id,\n    s.s\n   FROM (public.base_row b\n     CROSS JOIN LATERAL generate_series(1, b.v) s(s))\n  WHERE (b.v < 20)	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-8867412971049185467	{id}	f	{}	2026-11-29 09:25:26.821971+00
20	public.st_tree	pgtrickle_state.q_20	with recursive t(id, depth) as (select id, 0 from grp where parent is null union all select g.id, depth + 1 from t join grp g on g.parent = t.id) select id, depth from t	 WITH RECURSIVE t(id, depth) AS (\n         SELECT grp.id,\n            0 AS "?column?"\n           FROM public.grp\n          WHERE (grp.parent IS NULL)\n        UNION ALL\n         SELECT g.id,\n            (t_1.depth + 1)\n           FROM (t t_1\n             JOIN public.grp g ON ((g.parent = t_1.id)))\n        )\n SELECT t.id,\n    t.depth\n   FROM t	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-8583839889655469206	{id}	f	{}	2026-11-29 09:25:26.834576+00
21	public.st_part	pgtrickle_state.q_21	select region, sum(amount) as amount from part group by region	 SELECT part.region,\n    sum(part.amount) AS amount\n   FROM public.part\n  GROUP BY part.region	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	6415311331649013997	{region}	f	{}	2026-11-29 09:25:26.858328+00
22	public.st_children	pgtrickle_state.q_22	select id, v from base_row where v > 3	 SELECT base_row.id,\n    base_row.v\n   FROM public.base_row\n  WHERE (base_row.v > 3)	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	3680604165494654435	{id,v}	f	{}	2026-11-29 09:25:26.884592+00
23	public.st_hot	pgtrickle_state.q_23	select sum(hits) as hits from hot	 SELECT sum(hot.hits) AS hits\n   FROM public.hot	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	8948852153968447707	{}	f	{}	2026-11-29 09:25:26.904124+00
24	public.st_recent	pgtrickle_state.q_24	select grp, count(*) as n from event where at > now() - interval '100 years' group by grp	 SELECT event.grp,\n    count(*) AS n\n   FROM public.event\n  WHERE (event.at > (now() - '100 years'::interval))\n  GROUP BY event.grp	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	3250063468539589393	{grp,n}	t	{}	2026-11-29 09:25:26.931592+00
25	public.st_whole	pgtrickle_state.q_25	select grp, sum(value) as value from event group by grp	 SELECT event.grp,\n    sum(event.value) AS value\n   FROM public.event\n  GROUP BY event.grp	1s	FULL	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	7107270152613651259	{grp}	f	{}	2026-11-29 09:25:26.953146+00
26	public.st_reader	pgtrickle_state.q_26	select s.grp, s.n, g.label from st_sum s join grp g on g.id = s.grp	 SELECT s.grp,\n    s.n,\n    g.label\n   FROM (public.st_sum s\n     JOIN public.grp g ON ((g.id = s.grp)))	1s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	263466505372234164	{grp,n,label}	f	{}	2026-11-29 09:25:27.041223+00
27	public.st_reader_of_reader	pgtrickle_state.q_27	select max(n) as most from st_reader	 SELECT max(st_reader.n) AS most\n   FROM public.st_reader	0s	AUTO	ACTIVE	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	1	-8536654544147974843	{}	f	{}	2026-11-29 09:25:27.101417+00
29	public.st_paused	pgtrickle_state.q_29	select count(*) as n from item	 SELECT count(*) AS n\n   FROM public.item	1s	AUTO	PAUSED	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	3874729790910167091	{n}	f	{}	2026-11-29 09:25:27.170769+00
28	public.st_suspended	pgtrickle_state.q_28	select id, 1 / (id - 1000) as quotient from item	 SELECT item.id,\n    (1 / (item.id - 1000)) AS quotient\n   FROM public.item	1s	AUTO	SUSPENDED	pg_catalog, pg_temp	{"TimeZone": "Etc/UTC", "DateStyle": "ISO, MDY", "xmloption": "content", "bytea_output": "hex", "IntervalStyle": "postgres", "extra_float_digits": "1", "default_text_search_config": "pg_catalog.english"}	\N	\N	0	-814473830625489421	{id}	f	{}	2026-11-29 09:25:27.151908+00
\.
COPY pgtrickle.pgt_dependencies (pgt_id, source_id, columns) FROM stdin;
1	1	{id,grp,price}
2	1	{name}
3	1	{id,grp,name}
3	2	{id,label}
4	1	{id,grp,price}
4	2	{id,label}
5	2	{id}
5	3	{id,v}
6	1	{grp,price}
6	2	{id,label}
7	1	{id,grp}
7	2	{id,parent}
8	1	{grp,price,name}
9	1	{grp,price}
10	1	{id,grp,name}
11	1	{grp,name}
12	1	{grp,price}
13	1	{id}
13	3	{id}
14	1	{grp}
14	2	{id,parent}
15	1	{id,grp,price}
16	1	{id,price}
17	1	{id,price}
18	1	{id,grp}
18	2	{id}
19	3	{id,v}
20	2	{id,parent}
21	4	{region,amount}
22	3	{id,v}
23	5	{hits}
24	6	{at,grp}
25	6	{}
26	2	{id,label}
26	7	{grp,n}
27	8	{n}
28	1	{id}
29	1	{}
\.
COPY pgtrickle.pgt_frontiers (pgt_id, frontier, own_xid, own_seq, data_timestamp, reinitialize, consecutive_errors, last_error, last_error_at, refreshes, rows_changed, missed, rates) FROM stdin;
18	1004:1004:	\N	\N	2026-11-29 09:25:27.778775+00	\N	0	\N	\N	2	14	0	{0.0018429586331811755,NULL,NULL,0.0013947974532531801,NULL,NULL,NULL,NULL,NULL,171.2523571162399}
19	944:944:	\N	\N	2026-11-29 09:25:26.829347+00	\N	0	\N	\N	1	30	0	{1.0683267835470734e-05,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,16646.2175}
12	983:983:	\N	\N	2026-11-29 09:25:27.550834+00	\N	0	\N	\N	2	7	0	{0.003743710843373494,NULL,NULL,0.0029549105294758714,NULL,NULL,NULL,NULL,NULL,62.25}
1	1006:1006:	\N	\N	2026-11-29 09:25:28.115058+00	\N	0	\N	\N	2	52	0	{0.0025379300306882947,NULL,0.002260364812008503,NULL,NULL,NULL,NULL,NULL,NULL,85.5375}
15	995:995:	\N	\N	2026-11-29 09:25:27.661995+00	\N	0	\N	\N	2	61	0	{0.001751859151757764,NULL,NULL,0.0020214932281626217,NULL,NULL,NULL,NULL,NULL,240.94592854481132}
5	916:916:	\N	\N	2026-11-29 09:25:26.377156+00	\N	0	\N	\N	1	10	0	{0.0006655983965890943,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,273.41712500000006}
10	983:983:	\N	\N	2026-11-29 09:25:27.547618+00	\N	0	\N	\N	2	8	0	{0.002155120495977844,NULL,NULL,0.002064134622477129,NULL,NULL,NULL,NULL,NULL,117.09092854481129}
11	983:983:	\N	\N	2026-11-29 09:25:27.548071+00	\N	0	\N	\N	2	32	0	{0.005311238917211493,NULL,NULL,0.0032766616028595615,NULL,NULL,NULL,NULL,NULL,560.5119453760379}
17	995:995:	\N	\N	2026-11-29 09:25:27.662799+00	\N	0	\N	\N	2	30	0	{0.0019005430103966625,NULL,NULL,0.0019503230152539553,NULL,NULL,NULL,NULL,NULL,113.25750000000001}
20	946:946:	\N	\N	2026-11-29 09:25:26.846043+00	\N	0	\N	\N	1	7	0	{0.0005250856413994169,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,548.8000000000001}
23	952:952:	\N	\N	2026-11-29 09:25:26.919537+00	\N	0	\N	\N	1	1	0	{0.0019298670252502613,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,66.93}
21	948:948:	\N	\N	2026-11-29 09:25:26.873986+00	\N	0	\N	\N	1	3	0	{0.002180227714523743,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,108.03000000000002}
22	950:950:	\N	\N	2026-11-29 09:25:26.893078+00	\N	0	\N	\N	1	8	0	{0.002149902670715565,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,64.215}
24	954:954:	\N	\N	2026-11-29 09:25:26.941061+00	\N	0	\N	\N	1	7	0	{0.0019639840220024886,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,76.35499999999999}
25	956:956:	\N	\N	2026-11-29 09:25:26.998757+00	\N	0	\N	\N	1	7	0	{0.1715671022583101,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,78.82}
13	983:987:983	\N	\N	2026-11-29 09:25:27.562185+00	\N	0	\N	\N	2	61	0	{0.019194924868488037,NULL,NULL,0.011194136403935566,NULL,NULL,NULL,NULL,NULL,235.72}
14	995:995:	\N	\N	2026-11-29 09:25:27.661575+00	\N	0	\N	\N	2	59	0	{0.0012225909343988475,NULL,NULL,0.001160524425636278,NULL,NULL,NULL,NULL,NULL,261.71142857142854}
16	995:995:	\N	\N	2026-11-29 09:25:27.661575+00	\N	0	\N	\N	2	5	0	{0.003046953123465559,NULL,NULL,0.0031920553854213403,NULL,NULL,NULL,NULL,NULL,50.87385126020372}
8	968:968:	\N	\N	2026-11-29 09:25:27.187341+00	\N	0	\N	\N	2	8	0	{0.0032238824023519525,NULL,NULL,0.0030121880817820506,NULL,NULL,NULL,NULL,NULL,71.43}
26	968:968:	\N	\N	2026-11-29 09:25:27.187341+00	\N	0	\N	\N	2	8	0	{0.003800056903929892,NULL,0.003065064126390588,NULL,NULL,NULL,NULL,NULL,NULL,43.318625}
2	973:973:	\N	\N	2026-11-29 09:25:27.269945+00	\N	0	\N	\N	2	61	0	{0.0020441678929765885,NULL,NULL,0.0018029808270219746,NULL,NULL,NULL,NULL,NULL,89.7}
3	973:973:	\N	\N	2026-11-29 09:25:27.269945+00	\N	0	\N	\N	2	61	0	{0.0013797706320432394,NULL,0.002413972563121528,NULL,NULL,NULL,NULL,NULL,NULL,129.257375}
4	973:973:	\N	\N	2026-11-29 09:25:27.269945+00	\N	0	\N	\N	2	12	0	{0.0018847866443625406,NULL,NULL,0.0019333022921934947,NULL,NULL,NULL,NULL,NULL,81.972875}
6	973:973:	\N	\N	2026-11-29 09:25:27.269945+00	\N	0	\N	\N	2	4	0	{0.002362133483833513,NULL,NULL,0.0013775539421748558,NULL,NULL,NULL,NULL,NULL,69.545875}
7	977:977:	\N	\N	2026-11-29 09:25:27.339515+00	\N	0	\N	\N	2	43	0	{0.0014153826671943013,NULL,0.0017065842636122324,NULL,NULL,NULL,NULL,NULL,NULL,108.976875}
9	980:980:	\N	\N	2026-11-29 09:25:27.346515+00	\N	0	\N	\N	2	4	0	{0.0038695729061042376,NULL,NULL,0.0030940600344976747,NULL,NULL,NULL,NULL,NULL,61.63750000000001}
29	964:964:	\N	\N	2026-11-29 09:25:27.176792+00	\N	0	\N	\N	1	1	0	{0.003059465982802835,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,33.14500000000001}
27	968:968:	\N	\N	2026-11-29 09:25:27.187341+00	\N	0	\N	\N	2	2	0	{0.005210524135073545,NULL,NULL,0.003008297512003753,NULL,NULL,NULL,NULL,NULL,24.135}
28	962:962:	\N	\N	2026-11-29 09:25:27.158233+00	\N	3	division by zero	2026-11-29 09:25:31.1442+00	1	60	0	{0.0020073611845584345,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,94.55000000000001}
\.
COPY pgtrickle.pgt_layouts (layout, source_id, attnums, types, touch) FROM stdin;
1	1	{1,2,3}	{integer,integer,numeric}	f
2	1	{1,2,3,4}	{integer,integer,numeric,text}	f
3	2	{1,3}	{integer,text}	f
4	3	{1,2}	{integer,integer}	f
5	2	{1,2,3}	{integer,integer,text}	f
6	4	{2,3}	{text,bigint}	f
7	5	{2}	{integer}	f
8	6	{1,2}	{"timestamp with time zone",integer}	f
9	6	{1,2}	{"timestamp with time zone",integer}	t
10	7	{1,2}	{integer,bigint}	f
11	8	{2}	{bigint}	f
\.
COPY pgtrickle.pgt_refresh_history (refresh_id, pgt_id, started_at, action, rows_inserted, rows_updated, rows_deleted, delta_rows, duration_ms, error, delta_cost, full_cost) FROM stdin;
1	1	2026-11-29 09:25:26.289166+00	FULL	51	0	0	0	2.601459	\N	\N	\N
2	2	2026-11-29 09:25:26.308794+00	FULL	60	0	0	0	1.621596	\N	\N	\N
3	3	2026-11-29 09:25:26.338071+00	FULL	60	0	0	0	2.721001	\N	\N	\N
4	4	2026-11-29 09:25:26.359881+00	FULL	12	0	0	0	1.691244	\N	\N	\N
5	5	2026-11-29 09:25:26.377368+00	FULL	10	0	0	0	6.987391	\N	\N	\N
6	6	2026-11-29 09:25:26.40702+00	FULL	4	0	0	0	1.711103	\N	\N	\N
7	7	2026-11-29 09:25:26.428158+00	FULL	42	0	0	0	2.345079	\N	\N	\N
8	8	2026-11-29 09:25:26.449003+00	FULL	7	0	0	0	8.313502	\N	\N	\N
9	9	2026-11-29 09:25:26.471828+00	FULL	2	0	0	0	9.60395	\N	\N	\N
10	10	2026-11-29 09:25:26.518651+00	FULL	7	0	0	0	4.394197	\N	\N	\N
11	11	2026-11-29 09:25:26.612788+00	FULL	24	0	0	0	15.198527	\N	\N	\N
12	12	2026-11-29 09:25:26.647825+00	FULL	7	0	0	0	8.454358000000001	\N	\N	\N
13	13	2026-11-29 09:25:26.672468+00	FULL	60	0	0	0	8.987528999999999	\N	\N	\N
14	14	2026-11-29 09:25:26.698787+00	FULL	58	0	0	0	6.284375	\N	\N	\N
15	15	2026-11-29 09:25:26.727908+00	FULL	60	0	0	0	7.594516	\N	\N	\N
16	16	2026-11-29 09:25:26.76029+00	FULL	5	0	0	0	1.50715	\N	\N	\N
17	17	2026-11-29 09:25:26.782408+00	FULL	30	0	0	0	11.12461	\N	\N	\N
18	18	2026-11-29 09:25:26.81056+00	FULL	14	0	0	0	7.52769	\N	\N	\N
19	19	2026-11-29 09:25:26.829621+00	FULL	30	0	0	0	2.3327259999999996	\N	\N	\N
20	20	2026-11-29 09:25:26.846249+00	FULL	7	0	0	0	3.670434	\N	\N	\N
21	21	2026-11-29 09:25:26.87432+00	FULL	3	0	0	0	5.989916	\N	\N	\N
22	22	2026-11-29 09:25:26.897195+00	FULL	8	0	0	0	1.187903	\N	\N	\N
23	23	2026-11-29 09:25:26.919873+00	FULL	1	0	0	0	7.73525	\N	\N	\N
24	24	2026-11-29 09:25:26.941271+00	FULL	7	0	0	0	6.567068	\N	\N	\N
25	25	2026-11-29 09:25:26.999132+00	FULL	7	0	0	0	16.89695	\N	\N	\N
26	26	2026-11-29 09:25:27.086898+00	FULL	7	0	0	0	2.328989	\N	\N	\N
27	27	2026-11-29 09:25:27.133661+00	FULL	1	0	0	0	3.859715	\N	\N	\N
28	28	2026-11-29 09:25:27.158456+00	FULL	60	0	0	0	5.631608	\N	\N	\N
29	29	2026-11-29 09:25:27.176991+00	FULL	1	0	0	0	3.105357	\N	\N	\N
30	8	2026-11-29 09:25:27.204288+00	DIFFERENTIAL	0	1	0	1	29.873798999999998	\N	0.5542041868307942	0.232608
31	26	2026-11-29 09:25:27.228173+00	DIFFERENTIAL	0	1	0	2	6.101571	\N	0.17645946774541865	0.166276
32	27	2026-11-29 09:25:27.226409+00	DIFFERENTIAL	0	1	0	2	7.882845	\N	0.6876496442467375	0.125756
33	2	2026-11-29 09:25:27.309708+00	DIFFERENTIAL	1	0	0	1	9.868419999999999	\N	0.19504390095875143	0.185214
34	3	2026-11-29 09:25:27.307517+00	DIFFERENTIAL	1	0	0	1	12.121527	\N	0.06492574666396671	0.180147
35	4	2026-11-29 09:25:27.30447+00	DIFFERENTIAL	0	0	0	1	15.182884000000001	\N	0.1837343432218596	0.156062
36	6	2026-11-29 09:25:27.316899+00	DIFFERENTIAL	0	0	0	1	2.765971	\N	0.25102522952392997	0.165936
37	7	2026-11-29 09:25:27.339812+00	DIFFERENTIAL	1	0	0	1	2.368523	\N	0.052414961193842924	0.155802
38	9	2026-11-29 09:25:27.347575+00	DIFFERENTIAL	1	1	0	1	9.402618	\N	0.4745103616331972	0.24091999999999997
39	10	2026-11-29 09:25:27.548071+00	DIFFERENTIAL	0	1	0	1	13.98893	\N	0.35251075489342215	0.25489399999999995
40	12	2026-11-29 09:25:27.559254+00	DIFFERENTIAL	0	0	0	1	3.31299	\N	0.3389241930923695	0.2354
41	11	2026-11-29 09:25:27.548467+00	FULL	4	0	4	1	34.720875	\N	1.4364374722204905	0.703721
42	13	2026-11-29 09:25:27.568066+00	DIFFERENTIAL	1	0	0	1	21.573375	\N	1.7682760988120074	3.9059824217274226
43	15	2026-11-29 09:25:27.662364+00	DIFFERENTIAL	1	0	0	1	4.37027	\N	0.3605190852243513	0.426367
44	17	2026-11-29 09:25:27.663304+00	DIFFERENTIAL	0	0	0	1	14.38426	\N	0.3669668709930669	0.217425
45	14	2026-11-29 09:25:27.66534+00	DIFFERENTIAL	1	0	0	1	14.559699	\N	0.2940787834222898	0.32319800000000004
46	16	2026-11-29 09:25:27.676608+00	DIFFERENTIAL	0	0	0	1	3.337568	\N	0.2806999976604555	0.15657600000000002
47	18	2026-11-29 09:25:27.779197+00	DIFFERENTIAL	0	0	0	1	13.36087	\N	0.3074801090042091	0.318799
48	28	2026-11-29 09:25:28.128584+00	NO_DATA	0	0	0	0	0	division by zero	\N	\N
49	1	2026-11-29 09:25:28.127245+00	DIFFERENTIAL	1	0	0	1	1.538505	\N	0.11370104015108085	0.219281
50	28	2026-11-29 09:25:29.137359+00	NO_DATA	0	0	0	0	0	division by zero	\N	\N
51	28	2026-11-29 09:25:31.14426+00	NO_DATA	0	0	0	0	0	division by zero	\N	\N
\.
COPY pgtrickle.pgt_source_members (source_id, relid, fingerprint) FROM stdin;
1	public.item	17214:908/17215:908
3	public.base_row	17282:916/17283:916
3	public.child_row	17284:916/17285:916
2	public.grp	17251:912/17252:912
4	public.part	17519:948
4	public.part_north	17520:948/17522:948
4	public.part_rest	17521:948/17523:948
5	public.hot	17553:952/17554:952/unlogged
6	public.event	17578:954/17579:954
7	public.st_sum	
8	public.st_reader	
\.
COPY pgtrickle_changes.changes_1 (chunk) FROM stdin;
\\x01e8030000010000000b00810100236469766973696f6e206279207a65726f0307c702
\\x013d000000050000000b00813d00116c617465203631013e000000060000000b00813e00116c617465203632013f000000000000000b00813f00116c6174652036330140000000010000000b00814000116c6174652036340141000000020000000b00814100116c6174652036350142000000030000000b00814200116c6174652036360143000000040000000b00814300116c6174652036370144000000050000000b00814400116c6174652036380145000000060000000b00814500116c6174652036390146000000000000000b00814600116c6174652037300307f414
\\x0203000000030000000f008103004c1d0f6974656d20332109040000000f008167004c1d020d000000060000000f00811000c409116974656d2031332109000000000f00817400c4090217000000020000000f00811c004c1d116974656d2032332109030000000f008180004c1d0221000000050000000f00812900c409116974656d2033332109060000000f00818d00c409022b000000010000000f008135004c1d116974656d2034332109020000000f008199004c1d0235000000040000000f00814200c409116974656d2035332109050000000f0081a600c409023f000000000000000b00813f00116c6174652036332109010000000b0081a3000307f51c
\\x0207000000000000000f008108004c1d0f6974656d20370211000000030000000f00811500c409116974656d203137021b000000060000000f008121004c1d116974656d2032370225000000020000000f00812e00c409116974656d203337022f000000050000000f00813a004c1d116974656d2034370239000000010000000f00814700c409116974656d2035370243000000040000000b00814300116c6174652036370307f60e
\.
COPY pgtrickle_changes.changes_2 (chunk) FROM stdin;
\\x0203000000010000001167726f757020332105020000000607f704
\\x010700000003000000176c6174652067726f75700607f802
\\x010800000003000000000000c601000028230000fe780f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ffff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ffff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ffff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff0f01ff030f01ff0f01f50607ff02
\.
COPY pgtrickle_changes.changes_3 (chunk) FROM stdin;
\\x0207000000310000002101040000000507fe04
\.
COPY pgtrickle_changes.changes_4 (chunk) FROM stdin;
\\x010d6e6f7274680500000000000000010b6561737407000000000000000707fb04
\\x020d6e6f7274681e00000000000000020d736f7574680a00000000000000020b7765737414000000000000000707fc06
\.
COPY pgtrickle_changes.changes_5 (chunk) FROM stdin;
\\x00000001
\\x02010000002100020000000202000000210003000000020300000021000400000002040000002100050000000807fd10
\.
COPY pgtrickle_changes.changes_6 (chunk) FROM stdin;
\\x010000fda7b6ec0200050000000a07f902
\.
COPY pgtrickle_changes.changes_7 (chunk) FROM stdin;
\.
COPY pgtrickle_changes.changes_8 (chunk) FROM stdin;
\.
COPY pgtrickle_state.n_10_1 (grp, n, string_agg) FROM stdin;
0	8	item 7,item 14,item 21,item 28,item 42,item 49,item 56
2	9	item 2,item 9,item 16,item 23,item 37,item 44,item 51,item 58
3	9	item 3,item 17,item 24,item 31,item 38,item 52,item 59
4	9	item 4,item 11,item 18,item 32,item 39,item 46,item 53
5	8	item 12,item 19,item 26,item 33,item 47,item 54
6	8	item 6,item 13,item 27,item 34,item 41,item 48
1	10	item 1,item 8,item 22,item 29,item 36,item 43,item 57,division by zero
\.
COPY pgtrickle_state.n_11_1 (grp, key, n) FROM stdin;
1	t	2
3	f	7
3	t	2
5	f	6
2	f	8
4	f	7
4	t	2
0	f	7
6	f	6
5	t	2
0	t	1
2	t	1
6	t	2
1	f	8
\.
COPY pgtrickle_state.n_11_2 (key, n) FROM stdin;
t	12
f	49
\.
COPY pgtrickle_state.n_11_3 (grp, n) FROM stdin;
3	9
5	8
4	9
0	8
6	8
2	9
1	10
\.
COPY pgtrickle_state.n_11_4 (n) FROM stdin;
61
\.
COPY pgtrickle_state.n_12_1 (grp, n) FROM stdin;
3	6
5	5
4	6
0	5
6	5
2	6
1	7
\.
COPY pgtrickle_state.n_13_1 (id, n) FROM stdin;
51	1
52	1
60	1
22	1
59	1
44	1
11	1
42	1
40	1
43	1
9	2
15	1
48	1
26	1
57	1
19	1
30	1
21	1
3	2
17	1
37	1
28	1
5	2
56	1
54	1
29	1
4	2
34	1
10	1
35	1
45	1
6	2
39	1
36	1
31	1
50	1
14	1
13	1
2	2
16	1
41	1
46	1
53	1
32	1
7	2
38	1
12	1
24	1
25	1
49	1
47	1
20	1
33	1
1	2
18	1
55	1
27	1
23	1
58	1
8	2
1000	1
\.
COPY pgtrickle_state.n_14_1 (grp, n, lefts, rights) FROM stdin;
3	9	9	0
5	8	8	0
4	9	9	0
0	8	8	0
6	8	8	0
2	10	9	1
1	11	10	1
\.
COPY pgtrickle_state.n_15_1 (id, place, grp) FROM stdin;
56	1	0
49	2	0
42	3	0
35	4	0
28	5	0
21	6	0
14	7	0
7	8	0
57	1	1
50	2	1
43	3	1
36	4	1
29	5	1
22	6	1
15	7	1
8	8	1
1	9	1
58	1	2
51	2	2
44	3	2
37	4	2
30	5	2
23	6	2
16	7	2
9	8	2
2	9	2
59	1	3
52	2	3
45	3	3
38	4	3
31	5	3
24	6	3
17	7	3
10	8	3
3	9	3
60	1	4
53	2	4
46	3	4
39	4	4
32	5	4
25	6	4
18	7	4
11	8	4
4	9	4
54	1	5
47	2	5
40	3	5
33	4	5
26	5	5
19	6	5
12	7	5
5	8	5
55	1	6
48	2	6
41	3	6
34	4	6
27	5	6
20	6	6
13	7	6
6	8	6
1000	10	1
\.
COPY pgtrickle_state.n_17_1 (n, avg_sum) FROM stdin;
61	2288.50
\.
COPY pgtrickle_state.n_18_1 (id, key) FROM stdin;
7	0
14	0
1	1
8	1
2	2
9	2
3	3
10	3
4	4
11	4
5	5
12	5
6	6
13	6
\.
COPY pgtrickle_state.n_21_1 (region, n, sum_count, sum) FROM stdin;
west	10	10	1550
south	10	10	1450
north	10	10	1650
\.
COPY pgtrickle_state.n_23_1 (n, sum) FROM stdin;
10	55
\.
COPY pgtrickle_state.n_25_1 (grp, n, sum) FROM stdin;
3	6	41
5	6	45
4	6	43
0	5	35
6	5	33.333333333333336
2	6	39
1	6	37
\.
COPY pgtrickle_state.n_27_1 (n, max) FROM stdin;
7	10
\.
COPY pgtrickle_state.n_8_1 (grp, n, sum, min, max) FROM stdin;
3	9	348.75	3.75	item 59
5	8	295.00	6.25	item 54
4	9	360.00	5.00	item 53
0	8	315.00	8.75	item 7
6	8	305.00	7.50	item 6
2	9	337.50	2.50	item 9
1	10	327.25	1.00	item 8
\.
COPY pgtrickle_state.n_9_1 (grp, n, sum) FROM stdin;
3	9	348.75
5	8	295.00
4	9	360.00
0	8	315.00
6	8	305.00
2	9	337.50
1	10	327.25
\.
COPY public.base_row (id, v) FROM stdin;
1	1
3	9
4	16
5	25
2	4
\.
COPY public.child_row (id, v) FROM stdin;
6	36
8	64
9	81
7	4
\.
COPY public.event (at, grp, value) FROM stdin;
2026-01-01 01:00:00+00	1	0.3333333333333333
2026-01-01 02:00:00+00	2	0.6666666666666666
2026-01-01 03:00:00+00	3	1
2026-01-01 04:00:00+00	4	1.3333333333333333
2026-01-01 05:00:00+00	5	1.6666666666666667
2026-01-01 06:00:00+00	6	2
2026-01-01 07:00:00+00	0	2.3333333333333335
2026-01-01 08:00:00+00	1	2.6666666666666665
2026-01-01 09:00:00+00	2	3
2026-01-01 10:00:00+00	3	3.3333333333333335
2026-01-01 11:00:00+00	4	3.6666666666666665
2026-01-01 12:00:00+00	5	4
2026-01-01 13:00:00+00	6	4.333333333333333
2026-01-01 14:00:00+00	0	4.666666666666667
2026-01-01 15:00:00+00	1	5
2026-01-01 16:00:00+00	2	5.333333333333333
2026-01-01 17:00:00+00	3	5.666666666666667
2026-01-01 18:00:00+00	4	6
2026-01-01 19:00:00+00	5	6.333333333333333
2026-01-01 20:00:00+00	6	6.666666666666667
2026-01-01 21:00:00+00	0	7
2026-01-01 22:00:00+00	1	7.333333333333333
2026-01-01 23:00:00+00	2	7.666666666666667
2026-01-02 00:00:00+00	3	8
2026-01-02 01:00:00+00	4	8.333333333333334
2026-01-02 02:00:00+00	5	8.666666666666666
2026-01-02 03:00:00+00	6	9
2026-01-02 04:00:00+00	0	9.333333333333334
2026-01-02 05:00:00+00	1	9.666666666666666
2026-01-02 06:00:00+00	2	10
2026-01-02 07:00:00+00	3	10.333333333333334
2026-01-02 08:00:00+00	4	10.666666666666666
2026-01-02 09:00:00+00	5	11
2026-01-02 10:00:00+00	6	11.333333333333334
2026-01-02 11:00:00+00	0	11.666666666666666
2026-01-02 12:00:00+00	1	12
2026-01-02 13:00:00+00	2	12.333333333333334
2026-01-02 14:00:00+00	3	12.666666666666666
2026-01-02 15:00:00+00	4	13
2026-01-02 16:00:00+00	5	13.333333333333334
2026-02-01 00:00:00+00	5	1
\.
COPY public.grp (id, parent, label) FROM stdin;
0	\N	group 0
1	0	group 1
2	0	group 2
4	1	group 4
5	2	group 5
6	2	group 6
3	2	group 3
7	3	late group
8	3	xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
\.
COPY public.hot (id, hits) FROM stdin;
5	5
6	6
7	7
8	8
9	9
10	10
1	2
2	3
3	4
4	5
\.
COPY public.item (id, grp, price, name) FROM stdin;
1	1	1.25	item 1
2	2	2.50	item 2
4	4	5.00	item 4
5	5	6.25	\N
6	6	7.50	item 6
8	1	10.00	item 8
9	2	11.25	item 9
10	3	12.50	\N
11	4	13.75	item 11
12	5	15.00	item 12
14	0	17.50	item 14
15	1	18.75	\N
16	2	20.00	item 16
18	4	22.50	item 18
19	5	23.75	item 19
20	6	25.00	\N
21	0	26.25	item 21
22	1	27.50	item 22
24	3	30.00	item 24
25	4	31.25	\N
26	5	32.50	item 26
28	0	35.00	item 28
29	1	36.25	item 29
30	2	37.50	\N
31	3	38.75	item 31
32	4	40.00	item 32
34	6	42.50	item 34
35	0	43.75	\N
36	1	45.00	item 36
38	3	47.50	item 38
39	4	48.75	item 39
40	5	50.00	\N
41	6	51.25	item 41
42	0	52.50	item 42
44	2	55.00	item 44
45	3	56.25	\N
46	4	57.50	item 46
48	6	60.00	item 48
49	0	61.25	item 49
50	1	62.50	\N
51	2	63.75	item 51
52	3	65.00	item 52
54	5	67.50	item 54
55	6	68.75	\N
56	0	70.00	item 56
58	2	72.50	item 58
59	3	73.75	item 59
60	4	75.00	\N
1000	1	1.00	division by zero
61	5	61.00	late 61
62	6	62.00	late 62
64	1	64.00	late 64
65	2	65.00	late 65
66	3	66.00	late 66
68	5	68.00	late 68
69	6	69.00	late 69
70	0	70.00	late 70
3	4	103.75	item 3
13	0	116.25	item 13
23	3	128.75	item 23
33	6	141.25	item 33
43	2	153.75	item 43
53	5	166.25	item 53
63	1	163.00	late 63
\.
COPY public.part_north (id, region, amount) FROM stdin;
6	north	60
9	north	90
12	north	120
15	north	150
18	north	180
21	north	210
24	north	240
27	north	270
30	north	300
31	north	5
\.
COPY public.part_rest (id, region, amount) FROM stdin;
4	south	40
5	west	50
7	south	70
8	west	80
10	south	100
11	west	110
13	south	130
14	west	140
16	south	160
17	west	170
19	south	190
20	west	200
22	south	220
23	west	230
25	south	250
26	west	260
28	south	280
29	west	290
32	east	7
\.
COPY public.st_anti (id) FROM stdin;
1
2
5
6
7
8
9
12
13
14
15
16
19
20
21
22
23
26
27
28
29
30
33
34
35
36
37
40
41
42
43
44
47
48
49
50
51
54
55
56
57
58
1000
\.
COPY public.st_bag (name) FROM stdin;
item 1
item 2
item 3
item 4
\N
item 6
item 7
item 8
item 9
\N
item 11
item 12
item 13
item 14
\N
item 16
item 17
item 18
item 19
\N
item 21
item 22
item 23
item 24
\N
item 26
item 27
item 28
item 29
\N
item 31
item 32
item 33
item 34
\N
item 36
item 37
item 38
item 39
\N
item 41
item 42
item 43
item 44
\N
item 46
item 47
item 48
item 49
\N
item 51
item 52
item 53
item 54
\N
item 56
item 57
item 58
item 59
\N
division by zero
\.
COPY public.st_children (id, v) FROM stdin;
2	4
3	9
4	16
5	25
6	36
7	49
8	64
9	81
\.
COPY public.st_cube (grp, nameless, n) FROM stdin;
1	t	2
3	f	7
3	t	2
5	f	6
2	f	8
4	f	7
4	t	2
0	f	7
6	f	6
5	t	2
0	t	1
2	t	1
6	t	2
\N	t	12
3	\N	9
5	\N	8
4	\N	9
0	\N	8
6	\N	8
2	\N	9
1	\N	10
\N	\N	61
1	f	8
\N	f	49
\.
COPY public.st_distinct (grp) FROM stdin;
3
5
4
0
6
2
1
\.
COPY public.st_except (grp) FROM stdin;
3
3
3
3
3
3
3
3
3
5
5
5
5
5
5
5
5
4
4
4
4
4
4
4
4
4
0
0
0
0
0
0
0
0
6
6
6
6
6
6
6
6
2
2
2
2
2
2
2
2
1
1
1
1
1
1
1
1
1
\.
COPY public.st_filter (id, twice) FROM stdin;
1	2.50
2	5.00
4	10.00
5	12.50
6	15.00
7	17.50
8	20.00
9	22.50
11	27.50
12	30.00
13	32.50
14	35.00
15	37.50
16	40.00
18	45.00
19	47.50
20	50.00
21	52.50
22	55.00
23	57.50
25	62.50
26	65.00
27	67.50
28	70.00
29	72.50
30	75.00
32	80.00
33	82.50
34	85.00
35	87.50
36	90.00
37	92.50
39	97.50
40	100.00
41	102.50
42	105.00
43	107.50
44	110.00
46	115.00
47	117.50
48	120.00
49	122.50
50	125.00
51	127.50
53	132.50
54	135.00
55	137.50
56	140.00
57	142.50
58	145.00
60	150.00
1000	2.00
\.
COPY public.st_full (id, v) FROM stdin;
1	1
2	4
3	9
4	16
5	25
6	36
0	\N
\N	49
\N	64
\N	81
\.
COPY public.st_hot (hits) FROM stdin;
55
\.
COPY public.st_join (id, name, label) FROM stdin;
1	item 1	group 1
2	item 2	group 2
3	item 3	group 3
4	item 4	group 4
5	\N	group 5
6	item 6	group 6
7	item 7	group 0
8	item 8	group 1
9	item 9	group 2
10	\N	group 3
11	item 11	group 4
12	item 12	group 5
13	item 13	group 6
14	item 14	group 0
15	\N	group 1
16	item 16	group 2
17	item 17	group 3
18	item 18	group 4
19	item 19	group 5
20	\N	group 6
21	item 21	group 0
22	item 22	group 1
23	item 23	group 2
24	item 24	group 3
25	\N	group 4
26	item 26	group 5
27	item 27	group 6
28	item 28	group 0
29	item 29	group 1
30	\N	group 2
31	item 31	group 3
32	item 32	group 4
33	item 33	group 5
34	item 34	group 6
35	\N	group 0
36	item 36	group 1
37	item 37	group 2
38	item 38	group 3
39	item 39	group 4
40	\N	group 5
41	item 41	group 6
42	item 42	group 0
43	item 43	group 1
44	item 44	group 2
45	\N	group 3
46	item 46	group 4
47	item 47	group 5
48	item 48	group 6
49	item 49	group 0
50	\N	group 1
51	item 51	group 2
52	item 52	group 3
53	item 53	group 4
54	item 54	group 5
55	\N	group 6
56	item 56	group 0
57	item 57	group 1
58	item 58	group 2
59	item 59	group 3
60	\N	group 4
1000	division by zero	group 1
\.
COPY public.st_lateral (id, item) FROM stdin;
0	7
0	14
1	1
1	8
2	2
2	9
3	3
3	10
4	4
4	11
5	5
5	12
6	6
6	13
\.
COPY public.st_left (id, label, item) FROM stdin;
0	group 0	49
1	group 1	50
2	group 2	51
3	group 3	52
4	group 4	53
5	group 5	54
6	group 6	55
0	group 0	56
1	group 1	57
2	group 2	58
3	group 3	59
4	group 4	60
\.
COPY public.st_nested (n, groups) FROM stdin;
8	3
9	3
10	1
\.
COPY public.st_part (region, amount) FROM stdin;
west	1550
south	1450
north	1650
\.
COPY public.st_paused (n) FROM stdin;
60
\.
COPY public.st_reader (grp, n, label) FROM stdin;
0	8	group 0
2	9	group 2
3	9	group 3
4	9	group 4
5	8	group 5
6	8	group 6
1	10	group 1
\.
COPY public.st_reader_of_reader (most) FROM stdin;
10
\.
COPY public.st_recent (grp, n) FROM stdin;
3	6
5	6
4	6
0	5
6	5
2	6
1	6
\.
COPY public.st_recompute (grp, names) FROM stdin;
0	item 7,item 14,item 21,item 28,item 42,item 49,item 56
2	item 2,item 9,item 16,item 23,item 37,item 44,item 51,item 58
3	item 3,item 17,item 24,item 31,item 38,item 52,item 59
4	item 4,item 11,item 18,item 32,item 39,item 46,item 53
5	item 12,item 19,item 26,item 33,item 47,item 54
6	item 6,item 13,item 27,item 34,item 41,item 48
1	item 1,item 8,item 22,item 29,item 36,item 43,item 57,division by zero
\.
COPY public.st_scalar (id) FROM stdin;
31
32
33
34
35
36
37
38
39
40
41
42
43
44
45
46
47
48
49
50
51
52
53
54
55
56
57
58
59
60
\.
COPY public.st_semi (id, label) FROM stdin;
1	group 1
2	group 2
3	group 3
4	group 4
\.
COPY public.st_series (id, s) FROM stdin;
1	1
2	1
2	2
2	3
2	4
3	1
3	2
3	3
3	4
3	5
3	6
3	7
3	8
3	9
4	1
4	2
4	3
4	4
4	5
4	6
4	7
4	8
4	9
4	10
4	11
4	12
4	13
4	14
4	15
4	16
\.
COPY public.st_sum (grp, n, total, mean, low, high) FROM stdin;
3	9	348.75	38.7500000000000000	3.75	item 59
5	8	295.00	36.8750000000000000	6.25	item 54
4	9	360.00	40.0000000000000000	5.00	item 53
0	8	315.00	39.3750000000000000	8.75	item 7
6	8	305.00	38.1250000000000000	7.50	item 6
2	9	337.50	37.5000000000000000	2.50	item 9
1	10	327.25	32.7250000000000000	1.00	item 8
\.
COPY public.st_suspended (id, quotient) FROM stdin;
1	0
2	0
3	0
4	0
5	0
6	0
7	0
8	0
9	0
10	0
11	0
12	0
13	0
14	0
15	0
16	0
17	0
18	0
19	0
20	0
21	0
22	0
23	0
24	0
25	0
26	0
27	0
28	0
29	0
30	0
31	0
32	0
33	0
34	0
35	0
36	0
37	0
38	0
39	0
40	0
41	0
42	0
43	0
44	0
45	0
46	0
47	0
48	0
49	0
50	0
51	0
52	0
53	0
54	0
55	0
56	0
57	0
58	0
59	0
60	0
\.
COPY public.st_top (id, price) FROM stdin;
60	75.00
59	73.75
58	72.50
57	71.25
56	70.00
\.
COPY public.st_tree (id, depth) FROM stdin;
0	0
1	1
2	1
3	2
4	2
5	2
6	2
\.
COPY public.st_union (id) FROM stdin;
51
52
60
22
59
44
11
42
40
43
9
15
48
26
57
19
30
21
3
17
37
28
5
56
54
29
4
34
10
35
45
6
39
36
31
50
14
13
2
16
41
46
53
32
7
38
12
24
25
49
47
20
33
1
18
55
27
23
58
8
1000
\.
COPY public.st_whole (grp, value) FROM stdin;
3	41
5	45
4	43
0	35
6	33.333333333333336
2	39
1	37
\.
COPY public.st_window (id, place) FROM stdin;
56	1
49	2
42	3
35	4
28	5
21	6
14	7
7	8
57	1
50	2
43	3
36	4
29	5
22	6
15	7
8	8
1	9
58	1
51	2
44	3
37	4
30	5
23	6
16	7
9	8
2	9
59	1
52	2
45	3
38	4
31	5
24	6
17	7
10	8
3	9
60	1
53	2
46	3
39	4
32	5
25	6
18	7
11	8
4	9
54	1
47	2
40	3
33	4
26	5
19	6
12	7
5	8
55	1
48	2
41	3
34	4
27	5
20	6
13	7
6	8
1000	10
\.
ALTER TABLE ONLY public.base_row
    ADD CONSTRAINT base_row_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.grp
    ADD CONSTRAINT grp_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hot
    ADD CONSTRAINT hot_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.part
    ADD CONSTRAINT part_pkey PRIMARY KEY (id, region);
ALTER TABLE ONLY public.part_north
    ADD CONSTRAINT part_north_pkey PRIMARY KEY (id, region);
ALTER TABLE ONLY public.part_rest
    ADD CONSTRAINT part_rest_pkey PRIMARY KEY (id, region);
CREATE UNIQUE INDEX n_10_1_identity ON pgtrickle_state.n_10_1 USING btree (grp);
CREATE UNIQUE INDEX n_11_1_identity ON pgtrickle_state.n_11_1 USING btree (grp, key);
CREATE UNIQUE INDEX n_11_2_identity ON pgtrickle_state.n_11_2 USING btree (key);
CREATE UNIQUE INDEX n_11_3_identity ON pgtrickle_state.n_11_3 USING btree (grp);
CREATE UNIQUE INDEX n_12_1_identity ON pgtrickle_state.n_12_1 USING btree (grp);
CREATE UNIQUE INDEX n_13_1_identity ON pgtrickle_state.n_13_1 USING btree (id);
CREATE UNIQUE INDEX n_14_1_identity ON pgtrickle_state.n_14_1 USING btree (grp);
CREATE UNIQUE INDEX n_15_1_identity ON pgtrickle_state.n_15_1 USING btree (id);
CREATE INDEX n_15_1_lookup ON pgtrickle_state.n_15_1 USING btree (grp);
CREATE UNIQUE INDEX n_18_1_identity ON pgtrickle_state.n_18_1 USING btree (id);
CREATE INDEX n_18_1_lookup ON pgtrickle_state.n_18_1 USING btree (key);
CREATE UNIQUE INDEX n_21_1_identity ON pgtrickle_state.n_21_1 USING btree (region);
CREATE UNIQUE INDEX n_25_1_identity ON pgtrickle_state.n_25_1 USING btree (grp);
CREATE UNIQUE INDEX n_8_1_identity ON pgtrickle_state.n_8_1 USING btree (grp);
CREATE UNIQUE INDEX n_9_1_identity ON pgtrickle_state.n_9_1 USING btree (grp);
CREATE UNIQUE INDEX st_anti_identity ON public.st_anti USING btree (id);
CREATE INDEX st_bag_identity ON public.st_bag USING btree (hash_record_extended(ROW(name), (0)::bigint));
CREATE INDEX st_children_identity ON public.st_children USING btree (hash_record_extended(ROW(id, v), (0)::bigint));
CREATE INDEX st_cube_identity ON public.st_cube USING btree (hash_record_extended(ROW(grp, nameless, n), (0)::bigint));
CREATE UNIQUE INDEX st_distinct_identity ON public.st_distinct USING btree (grp);
CREATE INDEX st_except_identity ON public.st_except USING btree (hash_record_extended(ROW(grp), (0)::bigint));
CREATE UNIQUE INDEX st_filter_identity ON public.st_filter USING btree (id);
CREATE INDEX st_full_identity ON public.st_full USING btree (hash_record_extended(ROW(id, v), (0)::bigint));
CREATE UNIQUE INDEX st_join_identity ON public.st_join USING btree (id);
CREATE UNIQUE INDEX st_lateral_identity ON public.st_lateral USING btree (item);
CREATE INDEX st_left_identity ON public.st_left USING btree (hash_record_extended(ROW(id, item), (0)::bigint));
CREATE UNIQUE INDEX st_nested_identity ON public.st_nested USING btree (n);
CREATE UNIQUE INDEX st_part_identity ON public.st_part USING btree (region);
CREATE UNIQUE INDEX st_reader_identity ON public.st_reader USING btree (grp);
CREATE UNIQUE INDEX st_recent_identity ON public.st_recent USING btree (grp);
CREATE UNIQUE INDEX st_recompute_identity ON public.st_recompute USING btree (grp);
CREATE UNIQUE INDEX st_scalar_identity ON public.st_scalar USING btree (id);
CREATE UNIQUE INDEX st_semi_identity ON public.st_semi USING btree (id);
CREATE INDEX st_series_identity ON public.st_series USING btree (hash_record_extended(ROW(id, s), (0)::bigint));
CREATE UNIQUE INDEX st_sum_identity ON public.st_sum USING btree (grp);
CREATE UNIQUE INDEX st_suspended_identity ON public.st_suspended USING btree (id);
CREATE UNIQUE INDEX st_top_identity ON public.st_top USING btree (id);
CREATE INDEX st_tree_identity ON public.st_tree USING btree (hash_record_extended(ROW(id, depth), (0)::bigint));
CREATE INDEX st_tree_lookup ON public.st_tree USING btree (id);
CREATE UNIQUE INDEX st_union_identity ON public.st_union USING btree (id);
CREATE UNIQUE INDEX st_whole_identity ON public.st_whole USING btree (grp);
CREATE UNIQUE INDEX st_window_identity ON public.st_window USING btree (id);
ALTER INDEX public.part_pkey ATTACH PARTITION public.part_north_pkey;
ALTER INDEX public.part_pkey ATTACH PARTITION public.part_rest_pkey;
CREATE TRIGGER pgtrickle_capture_1 AFTER INSERT OR DELETE OR UPDATE ON public.item FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('1');
ALTER TRIGGER pgtrickle_capture_1 ON public.item DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.item ENABLE ALWAYS TRIGGER pgtrickle_capture_1;
CREATE TRIGGER pgtrickle_capture_2 AFTER INSERT OR DELETE OR UPDATE ON public.grp FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('2');
ALTER TRIGGER pgtrickle_capture_2 ON public.grp DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.grp ENABLE ALWAYS TRIGGER pgtrickle_capture_2;
CREATE TRIGGER pgtrickle_capture_3 AFTER INSERT OR DELETE OR UPDATE ON public.base_row FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('3');
ALTER TRIGGER pgtrickle_capture_3 ON public.base_row DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.base_row ENABLE ALWAYS TRIGGER pgtrickle_capture_3;
CREATE TRIGGER pgtrickle_capture_3 AFTER INSERT OR DELETE OR UPDATE ON public.child_row FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('3');
ALTER TRIGGER pgtrickle_capture_3 ON public.child_row DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.child_row ENABLE ALWAYS TRIGGER pgtrickle_capture_3;
CREATE TRIGGER pgtrickle_capture_4 AFTER INSERT OR DELETE OR UPDATE ON public.part FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('4');
ALTER TRIGGER pgtrickle_capture_4 ON public.part DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.part ENABLE ALWAYS TRIGGER pgtrickle_capture_4;
CREATE TRIGGER pgtrickle_capture_5 AFTER INSERT OR DELETE OR UPDATE ON public.hot FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('5');
ALTER TRIGGER pgtrickle_capture_5 ON public.hot DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.hot ENABLE ALWAYS TRIGGER pgtrickle_capture_5;
CREATE TRIGGER pgtrickle_capture_6 AFTER INSERT OR DELETE OR UPDATE ON public.event FOR EACH ROW EXECUTE FUNCTION pgtrickle.capture('6');
ALTER TRIGGER pgtrickle_capture_6 ON public.event DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.event ENABLE ALWAYS TRIGGER pgtrickle_capture_6;
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_anti FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_bag FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_children FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_cube FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_distinct FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_except FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_filter FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_full FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_hot FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_join FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_lateral FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_left FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_nested FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_part FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_paused FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_reader FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_reader_of_reader FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_recent FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_recompute FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_scalar FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_semi FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_series FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_sum FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_suspended FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_top FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_tree FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_union FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_whole FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_guard BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.st_window FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.guard();
CREATE TRIGGER pgtrickle_truncate_1 AFTER TRUNCATE ON public.item FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('1');
ALTER TRIGGER pgtrickle_truncate_1 ON public.item DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.item ENABLE ALWAYS TRIGGER pgtrickle_truncate_1;
CREATE TRIGGER pgtrickle_truncate_2 AFTER TRUNCATE ON public.grp FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('2');
ALTER TRIGGER pgtrickle_truncate_2 ON public.grp DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.grp ENABLE ALWAYS TRIGGER pgtrickle_truncate_2;
CREATE TRIGGER pgtrickle_truncate_3 AFTER TRUNCATE ON public.base_row FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('3');
ALTER TRIGGER pgtrickle_truncate_3 ON public.base_row DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.base_row ENABLE ALWAYS TRIGGER pgtrickle_truncate_3;
CREATE TRIGGER pgtrickle_truncate_3 AFTER TRUNCATE ON public.child_row FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('3');
ALTER TRIGGER pgtrickle_truncate_3 ON public.child_row DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.child_row ENABLE ALWAYS TRIGGER pgtrickle_truncate_3;
CREATE TRIGGER pgtrickle_truncate_4 AFTER TRUNCATE ON public.part_north FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('4');
ALTER TRIGGER pgtrickle_truncate_4 ON public.part_north DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.part_north ENABLE ALWAYS TRIGGER pgtrickle_truncate_4;
CREATE TRIGGER pgtrickle_truncate_4 AFTER TRUNCATE ON public.part_rest FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('4');
ALTER TRIGGER pgtrickle_truncate_4 ON public.part_rest DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.part_rest ENABLE ALWAYS TRIGGER pgtrickle_truncate_4;
CREATE TRIGGER pgtrickle_truncate_5 AFTER TRUNCATE ON public.hot FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('5');
ALTER TRIGGER pgtrickle_truncate_5 ON public.hot DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.hot ENABLE ALWAYS TRIGGER pgtrickle_truncate_5;
CREATE TRIGGER pgtrickle_truncate_6 AFTER TRUNCATE ON public.event FOR EACH STATEMENT EXECUTE FUNCTION pgtrickle.capture('6');
ALTER TRIGGER pgtrickle_truncate_6 ON public.event DEPENDS ON EXTENSION pg_trickle;
ALTER TABLE public.event ENABLE ALWAYS TRIGGER pgtrickle_truncate_6;
GRANT SELECT ON TABLE pgtrickle_changes.pending_1 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_2 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_3 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_4 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_5 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_6 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_7 TO PUBLIC;
GRANT SELECT ON TABLE pgtrickle_changes.pending_8 TO PUBLIC;
reset all; set client_min_messages = warning;
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_1'::regclass, 0, 'pg_class'::regclass, 'st_filter'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_1'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_2'::regclass, 0, 'pg_class'::regclass, 'st_bag'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_1'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_3'::regclass, 0, 'pg_class'::regclass, 'st_join'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_2'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_4'::regclass, 0, 'pg_class'::regclass, 'st_left'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_5'::regclass, 0, 'pg_class'::regclass, 'st_full'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_3'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_3'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_6'::regclass, 0, 'pg_class'::regclass, 'st_semi'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_7'::regclass, 0, 'pg_class'::regclass, 'st_anti'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_2'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_8'::regclass, 0, 'pg_class'::regclass, 'st_sum'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_8_1'::regclass, 0, 'pg_class'::regclass, 'st_sum'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_9'::regclass, 0, 'pg_class'::regclass, 'st_nested'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_9_1'::regclass, 0, 'pg_class'::regclass, 'st_nested'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_10'::regclass, 0, 'pg_class'::regclass, 'st_recompute'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_10_1'::regclass, 0, 'pg_class'::regclass, 'st_recompute'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_11'::regclass, 0, 'pg_class'::regclass, 'st_cube'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_11_1'::regclass, 0, 'pg_class'::regclass, 'st_cube'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_11_2'::regclass, 0, 'pg_class'::regclass, 'st_cube'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_11_3'::regclass, 0, 'pg_class'::regclass, 'st_cube'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_11_4'::regclass, 0, 'pg_class'::regclass, 'st_cube'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_12'::regclass, 0, 'pg_class'::regclass, 'st_distinct'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_12_1'::regclass, 0, 'pg_class'::regclass, 'st_distinct'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_13'::regclass, 0, 'pg_class'::regclass, 'st_union'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_13_1'::regclass, 0, 'pg_class'::regclass, 'st_union'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_14'::regclass, 0, 'pg_class'::regclass, 'st_except'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_14_1'::regclass, 0, 'pg_class'::regclass, 'st_except'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_15'::regclass, 0, 'pg_class'::regclass, 'st_window'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_15_1'::regclass, 0, 'pg_class'::regclass, 'st_window'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_16'::regclass, 0, 'pg_class'::regclass, 'st_top'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_17'::regclass, 0, 'pg_class'::regclass, 'st_scalar'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_17_1'::regclass, 0, 'pg_class'::regclass, 'st_scalar'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_18'::regclass, 0, 'pg_class'::regclass, 'st_lateral'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_18_1'::regclass, 0, 'pg_class'::regclass, 'st_lateral'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_19'::regclass, 0, 'pg_class'::regclass, 'st_series'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_20'::regclass, 0, 'pg_class'::regclass, 'st_tree'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_21'::regclass, 0, 'pg_class'::regclass, 'st_part'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_21_1'::regclass, 0, 'pg_class'::regclass, 'st_part'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_4'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_4'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_22'::regclass, 0, 'pg_class'::regclass, 'st_children'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_23'::regclass, 0, 'pg_class'::regclass, 'st_hot'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_23_1'::regclass, 0, 'pg_class'::regclass, 'st_hot'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_5'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_5'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_24'::regclass, 0, 'pg_class'::regclass, 'st_recent'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_6'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_25'::regclass, 0, 'pg_class'::regclass, 'st_whole'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_25_1'::regclass, 0, 'pg_class'::regclass, 'st_whole'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_6'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_26'::regclass, 0, 'pg_class'::regclass, 'st_reader'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_7'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_7'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_27'::regclass, 0, 'pg_class'::regclass, 'st_reader_of_reader'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.n_27_1'::regclass, 0, 'pg_class'::regclass, 'st_reader_of_reader'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.changes_8'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_changes.pending_8'::regclass, 0, 'pg_extension'::regclass, (select oid from pg_extension where extname = 'pg_trickle'), 0, 'a');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_28'::regclass, 0, 'pg_class'::regclass, 'st_suspended'::regclass, 0, 'i');
insert into pg_depend values ('pg_class'::regclass, 'pgtrickle_state.q_29'::regclass, 0, 'pg_class'::regclass, 'st_paused'::regclass, 0, 'i');
select setval('pgtrickle.pgt_layouts_layout_seq', 11);
select setval('pgtrickle.pgt_refresh_history_refresh_id_seq', 51);
select setval('pgtrickle.pgt_sources_source_id_seq', 8);
select setval('pgtrickle.pgt_stream_tables_pgt_id_seq', 29);
do $$ begin while pg_current_xact_id() < '1024'::xid8 loop commit; end loop; end $$;
update pgtrickle.pgt_source_members m set fingerprint = concat_ws('/',
  (select format('%s:%s', oid, xmin) from pg_trigger where tgrelid = m.relid and tgname = 'pgtrickle_capture_' || m.source_id),
  (select format('%s:%s', oid, xmin) from pg_trigger where tgrelid = m.relid and tgname = 'pgtrickle_truncate_' || m.source_id),
  (select 'unlogged' from pg_class where oid = m.relid and relpersistence = 'u'));
