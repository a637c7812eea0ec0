-- Nexmark's three streams as tables. People and auctions have keys; a bid has none, as in the original. Nothing
-- refers to anything: events of one time may arrive in any order.
create table person (
    id            bigint primary key,
    name          text not null,
    email_address text not null,
    credit_card   text not null,
    city          text not null,
    state         text not null,
    date_time     timestamp not null,
    extra         text not null
);
create table auction (
    id          bigint primary key,
    item_name   text not null,
    description text not null,
    initial_bid bigint not null,
    reserve     bigint not null,
    date_time   timestamp not null,
    expires     timestamp not null,
    seller      bigint not null,
    category    bigint not null,
    extra       text not null
);
create table bid (
    auction   bigint not null,
    bidder    bigint not null,
    price     bigint not null,
    channel   text not null,
    url       text not null,
    date_time timestamp not null,
    extra     text not null
);
create index on auction (seller);
create index on bid (auction);
create index on bid (date_bin('10 seconds', date_time, timestamp '2015-07-15'), price);
