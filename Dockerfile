# PostgreSQL's official image with pg_trickle, from the Debian package that scripts/package builds.
#
#   docker build -t pg_trickle .
#   docker run -e POSTGRES_PASSWORD=… -p 5432:5432 pg_trickle

FROM rust:1-bookworm AS build
COPY . /source
WORKDIR /source
RUN scripts/package

FROM postgres:15-bookworm
RUN --mount=type=bind,from=build,source=/source/target/package,target=/packages \
    apt-get update \
    && apt-get install -y --no-install-recommends $(ls /packages/*.deb | grep -v dbgsym) \
    && rm -rf /var/lib/apt/lists/*
# Runs when the image creates its data directory.
RUN echo 'create extension pg_trickle;' >/docker-entrypoint-initdb.d/pg_trickle.sql
CMD ["postgres", "-c", "shared_preload_libraries=pg_trickle", "-c", "max_worker_processes=32"]
