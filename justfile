# `just` lists the recipes. Each works on the server that PG_CONFIG selects.

_:
    @just --list

# the algebra, without PostgreSQL: seconds
test:
    cargo test -p ivm

# SQL scripts and their expected output
regress:
    scripts/test regress

# several sessions, step by step
isolation:
    scripts/test isolation

# ALTER EXTENSION UPDATE from every released version
upgrade:
    scripts/test upgrade

# the state that a released version leaves behind, for that test; once for each version
upgrade-from version:
    scripts/upgrade-from {{version}}

# random queries and changes against a live server, each random test for so many seconds
oracle seconds="60":
    SECONDS_EACH={{seconds}} scripts/test oracle

# all layers of tests
all:
    scripts/test

# house rules, rustfmt, clippy
lint:
    scripts/lint

# rewrite expected output; refuses errors that are not announced
bless:
    UPDATE_EXPECT=1 scripts/test unit regress isolation upgrade

# benchmarks, with the answer checked first
bench *args:
    scripts/bench {{args}}

# micro-benchmarks against the base revision, or another one; fails if they are slower
bench-gate *args:
    scripts/bench-gate {{args}}

# a throwaway server with the extension; prints its URL
run *args:
    scripts/pg up {{args}}

# stop that server and delete its data
stop *args:
    scripts/pg down {{args}}

# live stream tables over TPC-H data
demo *args:
    scripts/demo {{args}}

# Debian packages, under target/; with --check they are installed and tried in a fresh tree
package *args:
    scripts/package {{args}}

# pg_trickle beside other extensions and poolers, in a fresh tree; writes docs/NEIGHBOURS.md
neighbours *args:
    scripts/neighbours {{args}}
