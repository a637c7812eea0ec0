//! TPC-H data, generated here and loaded through COPY.
//!
//! Law: rows enter bare tables; keys, indexes and statistics follow.

use tokio_postgres::{Client, Error};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use crate::copy::copy;

const TABLES: &str = include_str!("../../sql/tpch/tables.sql");
const KEYS: &str = include_str!("../../sql/tpch/keys.sql");

/// Creates and fills the eight tables in the first schema of the search path, with their keys and the indexes
/// of their foreign keys; how many rows they have. Statistics are left to the caller.
pub async fn load(client: &Client, scale: f64) -> Result<u64, Error> {
    client.batch_execute(TABLES).await?;
    let mut rows = 0;
    rows += copy(client, "region", RegionGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "nation", NationGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "part", PartGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "supplier", SupplierGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "partsupp", PartSuppGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "customer", CustomerGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "orders", OrderGenerator::new(scale, 1, 1).iter()).await?;
    rows += copy(client, "lineitem", LineItemGenerator::new(scale, 1, 1).iter()).await?;
    client.batch_execute(KEYS).await?;
    Ok(rows)
}
