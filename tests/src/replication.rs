//! Subscriptions between databases of one server.

use crate::Session;

/// Subscribes to a publication of another database of the same server, whose slot cannot be made by the subscription, and
/// waits for the first copy.
pub async fn subscribe(subscriber: &Session, publisher: &Session, publication: &str) {
    let slot = format!("select pg_create_logical_replication_slot('{publication}', 'pgoutput')");
    publisher.run(&slot).await;
    let database = publisher.value("select current_database()").await;
    let port = publisher.value("show port").await;
    subscriber
        .run(&format!(
            "create subscription {publication} connection 'host=127.0.0.1 port={port} user=postgres dbname={database}'
             publication {publication} with (create_slot = false, slot_name = {publication})"
        ))
        .await;
    let copied = format!(
        "select bool_and(srsubstate = 'r') from pg_subscription_rel join pg_subscription s on s.oid = srsubid where subname = '{publication}'"
    );
    subscriber.wait_until(&copied).await;
}

pub async fn unsubscribe(subscriber: &Session, publisher: &Session, publication: &str) {
    for step in ["disable", "set (slot_name = none)"] {
        subscriber.run(&format!("alter subscription {publication} {step}")).await;
    }
    subscriber.run(&format!("drop subscription {publication}")).await;
    publisher
        .wait_until(&format!("select not active from pg_replication_slots where slot_name = '{publication}'"))
        .await;
    publisher.run(&format!("select pg_drop_replication_slot('{publication}')")).await;
}
