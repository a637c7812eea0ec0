//! Partitions and inheritance children: changed through their root or by name, attached, detached, dropped.

use super::{AGAIN, Case, DELTA, case};

const PARTS: &str = "create table p (id int, g int, v int) partition by list (g);
    create table p1 partition of p for values in (1); create table p2 partition of p for values in (2);
    insert into p select n, 1 + n % 2, n from generate_series(1, 20) n";
const OF_PARTS: &str = "select g, count(*) as n, sum(v) as s from p group by g";
const FAMILY: &str = "create table base (a int, b int); create table kid (c text) inherits (base);
    insert into base values (1, 1); insert into kid values (2, 2, 'k')";
const OF_FAMILY: &str = "select a, sum(b) as s from base group by a";

pub const CASES: &[Case] = &[
    case("a row moved between partitions", PARTS, OF_PARTS, &["update p set g = 3 - g where id < 8"], DELTA),
    case(
        "written to a partition by name",
        PARTS,
        OF_PARTS,
        &["insert into p1 values (50, 1, 5)", "delete from p2 where id < 10"],
        DELTA,
    ),
    case(
        "a new partition",
        PARTS,
        OF_PARTS,
        &[
            "create table p3 partition of p for values in (3)",
            "insert into p values (51, 3, 5)",
            "update p set g = 3 where id = 1",
        ],
        DELTA,
    ),
    case(
        "a partition with rows attached",
        PARTS,
        OF_PARTS,
        &[
            "create table p4 (v int, extra int, g int, id int); alter table p4 drop column extra; insert into p4 (v, g, id) values (7, 4, 70); alter table p attach partition p4 for values in (4)",
            "insert into p values (71, 4, 1)",
        ],
        DELTA,
    ),
    case(
        "a partition with partitions, attached, detached and attached",
        PARTS,
        OF_PARTS,
        &[
            "create table p5 (g int, id int, v int) partition by range (v); create table p51 partition of p5 for values from (0) to (10); insert into p5 values (5, 80, 1), (null, 81, 2), (5, 80, 1)",
            "create table p52 (v int, id int, g int); insert into p52 values (15, 82, 5); alter table p5 attach partition p52 for values from (10) to (20)",
            "alter table p attach partition p5 for values in (5, null)",
            "begin; alter table p5 detach partition p52; insert into p52 values (17, 83, 5); savepoint s; alter table p5 attach partition p52 for values from (10) to (20); rollback to s; delete from p where id < 4; commit",
            "alter table p5 attach partition p52 for values from (10) to (20); truncate only p52; insert into p values (84, 5, 11)",
        ],
        None,
    ),
    case(
        "a partition attached in a transaction that is rolled back",
        PARTS,
        OF_PARTS,
        &[
            "create table p6 (id int, g int, v int); insert into p6 values (90, 6, 1)",
            "begin; alter table p attach partition p6 for values in (6); insert into p values (91, 6, 2); rollback",
            "insert into p6 values (92, 6, 3); insert into p values (93, 1, 3)",
        ],
        DELTA,
    ),
    case(
        "a large partition detached",
        PARTS,
        OF_PARTS,
        &[
            "insert into p select n, 1, 1 from generate_series(100, 30100) n; analyze p1",
            "alter table p detach partition p1",
        ],
        AGAIN,
    ),
    case(
        "a partition detached concurrently",
        PARTS,
        OF_PARTS,
        &["alter table p detach partition p1 concurrently", "insert into p values (95, 2, 5)"],
        AGAIN,
    ),
    case(
        "a partition detached",
        PARTS,
        OF_PARTS,
        &["insert into p values (52, 1, 1)", "alter table p detach partition p1", "insert into p1 values (53, 1, 1)"],
        DELTA,
    ),
    case(
        "partitions dropped",
        PARTS,
        OF_PARTS,
        &["drop table p2, p1", "create table p1 partition of p for values in (1)"],
        DELTA,
    ),
    case(
        "a partition with partitions detached and dropped",
        PARTS,
        OF_PARTS,
        &[
            "create table p7 partition of p for values in (7) partition by list (v); create table p71 partition of p7 for values in (1); create table p72 partition of p7 default; insert into p values (1, 7, 1), (2, 7, 2)",
            "alter table p detach partition p7",
            "alter table p attach partition p7 for values in (7); insert into p71 values (3, 7, 1)",
            "begin; drop table p7; rollback; begin; savepoint s; drop table p72; rollback to s; insert into p values (4, 7, 9); commit",
            "drop table p7",
        ],
        DELTA,
    ),
    case(
        "a large partition dropped",
        PARTS,
        OF_PARTS,
        &["insert into p select n, 1, 1 from generate_series(100, 30100) n; analyze p1", "drop table p1"],
        AGAIN,
    ),
    case("a partition truncated", PARTS, OF_PARTS, &["truncate p1"], AGAIN),
    case(
        "partitions of partitions",
        "create table p (id int, g int, v int) partition by list (g); create table p1 partition of p for values in (1, 2) partition by range (v); create table p11 partition of p1 for values from (0) to (10); create table p12 (v int, id int, g int); alter table p1 attach partition p12 for values from (10) to (99)",
        OF_PARTS,
        &[
            "insert into p values (1, 1, 5), (2, 2, 15), (3, 1, 50)",
            "update p set v = 12 where v = 5",
            "delete from p12 where id = 3",
        ],
        DELTA,
    ),
    case(
        "a partition as the source",
        PARTS,
        "select id, v from p1",
        &[
            "insert into p values (54, 1, 1), (55, 2, 1)",
            "update p set g = 2 where id = 54",
            "delete from p where id < 5",
        ],
        DELTA,
    ),
    case(
        "a child's rows",
        FAMILY,
        OF_FAMILY,
        &["insert into kid values (3, 3, 'x')", "update base set b = b + 1", "delete from only base"],
        DELTA,
    ),
    case(
        "a new child",
        FAMILY,
        OF_FAMILY,
        &["create table other (d int) inherits (base)", "insert into other values (4, 4, 4)"],
        DELTA,
    ),
    case(
        "a child that had rows",
        FAMILY,
        OF_FAMILY,
        &[
            "create table other (b int, a int); insert into other values (40, 4); alter table other inherit base",
            "insert into other values (50, 5)",
        ],
        DELTA,
    ),
    case(
        "a child that left",
        FAMILY,
        OF_FAMILY,
        &["alter table kid no inherit base", "insert into kid values (9, 9, 'z')"],
        DELTA,
    ),
    case("a child dropped", FAMILY, OF_FAMILY, &["drop table kid"], DELTA),
    case("a child truncated", FAMILY, OF_FAMILY, &["truncate kid"], AGAIN),
    case(
        "only the parent",
        FAMILY,
        "select a, b from only base",
        &["insert into kid values (3, 3, 'x')", "insert into base values (6, 6)", "update base set a = 7 where b = 1"],
        None,
    ),
];
